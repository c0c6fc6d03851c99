"""A steady load of tasks with keys, and a record of what was said of each: a line of JSON for each answer.

    load.py NAME HOST:PORT          ends when standard input does, after the last result

Runs on the host and inside the grid's network alike.
"""

import itertools
import json
import sys
import threading
import time

import taskgrid

LANES = 8
PAUSE = 0.05
PATIENCE = 10.0
# How long results are waited for after the end of the load.
REST = 120.0


class Load:
    def __init__(self, name, address):
        self.name, self.address = name, address
        self.numbers = itertools.count()
        self.stopped = threading.Event()
        self.printing = threading.Lock()
        self.deadline = None

    def say(self, **record):
        with self.printing:
            print(json.dumps(record), flush=True)

    def lane(self):
        client = taskgrid.Client(self.address, patience=PATIENCE)
        while not self.stopped.is_set():
            key = f"{self.name}-{next(self.numbers)}"
            receipt = self.submitted(client, key)
            if receipt is not None:
                self.say(acknowledged=receipt.task_id, key=key)
                self.say(task=receipt.task_id, key=key, **self.end(client, receipt.task_id))
            time.sleep(PAUSE)

    def submitted(self, client, key):
        """Asks until somebody says yes or no. Nothing else may be left behind, or nobody knew what to expect."""
        while not self.is_late():
            try:
                return client.submit("reverse", f"task {key}", key=key, max_attempts=50)
            except taskgrid.Unknown:
                self.say(unknown=key)
            except taskgrid.Rejected as refusal:
                self.say(refused=key, code=refusal.code)
                time.sleep(0.2)
                if self.stopped.is_set():
                    return None
        return None

    def end(self, client, task):
        while not self.is_late():
            try:
                return {"result": client.wait(task, timeout=5.0)}
            except (taskgrid.Unknown, taskgrid.NotReady):
                continue
            except taskgrid.Rejected as refusal:
                if refusal.code == "NOT_FOUND":
                    return {"lost": str(refusal)}
            except taskgrid.TaskFailed as failure:
                return {"failed": str(failure)}
        return {"lost": "no result in time"}

    def is_late(self):
        return self.deadline is not None and time.monotonic() > self.deadline

    def run(self):
        lanes = [threading.Thread(target=self.lane) for _ in range(LANES)]
        for lane in lanes:
            lane.start()
        sys.stdin.read()
        self.deadline = time.monotonic() + REST
        self.stopped.set()
        for lane in lanes:
            lane.join()


Load(*sys.argv[1:]).run()
