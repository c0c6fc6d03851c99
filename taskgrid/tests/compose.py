#!/usr/bin/env python3
"""The compose file on a real engine: tasks through the published port, a worker with handler files, and a
dispatcher that is killed in the middle of submissions.

    taskgrid/tests/compose.py          standard library only; removes what it starts

Where no engine answers, it says so in one line and passes. Where the base images of the Dockerfile are neither there
nor to be pulled, it makes stand-ins: Debian by debootstrap, and on it this machine's own Rust toolchain. That needs
root and a Debian mirror. Stand-ins and built images stay in the engine, so that the next run is quick.
"""

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = f"taskgrid-test-{os.getpid()}"

BASE_IMAGES = {"RUST_IMAGE": "rust:1-bookworm", "RUNTIME_IMAGE": "debian:bookworm-slim"}
DEBIAN_STAND_IN = "taskgrid-stand-in:bookworm"
DEBIAN_MIRROR = "http://deb.debian.org/debian"

PULL_LIMIT = 600
# A release build on two slow cores takes about a third of it.
BUILD_LIMIT = 1200
STEP_LIMIT = 60

TASKS_AFTER_RESTART = 200
IN_FLIGHT = 32
RESEND_AFTER = 0.5


class Failure(Exception):
    """Something is not as it should be."""


def say(text):
    print(f"compose test: {text}", flush=True)


def run(*command, limit=STEP_LIMIT, **options):
    """Runs a command to its end and returns what it printed."""
    done = subprocess.run(command, cwd=ROOT, timeout=limit, text=True, capture_output=True, **options)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout.strip()


def works(*command, limit=STEP_LIMIT):
    """Whether a command is there and ends well."""
    try:
        return subprocess.run(command, timeout=limit, capture_output=True).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def until(what, limit, probe):
    """Asks `probe` until it returns something true."""
    deadline = time.monotonic() + limit
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failure(f"after {limit} s: {what}")
        time.sleep(0.1)


# --- Base images ---


def choose_base_images():
    """The build arguments that name images which this engine has."""
    if all(works("docker", "image", "inspect", image) for image in BASE_IMAGES.values()):
        return BASE_IMAGES
    if all(works("docker", "pull", image, limit=PULL_LIMIT) for image in BASE_IMAGES.values()):
        return BASE_IMAGES
    say("the base images are neither here nor to be pulled: using stand-ins made on this machine")
    return {"RUNTIME_IMAGE": debian_stand_in(), "RUST_IMAGE": rust_stand_in()}


def debian_stand_in():
    if works("docker", "image", "inspect", DEBIAN_STAND_IN):
        return DEBIAN_STAND_IN
    say(f"making {DEBIAN_STAND_IN} by debootstrap")
    with tempfile.TemporaryDirectory() as scratch:
        root = f"{scratch}/root"
        run("debootstrap", "--variant=minbase", "bookworm", root, DEBIAN_MIRROR, limit=PULL_LIMIT)
        run("tar", "-C", root, "-cf", f"{scratch}/root.tar", ".", limit=PULL_LIMIT)
        run("docker", "import", f"{scratch}/root.tar", DEBIAN_STAND_IN, limit=PULL_LIMIT)
    return DEBIAN_STAND_IN


def rust_stand_in():
    toolchain = run("rustc", "--print", "sysroot")
    image = "taskgrid-stand-in:rust-" + run("rustc", "--version").split()[1]
    if works("docker", "image", "inspect", image):
        return image
    say(f"making {image} of {toolchain}")
    with tempfile.TemporaryDirectory() as scratch:
        run("tar", "-C", toolchain, "-cf", f"{scratch}/toolchain.tar", "bin", "lib", limit=PULL_LIMIT)
        # Where a proxy opens this machine's connections, the build has to trust it too.
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", scratch)
        pathlib.Path(scratch, "Dockerfile").write_text(
            f"FROM {DEBIAN_STAND_IN}\n"
            "RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev\n"
            "ADD toolchain.tar /usr/local/\n"
            "COPY ca-certificates.crt /etc/ssl/certs/\n"
        )
        run("docker", "build", "--tag", image, scratch, limit=PULL_LIMIT)
    return image


# --- The grid ---


class Compose:
    """The project of this run."""

    def __init__(self, build_arguments):
        plugin = works("docker", "compose", "version")
        self.command = ["docker", "compose"] if plugin else ["docker-compose"]
        self.command += ["--project-name", PROJECT]
        self.port = choose_port(4000)
        names = {"DISPATCHER_PORT": self.port, "NAMESERVICE_PORT": choose_port(5001), "TASKGRID_IMAGE": "taskgrid-test"}
        self.environment = os.environ | build_arguments | {name: str(value) for name, value in names.items()}

    def __call__(self, *arguments, limit=STEP_LIMIT):
        return run(*self.command, *arguments, limit=limit, env=self.environment)

    def sql(self, query):
        """Rows of the table in the volume, read by Debian's own shell while the dispatcher runs."""
        shell = ["sqlite3", "-readonly", "-json", "/data/taskgrid.db", query]
        return json.loads(self("exec", "-T", "dispatcher", *shell) or "[]")

    def inspect(self, service, field):
        container = self("ps", "-q", service)
        return run("docker", "inspect", "--format", "{{" + field + "}}", container)


def choose_port(usual):
    """The usual port where it is free, so that the file is tested as it stands; else any."""
    for port in (usual, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            udp.bind(("127.0.0.1", port))
            return udp.getsockname()[1]
    raise Failure("no free UDP port on 127.0.0.1")


class Client:
    """Sends requests with ids through the published port, and sends them again until they are answered."""

    def __init__(self, port):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.connect(("127.0.0.1", port))
        self.udp.settimeout(0.1)

    def send(self, request_id, kind, data):
        with contextlib.suppress(ConnectionRefusedError):
            self.udp.send(json.dumps({"type": kind, "id": request_id, "data": data}).encode())

    def receive(self):
        """An answer as (id, data), if one comes soon."""
        try:
            reply = json.loads(self.udp.recv(65536))
        except (TimeoutError, ConnectionRefusedError):
            return None
        return reply["id"], reply["data"]

    def ask_all(self, requests, limit):
        """Sends `requests`, which yields (id, (type, data)), IN_FLIGHT at a time; returns the answers by id.

        An answer that says when to ask again is not one.
        """
        deadline = time.monotonic() + limit
        source, waiting, sent, answers = iter(requests), {}, {}, {}
        while True:
            waiting.update(itertools.islice(source, IN_FLIGHT - len(waiting)))
            if not waiting:
                return answers
            now = time.monotonic()
            if now > deadline:
                raise Failure(f"{len(waiting)} requests were not answered within {limit} s, {len(answers)} were")
            for request_id, (kind, data) in waiting.items():
                if now - sent.get(request_id, 0) > RESEND_AFTER:
                    sent[request_id] = now
                    self.send(request_id, kind, data)
            request_id, data = self.receive() or (None, {})
            if request_id in waiting and "retry_after_ms" not in data:
                answers[request_id] = data
                del waiting[request_id]

    def ask(self, kind, data):
        return self.ask_all([("only", (kind, data))], STEP_LIMIT)["only"]

    def result(self, task_type, payload, key):
        """Submits one task and waits for its result."""
        task_id = self.ask("POST_TASK", {"type": task_type, "payload": payload, "key": key})["task_id"]
        return task_id, self.ask("GET_RESULT", {"task_id": task_id, "wait_s": 30})


# --- What is tested ---


def expect(actual, expected, what):
    if actual != expected:
        raise Failure(f"{what}: expected {expected!r}, got {actual!r}")


def test_published_port(compose, client):
    _, reply = client.result("reverse", "OpenAI", "published")
    expect(reply["result"], "IAnepO", "reverse through the published port")
    printed = compose("exec", "-T", "dispatcher", "taskgrid", "submit", "reverse", "OpenAI", "--wait")
    expect(printed, "IAnepO", "taskgrid submit in the dispatcher's container")


def test_handler_files(compose, client):
    """Without worker-reverse there is only worker_types/reverse.py."""
    compose("stop", "worker-reverse")
    task_id, reply = client.result("reverse", "Grüße", "scripts")
    expect(reply["result"], "eßürG", "worker_types/reverse.py")
    row = compose.sql(f"SELECT assigned_worker FROM tasks WHERE id = {task_id}")
    expect(row, [{"assigned_worker": "worker-scripts:6000"}], "the worker of the handler file")
    compose("start", "worker-reverse")


def test_kill(compose, client):
    """kill -9 in the middle of submissions: every acknowledged task must be done, once, and right."""

    def kill():
        # It takes the exec itself along, so what that returns says nothing.
        with contextlib.suppress(Failure):
            # All but the container's own init: the dispatcher dies, and the engine starts it again.
            compose("exec", "-T", "dispatcher", "sh", "-c", "kill -KILL -1")
        restarts = lambda: compose.inspect("dispatcher", ".RestartCount") != "0"
        until("the dispatcher was not restarted", STEP_LIMIT, restarts)

    def posts(restarted):
        """One a millisecond until the dispatcher is back, and some more."""
        left = TASKS_AFTER_RESTART
        for n in itertools.count():
            time.sleep(0.001)
            left -= restarted.done()
            if left == 0:
                return
            yield f"kill-{n}", ("POST_TASK", {"type": "reverse", "payload": f"task {n}", "key": f"kill-{n}"})

    with concurrent.futures.ThreadPoolExecutor() as pool:
        restarted = pool.submit(kill)
        answers = client.ask_all(posts(restarted), 2 * STEP_LIMIT)
        restarted.result()

    def unfinished():
        return compose.sql("SELECT count(*) AS n FROM tasks WHERE status IN ('pending', 'running')")[0]["n"]

    until("tasks are still pending or running", 2 * STEP_LIMIT, lambda: unfinished() == 0)
    rows = compose.sql("SELECT id, request_key AS key, status, result FROM tasks WHERE request_key LIKE 'kill-%'")
    actual = {(row["id"], row["key"], row["status"], row["result"]) for row in rows}
    expected = set()
    for key, reply in answers.items():
        result = json.dumps(key.replace("kill-", "task ")[::-1])
        expected.add((reply["task_id"], key, "done", result))
    if actual != expected or len(rows) != len(expected):
        raise Failure(f"rows that differ from what was acknowledged: {sorted(actual ^ expected)[:10]}")
    say(f"{len(rows)} tasks acknowledged around a kill, each with one row and the right result")


def test(compose):
    compose("build", limit=BUILD_LIMIT)
    compose("up", "--detach", limit=2 * STEP_LIMIT)
    client = Client(compose.port)
    for case in (test_published_port, test_handler_files, test_kill):
        case(compose, client)
        say(f"{case.__name__} passed")
    services = ("nameservice", "dispatcher", "worker-reverse", "worker-scripts")
    for service in services:
        probe = lambda: compose.inspect(service, ".State.Health.Status") == "healthy"
        until(f"{service} is not healthy", STEP_LIMIT, probe)


def main():
    # So that an interrupted run removes its containers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not works("docker", "info"):
        say("SKIPPED, since no Docker engine answers here")
        return
    if not works("docker-compose", "version") and not works("docker", "compose", "version"):
        say("SKIPPED, since there is neither 'docker compose' nor 'docker-compose' here")
        return
    try:
        compose = Compose(choose_base_images())
        try:
            test(compose)
        except Exception:
            print(subprocess.run([*compose.command, "logs", "--tail=40"], cwd=ROOT, env=compose.environment,
                                 text=True, capture_output=True, timeout=STEP_LIMIT).stdout)
            raise
        finally:
            compose("down", "--volumes", "--timeout", "5", limit=2 * STEP_LIMIT)
    except (Failure, subprocess.TimeoutExpired) as error:
        sys.exit(f"compose test: FAILED: {error}")
    say("passed")


if __name__ == "__main__":
    main()
