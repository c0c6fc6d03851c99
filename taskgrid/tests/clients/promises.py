"""What the module for Python promises, as far as it can be told without a grid. Against a scripted dispatcher."""

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import unittest
from unittest.mock import patch

import taskgrid

# Where each copy counts, none may be sent again because the machine is busy.
no_hurry = patch.multiple(taskgrid, FIRST_NEAR=20.0, INTERVAL_MIN=20.0, INTERVAL_MAX=20.0)


class Script:
    """Answers each message with what `answer(message, number)` says, if it says anything."""

    def __init__(self, answer):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.answer, self.seen, self.datagrams = answer, [], []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            datagram, source = self.socket.recvfrom(65_536)
            messages = json.loads(datagram)
            self.datagrams.append(datagram)
            for message in messages if isinstance(messages, list) else [messages]:
                self.seen.append(message)
                data = self.answer(message, len(self.seen))
                reply = {"type": "RESPONSE", "id": message["id"], "data": data}
                # Twice, as a network may do.
                for _ in range(2 if data is not None else 0):
                    self.socket.sendto(json.dumps(reply).encode(), source)

    def keys(self):
        return {message["data"].get("key") for message in self.seen}


    def wait_for(self, count):
        """Returns when so many messages have come."""
        deadline = time.monotonic() + 60
        while len(self.seen) < count:
            assert time.monotonic() < deadline, f"{len(self.seen)} of {count} messages have come"
            threading.Event().wait(0.002)


STORED = {"task_id": 7, "status": "pending"}
FULL = {"error": "the disk is full", "code": "DISK_LOW", "retry_after_ms": 60_000}


class Submitting(unittest.TestCase):
    def outcome(self, answer, patience=30.0, **options):
        self.script = Script(answer)
        try:
            return taskgrid.Client(self.script.address, patience).submit("reverse", "x", **options)
        except Exception as error:
            return error

    def test_a_key_is_version_7_and_begins_with_the_time(self):
        receipts = [self.outcome(lambda *_: STORED) for _ in range(3)]
        keys = [receipt.key for receipt in receipts]
        self.assertEqual(len(set(keys)), 3)
        for key in keys:
            self.assertRegex(key, "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        self.assertEqual([key[:8] for key in keys], sorted(key[:8] for key in keys))

    def test_copies_have_one_key_and_silence_names_it(self):
        unknown = self.outcome(lambda *_: None, patience=2.0, key="mine")
        self.assertIsInstance(unknown, taskgrid.Unknown)
        self.assertEqual((unknown.key, unknown.refusal, self.script.keys()), ("mine", None, {"mine"}))
        self.assertIn("key='mine'", str(unknown))
        self.assertGreater(len(self.script.seen), 1)

    def test_a_lost_answer_is_asked_for_again(self):
        receipt = self.outcome(lambda _, number: STORED if number > 1 else None)
        self.assertEqual(receipt[:2], (7, "pending"))

    def test_a_refusal_is_definite_only_if_every_copy_was_refused(self):
        with no_hurry:
            alone = self.outcome(lambda *_: FULL)
        self.assertIsInstance(alone, taskgrid.Rejected)
        self.assertEqual(alone.code, "DISK_LOW")
        in_doubt = self.outcome(lambda _, number: FULL if number > 1 else None)
        self.assertIsInstance(in_doubt, taskgrid.Unknown)
        self.assertEqual((in_doubt.refusal.code, {in_doubt.key}), ("DISK_LOW", self.script.keys()))

    @no_hurry
    def test_a_passing_refusal_is_waited_out(self):
        busy = {"error": "busy", "code": "OVERLOADED", "retry_after_ms": 100}
        receipt = self.outcome(lambda _, number: STORED if number > 2 else busy)
        self.assertEqual(receipt.task_id, 7)
        # Each refusal came twice, and counted once.
        first, *others = [message["id"] for message in self.script.seen]
        self.assertEqual(others, [first + 1, first + 2])

    @no_hurry
    def test_a_stranger_is_asked_in_as_many_bytes_as_it_wants(self):
        def answer(message, number):
            return STORED if number > 1 else {"error": "longer, please", "code": "PAD_REQUEST", "need_bytes": 900}

        self.assertEqual(self.outcome(answer).task_id, 7)
        self.assertEqual(len(self.script.datagrams[1]), 900)

    def test_nonsense_is_not_an_answer(self):
        wrong_pads = [{"error": "longer", "code": "PAD_REQUEST", "need_bytes": need} for need in ("x", 0, 99_999)]
        for nonsense in ({}, {"task_id": 1}, [], "stored", *wrong_pads):
            outcome = self.outcome(lambda *_, nonsense=nonsense: nonsense, patience=0.3)
            self.assertIsInstance(outcome, taskgrid.Unknown, nonsense)

    def test_a_cancel_that_was_obeyed_before_is_a_success(self):
        ended = {"error": "ended", "code": "ALREADY_ENDED", "status": "cancelled"}
        script = Script(lambda _, number: ended if number > 1 else None)
        self.assertEqual(taskgrid.Client(script.address).cancel(7), "cancelled")
        with no_hurry, self.assertRaises(taskgrid.Rejected):
            taskgrid.Client(Script(lambda *_: ended).address).cancel(7)

    def test_a_wait_goes_on_while_there_are_signs_of_life(self):
        def answer(message, _):
            if "wait_s" in message["data"]:
                return None
            questions.append(message)
            busy = {"error": "busy", "code": "OVERLOADED", "retry_after_ms": 100}
            not_ready = {"error": "Result not ready", "code": "NOT_READY", "status": "running"}
            return [not_ready, busy, {"result": None, "status": "done"}][min(len(questions), 3) - 1]

        questions = []
        self.assertIsNone(taskgrid.Client(Script(answer).address, patience=1.5).wait(7))
        self.assertGreaterEqual(len(questions), 3)
        with self.assertRaises(taskgrid.Unknown) as silence:
            taskgrid.Client(Script(lambda *_: None).address, patience=0.5).wait(7)
        self.assertIsNone(silence.exception.key)

    def test_many_share_datagrams_and_come_back_in_order(self):
        script = Script(lambda message, _: {**STORED, "task_id": message["data"]["payload"]})
        receipts = taskgrid.Client(script.address).submit_many(("reverse", n) for n in range(3_000))
        self.assertEqual([receipt.task_id for receipt in receipts], list(range(3_000)))
        self.assertEqual(taskgrid.Client(script.address).submit_many([]), [])
        self.assertTrue(all(len(datagram) <= 60_000 and datagram[:1] == b"[" for datagram in script.datagrams))
        self.assertTrue(all(len(json.loads(datagram)) <= 1_024 for datagram in script.datagrams))

    def test_what_has_no_json_form_is_rejected_unsent(self):
        script = Script(lambda *_: STORED)
        for payload in (float("nan"), "\ud800", {1, 2}, object(), b"bytes"):
            with self.assertRaises(taskgrid.Rejected):
                taskgrid.Client(script.address).submit("reverse", payload)
        self.assertEqual(script.seen, [])

    def test_addresses_are_checked_before_anything_is_sent(self):
        for good in ("127.0.0.1:4000", "[::1]:4000", "dispatcher:4000", "a.b-c.example:1"):
            taskgrid.Client(good)
        for bad in ("", "4000", "dispatcher", "dispatcher:", ":4000", "host:0", "host:70000", "::1:4000", "[]:1"):
            with self.assertRaises(ValueError, msg=bad):
                taskgrid.Client(bad)

    def test_a_client_may_be_used_by_threads_and_after_a_fork(self):
        script = Script(lambda message, _: {**STORED, "task_id": message["data"]["payload"]})
        client, found = taskgrid.Client(script.address), []
        threads = [threading.Thread(target=lambda n=n: found.append(client.submit("x", n).task_id)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(found), list(range(8)))
        child = os.fork()
        if child == 0:
            os._exit(client.submit("x", 42).task_id)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 42)

    def test_exceptions_can_be_sent_to_another_process(self):
        failed = taskgrid.TaskFailed("A", "b", 2)
        for error in (taskgrid.Rejected("A", "b"), taskgrid.Unknown("no answer", "key"), failed):
            self.assertEqual(vars(pickle.loads(pickle.dumps(error))), vars(error))


class Handling(unittest.TestCase):
    """Handlers are processes of their own: each program here is one."""

    def run_handler(self, program, told=True, importing=True, **options):
        environment = {**os.environ, "TASKGRID_TASK_ID": "42", "TASKGRID_ATTEMPT": "3", "TASKGRID_LEASE": "lease-a",
                       "TASKGRID_TYPE": "report"}
        program = "import taskgrid, os\n" + program if importing else program
        return subprocess.run([sys.executable, "-c", program], env=environment if told else None, check=True,
                              stdout=subprocess.PIPE, **options).stdout.decode()

    def with_pipe(self, program, **options):
        reader, writer = os.pipe()
        # In the shell's place: descriptor 3 is the pipe.
        command = f"os.dup2({writer}, 3)\n{program}"
        self.run_handler(command, pass_fds=[writer], **options)
        os.close(writer)
        with open(reader, encoding="utf-8") as pipe:
            return pipe.read()

    def test_progress_is_a_line(self):
        told = self.with_pipe("taskgrid.progress(0.25, 'a\\r\\nb\\u2028c'); taskgrid.progress(7, 'ü' * 999)")
        self.assertEqual(told, f"0.2500 a b c\n1.0000 {'ü' * 200}\n")

    def test_progress_never_raises(self):
        told = self.with_pipe("for done in ('half', float('nan'), None, 0.5): taskgrid.progress(done, '\\ud800')")
        self.assertEqual(told, "0.5000 ?\n")
        self.run_handler("taskgrid.progress(0.5, 'nobody listens')")

    def test_progress_does_not_wait_for_a_reader(self):
        told = self.with_pipe("for n in range(10_000): taskgrid.progress(n / 10_000, 'x' * 200)")
        self.assertTrue(told.endswith("x\n") and len(told) < 10_000 * 208)

    def test_by_hand_nothing_is_written(self):
        self.assertEqual(self.with_pipe("taskgrid.progress(0.5)", told=False), "")

    def test_a_handler_knows_its_attempt(self):
        self.assertEqual(self.run_handler("print(*taskgrid.task())"), "42 3 lease-a report\n")
        self.assertEqual(self.run_handler("print(taskgrid.task().id)", told=False), "None\n")

    def test_the_import_brings_nothing_that_only_clients_need(self):
        heavy = {"socket", "random", "uuid", "ipaddress", "threading", "asyncio", "dataclasses", "inspect"}
        program = "import sys; before = set(sys.modules); import taskgrid"
        program += f"; print(({heavy!r} - before) & set(sys.modules))"
        self.assertEqual(self.run_handler(program, importing=False), "set()\n")


if __name__ == "__main__":
    unittest.main()
