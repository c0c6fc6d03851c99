"""Huey on SQLite: there is no server, client and consumer open the same file."""

import os

from peers.base import ALONE, PYTHON_PROGRAMS, NotRun, System, output_of, single

# A second thread only waits for the first one's lock on the file.
WORKERS = 1

# How long the consumer waits, in seconds, when it found nothing. The default, 0.1 to 10 s, is kind to idle machines.
DELAY = 0.001


class Synced(System):
    """Each commit is synced."""

    name = "Huey on SQLite"
    setting = "fsync=True"
    durable = True
    acknowledged = "the row is in SQLite's write-ahead log, synced"
    seen = "the result is in SQLite's write-ahead log, synced; it is gone once read"
    loads = (ALONE, single(64))
    fsync = "1"

    def __init__(self, installation):
        super().__init__(installation)
        self.environment = None

    def version(self):
        python = self.installation.environment / "bin" / "python"
        huey = output_of(python, "-c", "import huey; print(huey.__version__)")
        if not huey[:1].isdigit():
            raise NotRun("Huey is not installed")
        return f"Huey {huey}"

    def start(self, directory, processes):
        self.environment = {
            **os.environ,
            "COMPARE_DATABASE": str(directory / "huey.db"),
            "COMPARE_FSYNC": self.fsync,
        }
        python = self.installation.environment / "bin" / "python"
        processes.start(
            "huey",
            *(python, "-m", "huey.bin.huey_consumer", "huey_tasks.queue"),
            *("--workers", WORKERS, "--delay", DELAY, "--max-delay", DELAY, "--backoff", 1, "--no-periodic", "--quiet"),
            role="worker",
            cwd=PYTHON_PROGRAMS,
            env=self.environment,
        )

    def put_load(self, load, seconds):
        return self.drive_in_python("huey_load.py", self.environment, load, seconds)


class Unsynced(Synced):
    """Commits are left to the kernel."""

    setting = "fsync=False"
    durable = False
    acknowledged = "the row is in SQLite's write-ahead log, not synced"
    seen = "the result is in SQLite's write-ahead log, not synced; it is gone once read"
    fsync = "0"


SYSTEMS = [Synced, Unsynced]
