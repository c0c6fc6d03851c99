#!/usr/bin/env python3
"""A plain worker: it registers, beats, takes TASKs on its port and returns results. No leases, no ids.

It differs from a careful program in the ways that plain workers do, and the grid must bear it:
  - it builds its task from `data` and chokes on a field that it does not know;
  - it returns results from a second socket, which nobody ever reads: no answer reaches it;
  - it says each result once, runs one task at a time, and forgets all when it is killed.

Prints one JSON object a line: {"event": "listening" | "registered" | "started" | "returned" | "failed", …}.
"""

import argparse
import dataclasses
import importlib.util
import json
import pathlib
import socket
import sys
import threading
import time

WORKER_TYPES = pathlib.Path(__file__).resolve().parents[3] / "worker_types"


@dataclasses.dataclass
class Task:
    """The task object of the wire. `Task(**data)` raises TypeError for any field more or less."""

    id: int
    type: str
    payload: object
    result: object
    status: str
    timestamp_created: float
    timestamp_completed: float
    assigned_worker: str


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def show(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def say(udp, to, kind, data):
    udp.sendto(json.dumps({"type": kind, "data": data}).encode(), to)


def register(nameservice, entry):
    """Says REGISTER_WORKER once a second until the name service answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(1)
        while True:
            say(udp, nameservice, "REGISTER_WORKER", entry)
            try:
                reply = json.loads(udp.recv(65536))
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.1)
                continue
            if reply.get("message") != "Successfully registered":
                sys.exit(f"the name service refused: {reply}")
            return


def beat(nameservice, entry, interval):
    """Says HEARTBEAT for ever, and does not care who hears it."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        time.sleep(interval)
        say(udp, nameservice, "HEARTBEAT", entry)


def load_handler(directory, kind):
    """`handle` of the module that is named like the task type."""
    spec = importlib.util.spec_from_file_location(f"worker_type_{kind}", directory / f"{kind}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handle


def work(inbox, outbox, dispatcher, handlers, delay):
    while True:
        message = json.loads(inbox.recv(65536))
        if message["type"] != "TASK":
            continue
        task = Task(**message["data"])
        show("started", task_id=task.id, payload=task.payload)
        time.sleep(delay)
        try:
            answer = {"result": load_handler(handlers, task.type)(task.payload)}
        except Exception as error:
            answer = {"error": str(error)}
        say(outbox, dispatcher, "RESULT_RETURN", {"task_id": task.id, **answer})
        show("returned" if "result" in answer else "failed", task_id=task.id, **answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("type", help="the task type to serve")
    parser.add_argument("--listen", default="127.0.0.1:6000", metavar="HOST:PORT", help="port 0 takes a free one")
    parser.add_argument("--nameservice", default="127.0.0.1:5001", metavar="HOST:PORT")
    parser.add_argument("--dispatcher", default="127.0.0.1:4000", metavar="HOST:PORT")
    parser.add_argument("--handlers", type=pathlib.Path, default=WORKER_TYPES, metavar="DIR")
    parser.add_argument("--heartbeat", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--delay", type=float, default=0, metavar="SECONDS", help="how long each task takes at least")
    args = parser.parse_args()

    inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inbox.bind(address(args.listen))
    outbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own = "{}:{}".format(*inbox.getsockname())
    show("listening", address=own)

    entry = {"type": args.type, "address": own}
    nameservice = address(args.nameservice)
    register(nameservice, entry)
    show("registered", **entry)
    threading.Thread(target=beat, args=(nameservice, entry, args.heartbeat), daemon=True).start()
    work(inbox, outbox, address(args.dispatcher), args.handlers, args.delay)


if __name__ == "__main__":
    main()
