"""The rounds: each goes through all systems once, and measures each load of each."""

import pathlib
import shutil
import subprocess
import tempfile
import time

from peers.base import NotRun
from probe import probe
from processes import Processes

# Before each measurement the load runs for so long, uncounted.
WARM_UP = 0.5

PROBE = 1.0


class Row:
    """One system under one load, in all rounds."""

    def __init__(self, system, load):
        self.system = system
        self.load = load
        self.measurements = []
        # Why there are fewer measurements than rounds.
        self.problems = []

    def document(self):
        system, load = self.system, self.load
        return {
            "system": system.name,
            "setting": system.setting,
            "durable": system.durable,
            "acknowledged": system.acknowledged,
            "seen": system.seen,
            "group": load.group,
            "load": load.label,
            "measurements": self.measurements,
            "problems": self.problems,
        }


class Comparison:
    """Measures in turns, until all rounds are done or the time is up."""

    def __init__(self, systems, options):
        self.systems = systems
        self.options = options
        self.versions = {}
        self.rows = {
            system: [Row(system, load) for load in system.loads if load.group in options.groups] for system in systems
        }
        self.deadline = time.monotonic() + options.limit * 60

    def run(self):
        runnable = [system for system in self.systems if self.rows[system] and self.is_there(system)]
        for number in range(self.options.rounds):
            # To and fro, so that nobody always comes after the same neighbour.
            for system in runnable if number % 2 == 0 else reversed(runnable):
                if time.monotonic() > self.deadline:
                    print(f"the limit of {self.options.limit:g} minutes is reached", flush=True)
                    return
                self.run_system(system, number + 1)

    def is_there(self, system):
        try:
            self.versions[system.name] = system.version()
        except NotRun as reason:
            self.fail(system, f"not run: {reason}")
            return False
        return True

    def run_system(self, system, number):
        # A directory that the user of a server may enter, too.
        directory = pathlib.Path(tempfile.mkdtemp(prefix="taskgrid-compare-", dir=self.options.directory))
        directory.chmod(0o755)
        data = directory / "data"
        data.mkdir()
        try:
            with Processes(directory) as processes:
                system.start(data, processes)
                for row in self.rows[system]:
                    self.run_row(row, directory, processes, number)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            self.fail(system, f"round {number}: {error}")
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def run_row(self, row, directory, processes, number):
        seconds = self.options.seconds
        disk = probe(directory, min(PROBE, seconds))
        try:
            row.system.put_load(row.load, min(WARM_UP, seconds))
            before = {role: processes.cpu_seconds(role) for role in ("server", "worker")}
            figures = row.system.put_load(row.load, seconds)
            spent = {role: processes.cpu_seconds(role) - before[role] for role in before}
            processes.check()
        except (RuntimeError, subprocess.SubprocessError) as error:
            row.problems.append(f"round {number}: {error}")
            say(row, row.problems[-1])
            return
        faults = [f"{figures[kind]} {kind}" for kind in ("lost", "wrong", "repeated") if figures.get(kind)]
        if faults:
            row.problems.append(f"round {number}: of {figures['tasks']} results {', '.join(faults)}")
        measurement = summarize(figures, spent, disk)
        row.measurements.append({"round": number, **measurement, "faults": faults})
        say(
            row,
            f"{measurement['tasks_per_second']:>9,.0f} tasks/s   "
            f"p50 {measurement['p50_ms']:>7.2f}   p99 {measurement['p99_ms']:>7.2f} ms   "
            f"CPU {measurement['server_us']:>6.1f} server, {measurement['all_us']:>6.1f} all, µs/task   "
            f"disk {disk['syncs_per_second']:>5,.0f} syncs/s   {' '.join(faults)}",
        )

    def fail(self, system, reason):
        for row in self.rows[system]:
            row.problems.append(reason)
            say(row, reason)

    def document(self):
        return {
            "rounds": self.options.rounds,
            "seconds": self.options.seconds,
            "versions": self.versions,
            "rows": [row.document() for rows in self.rows.values() for row in rows],
        }


def summarize(figures, spent, disk):
    """What is kept of one measurement. Processor time is told for each task, in microseconds."""
    tasks = max(figures["tasks"], 1)
    everybody = {**spent, "driver": figures["driver_cpu_s"]}
    return {
        "tasks": figures["tasks"],
        "seconds": figures["seconds"],
        "tasks_per_second": figures["tasks_per_second"],
        "p50_ms": figures["p50_ms"],
        "p99_ms": figures["p99_ms"],
        **{f"{role}_us": seconds / tasks * 1e6 for role, seconds in everybody.items()},
        "all_us": sum(everybody.values()) / tasks * 1e6,
        "disk": disk,
    }


def say(row, text):
    print(f"{row.system.name + ', ' + row.system.setting:<48.48} {row.load.label:<36.36} {text}", flush=True)
