"""Celery on Redis, which is its broker and keeps its results."""

import os

from peers.base import ALONE, PYTHON_PROGRAMS, NotRun, System, output_of, single, wait_until
from processes import answers, free_port

# How many tasks the worker runs at a time, in threads.
THREADS = 8


class Always(System):
    """Redis syncs before each reply, and tasks are acknowledged to it after they ran."""

    name = "Celery on Redis"
    setting = "appendfsync always, acks_late"
    durable = True
    acknowledged = "the message is in Redis's append-only file, synced"
    seen = "the result is in Redis's append-only file, synced; it stays for a day"
    loads = (ALONE, single(64))
    packages = ("redis-server",)
    appendfsync = "always"

    def __init__(self, installation):
        super().__init__(installation)
        self.environment = None

    def version(self):
        python = self.installation.environment / "bin" / "python"
        celery = output_of(python, "-c", "import celery; print(celery.__version__)")
        if not celery[:1].isdigit():
            raise NotRun("Celery is not installed")
        redis = output_of("redis-server", "--version").split(" sha")[0]
        return f"Celery {celery}, {redis}"

    def start(self, directory, processes):
        port = free_port()
        processes.start(
            "redis",
            "redis-server",
            *("--bind", "127.0.0.1", "--port", port, "--dir", directory, "--save", ""),
            *("--appendonly", "yes", "--appendfsync", self.appendfsync),
        )
        wait_until(lambda: answers(port), "redis-server")
        self.environment = {**os.environ, "COMPARE_REDIS": f"redis://127.0.0.1:{port}"}
        celery = [self.installation.environment / "bin" / "celery", "--app", "celery_tasks"]
        processes.start(
            "celery",
            *celery,
            *("worker", "--pool", "threads", "--concurrency", THREADS, "--loglevel", "WARNING"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            role="worker",
            cwd=PYTHON_PROGRAMS,
            env=self.environment,
        )

    def put_load(self, load, seconds):
        return self.drive_in_python("celery_load.py", self.environment, load, seconds)


class EverySecond(Always):
    """Redis syncs once a second."""

    setting = "appendfsync everysec, acks_late"
    durable = False
    acknowledged = "the message is in Redis's memory, synced within about a second"
    seen = "the result is in Redis's memory, synced within about a second; it stays for a day"
    appendfsync = "everysec"


SYSTEMS = [Always, EverySecond]
