"""TaskGrid+ itself: three processes, with the client that comes with it."""

import json
import socket

from peers.base import ALONE, Load, NotRun, System, output_of, run_driver, single, wait_until
from processes import free_port

# For the first run of a load, whose pace tells how many tasks the next one needs.
FIRST_TASKS = {"alone": 200, "single": 4000, "batch": 10000}


class TaskGrid(System):
    """Every guarantee on, as it always is."""

    name = "TaskGrid+"
    setting = "as it comes"
    durable = True
    acknowledged = "the row is in SQLite's write-ahead log, synced"
    seen = "the result is in the row, synced"
    loads = (
        ALONE,
        single(64),
        single(1024),
        Load("batch", 1024, batch=32, label="1,024 in flight, `--arrays`"),
        Load("batch", 4096, batch=32, label="4,096 in flight, `--arrays`"),
    )

    def __init__(self, installation):
        super().__init__(installation)
        self.dispatcher = None
        self.pace = {}

    def version(self):
        if not self.installation.taskgrid.exists():
            raise NotRun(f"{self.installation.taskgrid} is not there; build it with cargo build --release")
        return output_of(self.installation.taskgrid, "--version")

    def start(self, directory, processes):
        program = self.installation.taskgrid
        nameservice, dispatcher, worker = (f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}" for _ in range(3))
        processes.start("nameservice", program, "nameservice", "--listen", nameservice)
        processes.start(
            "dispatcher",
            program,
            "dispatcher",
            *("--listen", dispatcher, "--nameservice", nameservice, "--database", "taskgrid.db"),
        )
        processes.start(
            "worker",
            program,
            "worker",
            *("--listen", worker, "--nameservice", nameservice, "--types", "reverse", "--concurrency", "1024"),
            role="worker",
        )
        self.dispatcher = dispatcher
        self.pace = {}
        wait_until(self.works, "taskgrid")

    def works(self):
        """Whether a task is done: then the worker is known, too."""
        report = output_of(*self.bench(1, 1), "--deadline", "2", "--output", "json")
        return report.startswith("{") and json.loads(report)["right"] == 1

    def bench(self, tasks, in_flight):
        program = self.installation.taskgrid
        return [program, "bench", "--dispatcher", self.dispatcher, f"--tasks={tasks}", f"--in-flight={in_flight}"]

    def put_load(self, load, seconds):
        pace = self.pace.get(load)
        tasks = max(int(pace * seconds), load.in_flight) if pace else FIRST_TASKS[load.group]
        arrays = ["--arrays"] if load.batch > 1 else []
        report = run_driver([*self.bench(tasks, load.in_flight), *arrays, "--output", "json"], seconds)
        self.pace[load] = report["tasks_per_second"]
        return {**report, "lost": report["missing"]}


SYSTEMS = [TaskGrid]
