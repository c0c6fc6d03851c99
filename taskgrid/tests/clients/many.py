"""What the module for Python promises of many tasks, of receipts, and of clients that are sent to other processes."""

import multiprocessing
import pickle
import signal
import subprocess
import sys
import threading
import time
import unittest
from unittest.mock import patch

import taskgrid
from promises import STORED, Script, no_hurry


class Clock:
    """Time that a test moves on; between two moves it passes as ever."""

    def __init__(self):
        self.off, self.time = 0.0, time.time

    def monotonic(self):
        return time.monotonic() + self.off


class SubmittingMany(unittest.TestCase):
    """Tasks that come slowly, or are no tasks, or come to an end that nobody wanted."""

    def setUp(self):
        self.script = Script(lambda message, _: {**STORED, "task_id": message["data"]["payload"]})
        self.client = taskgrid.Client(self.script.address)

    def stopped(self, tasks, error, client=None):
        with self.assertRaises(error) as stopped:
            (client or self.client).submit_many(tasks)
        return stopped.exception.outcomes

    def test_each_task_is_sent_before_the_next_one_is_taken_where_they_come_slowly(self):
        def tasks():
            for number in range(20):
                self.script.wait_for(number)
                yield "x", number

        receipts = self.client.submit_many(tasks())
        self.assertEqual([receipt.task_id for receipt in receipts], list(range(20)))

    def test_no_task_is_unknown_because_others_came_slowly(self):
        clock = Clock()

        def tasks():
            for number in range(50):
                self.script.wait_for(number)
                clock.off += 40.0
                yield "x", number

        with patch.object(taskgrid, "time", clock):
            receipts = self.client.submit_many(tasks())
        self.assertEqual([receipt.task_id for receipt in receipts], list(range(50)))

    def test_a_task_that_was_lost_while_others_came_slowly_is_sent_again(self):
        clock = Clock()
        script = Script(lambda message, number: STORED if number > 1 else None)

        def tasks():
            yield "x", 0
            script.wait_for(1)
            clock.off += 100.0
            yield "x", 1

        with patch.object(taskgrid, "time", clock):
            self.assertEqual(len([one.task_id for one in taskgrid.Client(script.address).submit_many(tasks())]), 2)

    def test_a_program_that_was_stopped_takes_its_own_silence_for_nobodys(self):
        clock = Clock()

        def answer(*_):
            clock.off += 1_000.0
            return STORED

        with patch.object(taskgrid, "time", clock):
            self.assertEqual(taskgrid.Client(Script(answer).address).submit("x", 1).task_id, 7)

    def test_what_a_generator_raises_carries_the_receipts_of_what_was_sent(self):
        def tasks():
            yield from (("x", number) for number in range(3_000))
            raise OSError("the file has no more lines")

        outcomes = self.stopped(tasks(), OSError)
        self.assertEqual([outcome.task_id for outcome in outcomes], list(range(3_000)))
        self.assertEqual({outcome.key for outcome in outcomes}, self.script.keys())

    def test_a_text_is_no_pair_and_what_is_no_task_is_named(self):
        for bad in (["ab", "cd"], "ab", [("x",)], [("x", 1, "key")], [(1, "x")], [None], [{"type": "x"}]):
            self.assertEqual(self.stopped(bad, TypeError), [])
        self.assertEqual(self.script.seen, [])
        outcomes = self.stopped([("x", 1), ["x", 2], {"type": "x", "payload": 3}, "ab", ("x", 4)], TypeError)
        self.assertEqual([outcome.task_id for outcome in outcomes], [1, 2, 3])

    def test_an_interrupt_tells_the_keys_of_what_was_sent(self):
        script = Script(lambda message, number: STORED if number == 1 else None)

        def tasks():
            yield "x", 0
            yield "x", 1
            yield "x", float("nan")
            script.wait_for(2)
            raise KeyboardInterrupt

        with no_hurry:
            client = taskgrid.Client(script.address)
            outcomes = self.stopped(tasks(), KeyboardInterrupt, client)
        self.assertEqual([outcome.key for outcome in outcomes[:2]], [seen["data"]["key"] for seen in script.seen])
        self.assertEqual(outcomes[2].code, "BAD_REQUEST")

    def test_ctrl_c_is_a_keyboard_interrupt_with_the_keys_of_what_was_sent(self):
        script = Script(lambda *_: None)
        program = (
            "import sys, taskgrid\n"
            "try: taskgrid.Client(sys.argv[1]).submit_many(('x', n) for n in range(3_000))\n"
            "except KeyboardInterrupt as stopped: told = stopped.outcomes\n"
            "print(*(one.key for one in told if isinstance(one, taskgrid.Unknown)))"
        )
        arguments = [sys.executable, "-c", program, script.address]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
        script.wait_for(100)
        process.send_signal(signal.SIGINT)
        keys = set(process.communicate(timeout=60)[0].decode().split())
        self.assertTrue(script.keys() <= keys, f"{len(script.keys() - keys)} keys are lost")

    def test_where_no_socket_can_be_had_it_is_said_what_was_not_sent(self):
        with patch("socket.socket", side_effect=OSError("too many open files")):
            outcomes = self.stopped((("x", number) for number in range(5_000)), OSError)
        self.assertTrue(outcomes and all(outcome.code == "NOT_SENT" for outcome in outcomes))

    def test_one_submission_that_is_interrupted_tells_its_key(self):
        script = Script(lambda *_: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
        with self.assertRaises(KeyboardInterrupt) as stopped:
            taskgrid.Client(script.address).submit("x", 1)
        self.assertEqual({outcome.key for outcome in stopped.exception.outcomes}, script.keys())


class Naming(unittest.TestCase):
    """How a task is named that was submitted before."""

    def test_a_receipt_names_its_database_and_a_number_does_if_told(self):
        script = Script(lambda message, _: {**STORED, "result": 1, "status": "done", "file_id": "0f8a3c5d7e9b1246"})
        client = taskgrid.Client(script.address)
        receipt = client.submit("x", 1)
        self.assertEqual(receipt.file_id, "0f8a3c5d7e9b1246")
        for verb in ("wait", "result", "cancel", "retry", "task"):
            with self.subTest(verb), no_hurry:
                for task, options in ((receipt, {}), (7, {"file_id": receipt.file_id}), (7, {})):
                    getattr(client, verb)(task, **options)
                named = [(seen["data"]["task_id"], seen["data"].get("file_id")) for seen in script.seen[-3:]]
                self.assertEqual(named, [(7, receipt.file_id), (7, receipt.file_id), (7, None)])
        old = Script(lambda *_: {**STORED, "result": 1})
        receipt = taskgrid.Client(old.address).submit("x", 1)
        self.assertIsNone(receipt.file_id)
        taskgrid.Client(old.address).wait(receipt)
        self.assertNotIn("file_id", old.seen[-1]["data"])

    def test_what_is_no_task_is_refused_in_words_and_unsent(self):
        script = Script(lambda *_: STORED)
        client = taskgrid.Client(script.address)
        for verb in ("wait", "result", "cancel", "retry", "task"):
            for bad in (None, "7", 7.0, True, 0, -1, 1 << 63, [7], taskgrid.Rejected("A", "b"), taskgrid.Unknown("c")):
                with self.assertRaisesRegex(TypeError, "is no task; give the receipt"):
                    getattr(client, verb)(bad)
        self.assertEqual(script.seen, [])


class Travelling(unittest.TestCase):
    """A client in another process than the one that made it."""

    def test_a_client_survives_pickling(self):
        script = Script(lambda message, _: {**STORED, "task_id": message["data"]["payload"]})
        client = taskgrid.Client(script.address, patience=7.0)
        client.submit("x", 1)
        copy = pickle.loads(pickle.dumps(client))
        self.assertEqual((copy.address, copy.patience, copy.submit("x", 2).task_id), (script.address, 7.0, 2))

    def test_a_client_is_given_to_processes_that_are_spawned(self):
        script = Script(lambda message, _: {**STORED, "task_id": message["data"]["payload"]})
        client = taskgrid.Client(script.address)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            receipts = pool.starmap(client.submit, [("x", number) for number in range(4)])
        self.assertEqual([receipt.task_id for receipt in receipts], list(range(4)))


if __name__ == "__main__":
    unittest.main()
