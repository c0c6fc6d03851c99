"""The servers of a measurement: each in a session of its own, and none outlives the run."""

import dataclasses
import os
import pathlib
import signal
import socket
import subprocess

# Then a server that was asked to stop is killed.
PATIENCE = 5

TICKS = os.sysconf("SC_CLK_TCK")


def free_port(kind=socket.SOCK_STREAM):
    """A port of loopback that nobody uses just now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclasses.dataclass
class Started:
    """A process, and whether it is the server or a worker."""

    name: str
    role: str
    process: subprocess.Popen


class Processes:
    """Context of started processes, which ends them all."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self.started:
            each.process.send_signal(signal.SIGTERM)
        for each in self.started:
            try:
                each.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                pass
            # Also what it started and left behind.
            try:
                os.killpg(each.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            each.process.wait()

    def start(self, name, *command, role="server", user=None, **options):
        """Starts a process, whose output goes to a file of its name. It dies with this program, however that ends."""
        words = ["setpriv", "--pdeathsig", "KILL"]
        if user:
            words += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        words += ["--", *(str(word) for word in command)]
        with open(self.directory / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **{"cwd": self.directory, **options},
            )
        self.started.append(Started(name, role, process))
        return process

    def run(self, name, *command, **options):
        """The same for what ends by itself, and must end well."""
        process = self.start(name, *command, **options)
        process.wait()
        self.started.pop()
        if process.returncode != 0:
            raise RuntimeError(f"{name} ended with {process.returncode}")

    def check(self):
        """Raises when one has ended by itself."""
        for each in self.started:
            if each.process.poll() is not None:
                raise RuntimeError(f"{each.name} ended with {each.process.returncode}")

    def cpu_seconds(self, role):
        """The processor time so far of all processes of a role, with all that they started."""
        roots = {each.process.pid for each in self.started if each.role == role}
        ticks = 0
        parents = {}
        times = {}
        for pid, parent, own, reaped in read_processes():
            parents[pid] = parent
            times[pid] = own + reaped
        for pid, spent in times.items():
            ancestor = pid
            while ancestor in parents and ancestor not in roots:
                ancestor = parents[ancestor]
            if ancestor in roots:
                ticks += spent
        return ticks / TICKS


def read_processes():
    """Of each process: its number, its parent's, its own ticks, and those of children that have ended."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = pathlib.Path(entry.path, "stat").read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name in parentheses may hold anything, spaces too.
        fields = text.rpartition(")")[2].split()
        yield int(entry.name), int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
