"""What clients were told, and whether it is true."""

import collections
import json
import pathlib
import subprocess
import sys

from engine import ROOT, Failure
from grid import IMAGE

HERE = pathlib.Path(__file__).resolve().parent
SDK = ROOT / "sdk" / "python"


class Loads:
    """Clients outside, through the published port, and inside the grid's network, until they are stopped."""

    def __init__(self, grid, name, inside=True):
        self.grid = grid
        container = ["docker", "run", "--rm", "--interactive", "--network", grid.network, "--entrypoint", "python3"]
        container += ["--volume", f"{HERE}:/load:ro", "--volume", f"{SDK}:/sdk:ro", "--env", "PYTHONPATH=/sdk", f"{IMAGE}-python"]
        # Lines that were read before the end.
        self.first = []
        self.clients = [
            self.start([sys.executable, str(HERE / "load.py"), f"{name}-outside", f"127.0.0.1:{grid.port}"])
        ]
        if inside:
            self.clients.append(self.start([*container, "/load/load.py", f"{name}-inside", "dispatcher:4000"]))

    def start(self, command):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, text=True, env={"PYTHONPATH": str(SDK), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, **pipes)

    def wait_for_first(self):
        """Until each has been told of a task."""
        for client in self.clients:
            self.first.append(client.stdout.readline())

    def stop(self):
        """Lets them finish what they have begun; returns all that was said."""
        for client in self.clients:
            client.stdin.close()
            client.stdin = None
        records = []
        for client in self.clients:
            output, errors = client.communicate(timeout=300)
            if client.returncode != 0:
                raise Failure(f"a client ended with {client.returncode}: {errors[-2000:]}")
            records += map(json.loads, output.splitlines())
        records += map(json.loads, self.first)
        return History(records)


class History:
    def __init__(self, records):
        self.acknowledged = {record["acknowledged"]: record["key"] for record in records if "acknowledged" in record}
        self.ends = {record["task"]: record for record in records if "task" in record}
        self.unknown = sum("unknown" in record for record in records)
        self.refused = collections.Counter(record["code"] for record in records if "refused" in record)

    def check(self, grid, name):
        """Every acknowledged task has one row with its payload, is done, and everybody was told its right result."""
        rows = grid.sql(
            "SELECT id, request_key AS key, payload, status, result FROM tasks "
            f"WHERE request_key GLOB '{name}-*'"
        )
        by_id = {row["id"]: row for row in rows}
        problems = []
        for task, key in self.acknowledged.items():
            payload = f"task {key}"
            expected = {"id": task, "key": key, "payload": json.dumps(payload), "status": "done", "result": json.dumps(payload[::-1])}
            if by_id.get(task) != expected:
                problems.append(f"lost: {key} was acknowledged as {task}, whose row is {by_id.get(task)}")
            if self.ends.get(task, {}).get("result") != payload[::-1]:
                problems.append(f"{key}: its client was told {self.ends.get(task)}")
        problems += [f"{row['key']} is {row['status']}, and nobody knows" for row in rows if row["id"] not in self.acknowledged and row["status"] not in ("done", "cancelled")]
        for key, count in collections.Counter(row["key"] for row in rows).items():
            if count > 1:
                problems.append(f"{key} has {count} rows")
        if problems:
            raise Failure(f"{len(problems)} things are not as they should be, such as: " + "; ".join(problems[:5]))
        if not self.acknowledged:
            raise Failure("nothing was acknowledged")
        return self.again(grid, name)

    def again(self, grid, name):
        """Attempts beyond the recorded one, by cause."""
        causes = grid.sql(
            "SELECT outcome, count(*) AS n FROM task_attempts JOIN tasks ON tasks.id = task_id "
            f"WHERE request_key GLOB '{name}-*' AND charged GROUP BY outcome ORDER BY outcome"
        )
        return {row["outcome"]: row["n"] for row in causes}
