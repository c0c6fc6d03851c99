"""Does what it reads, one JSON object a line, and prints what came of it: talker.py HOST:PORT PATIENCE."""

import json
import sys

import taskgrid


def perform(client, op):
    verb, task_id = op["op"], op.get("task")
    if verb == "submit":
        of_the_test = ("op", "as", "expect", "or_when_repeated", "or_when_resent", "patience")
        options = {name: value for name, value in op.items() if name not in of_the_test}
        return client.submit(**options)._asdict()
    if verb == "submit_many":
        # Half of them as pairs, half with names.
        tasks = [task if n % 2 else dict(zip(("type", "payload"), task)) for n, task in enumerate(op["tasks"])]
        return [told(one) for one in client.submit_many(tasks)]
    if verb == "wait":
        return client.wait(task_id, op.get("timeout"), file_id=op.get("file_id"))
    if verb == "ping":
        return client.ping()
    return getattr(client, verb)(task_id, file_id=op.get("file_id"))


def told(outcome):
    if isinstance(outcome, taskgrid.Rejected):
        return {"rejected": outcome.code}
    if isinstance(outcome, taskgrid.Unknown):
        return {"unknown": outcome.key}
    if isinstance(outcome, taskgrid.NotReady):
        return {"not_ready": outcome.args[0]}
    if isinstance(outcome, taskgrid.TaskFailed):
        return {"failed": {"code": outcome.code, "message": outcome.message, "attempts": outcome.attempts}}
    if isinstance(outcome, taskgrid.TaskCancelled):
        return {"cancelled": True}
    return {"ok": outcome._asdict() if isinstance(outcome, taskgrid.Receipt) else outcome}


def main():
    address, patience = sys.argv[1], float(sys.argv[2])
    client = taskgrid.Client(address, patience)
    for line in sys.stdin:
        op = json.loads(line)
        asked = taskgrid.Client(address, op["patience"]) if "patience" in op else client
        try:
            outcome = {"ok": perform(asked, op)}
        except Exception as error:
            outcome = told(error)
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
