"""What every peer has to say of itself, and the loads that all are put under."""

import abc
import dataclasses
import json
import pathlib
import resource
import subprocess
import time

# A measurement that has not ended so long after its time is given up. Drivers wait thirty seconds for missing results.
GRACE = 40

# What drives a peer with its own library, and what its workers run.
PYTHON_PROGRAMS = pathlib.Path(__file__).parent.parent / "python_load"


class NotRun(Exception):
    """Why a peer, or one setting of it, cannot be measured here."""


@dataclasses.dataclass(frozen=True)
class Load:
    """What is done to a system."""

    group: str
    in_flight: int
    # How many tasks share a commit, a write or a datagram.
    batch: int = 1
    # How many connections submit.
    connections: int = 16
    # How a table says it.
    label: str = ""


def single(in_flight, connections=64):
    return Load("single", in_flight, connections=connections, label=f"{in_flight:,} in flight")


ALONE = Load("alone", 1, connections=1, label="1 in flight")


@dataclasses.dataclass(frozen=True)
class Installation:
    """Where things are on this machine."""

    taskgrid: pathlib.Path
    driver: pathlib.Path
    # Has Celery, Huey and nats-server, as far as they could be had.
    environment: pathlib.Path


class System(abc.ABC):
    """A peer in one setting."""

    # As tables call them.
    name: str
    setting: str
    # Whether a task is on stable storage before it is acknowledged.
    durable: bool
    # In words: what is where when the client has its acknowledgement, and when it sees the result.
    acknowledged: str
    seen: str
    loads: tuple
    # Debian's packages that have the server.
    packages: tuple = ()

    def __init__(self, installation):
        self.installation = installation

    @abc.abstractmethod
    def version(self):
        """The version of the server; raises NotRun where there is none that has this setting."""

    @abc.abstractmethod
    def start(self, directory, processes):
        """Starts a fresh server in an empty directory, and returns when it answers."""

    @abc.abstractmethod
    def put_load(self, load, seconds):
        """Runs the load for about so long, and returns what its driver reports."""

    def drive(self, system, port, load, seconds):
        """Has the compiled driver do it."""
        return run_driver(
            [
                self.installation.driver,
                system,
                f"--port={port}",
                f"--in-flight={load.in_flight}",
                f"--batch={load.batch}",
                f"--connections={load.connections}",
                f"--seconds={seconds}",
            ],
            seconds,
        )

    def drive_in_python(self, program, environment, load, seconds):
        """Has a program of `python_load` do it, with the peer's own library."""
        python = self.installation.environment / "bin" / "python"
        command = [python, program, str(load.in_flight), str(seconds)]
        return run_driver(command, seconds, cwd=PYTHON_PROGRAMS, env=environment)


def run_driver(command, seconds, **options):
    """Runs a driver to its end, and returns its report with the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=seconds + GRACE, check=False, **options
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # A client that finds wrong results may end with an error, and still reports.
    if not ended.stdout.strip():
        said = ended.stderr.strip().splitlines() or ["nothing said"]
        raise RuntimeError(f"{pathlib.Path(command[0]).name} ended with {ended.returncode}: {said[-1]}")
    report = json.loads(ended.stdout)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report.setdefault("driver_cpu_s", spent)
    return report


def wait_until(ready, what, seconds=15):
    """Asks again and again, until a server is there."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not answer within {seconds} s")
        time.sleep(0.02)


def output_of(*command):
    """The first line that a program prints; raises NotRun where there is no such program."""
    try:
        ended = subprocess.run(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=10,
            check=False,
        )
    except FileNotFoundError:
        raise NotRun(f"{command[0]} is not installed") from None
    lines = [line.strip() for line in ended.stdout.splitlines() if line.strip()]
    return lines[0] if lines else ""
