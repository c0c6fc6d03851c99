#!/usr/bin/env python3
"""A plain client: POST_TASK, then GET_RESULT until there is one. No ids, no keys, no re-sent POST_TASK.

    client.py run TYPE PAYLOAD       submit and poll
    client.py post TYPE PAYLOAD      submit only
    client.py result ID              poll only

Prints one JSON object a line: {"task_id": 42} for a submission, the dispatcher's reply for a result.
Exit code: 0 there is a result, 1 there will be none, 3 refused, 4 no answer in time.
"""

import argparse
import json
import re
import socket
import sys
import time


class Silence(Exception):
    """The dispatcher did not answer in time."""


class Dispatcher:
    """Asks one question at a time, from one socket."""

    def __init__(self, address, deadline):
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.deadline = deadline
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def ask(self, kind, data, patience):
        """Sends one datagram and returns the next one that comes, within `patience` seconds."""
        self.socket.sendto(json.dumps({"type": kind, "data": data}).encode(), self.address)
        left = min(patience, self.deadline - time.monotonic())
        if left <= 0:
            raise Silence
        self.socket.settimeout(left)
        try:
            reply, _ = self.socket.recvfrom(65536)
        except (TimeoutError, ConnectionRefusedError) as error:
            raise Silence from error
        return json.loads(reply)

    def post(self, kind, payload):
        """Submits once: without a key, a second datagram would be a second task."""
        reply = self.ask("POST_TASK", {"type": kind, "payload": payload}, patience=float("inf"))
        received = re.fullmatch(r"Task received, ID = (\d+)", reply.get("message", ""))
        if not received:
            show(reply)
            sys.exit(3)
        return int(received[1])

    def poll(self, task_id):
        """Asks until the task has ended; silence is asked again, since reading changes nothing."""
        while time.monotonic() < self.deadline:
            try:
                reply = self.ask("GET_RESULT", {"task_id": task_id}, patience=1.0)
            except Silence:
                time.sleep(0.05)
                continue
            if reply.get("error") != "Result not ready":
                return reply
            time.sleep(0.05)
        raise Silence


def show(value):
    print(json.dumps(value), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dispatcher", default="127.0.0.1:4000", metavar="HOST:PORT")
    parser.add_argument("--timeout", type=float, default=30, metavar="SECONDS", help="for all of it")
    parser.add_argument("--json", action="store_true", help="PAYLOAD is a JSON value, not a string")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("run", "post"):
        arguments = verbs.add_parser(verb)
        arguments.add_argument("type")
        arguments.add_argument("payload")
    verbs.add_parser("result").add_argument("id", type=int)
    args = parser.parse_args()

    dispatcher = Dispatcher(args.dispatcher, time.monotonic() + args.timeout)
    try:
        if args.verb == "result":
            task_id = args.id
        else:
            task_id = dispatcher.post(args.type, json.loads(args.payload) if args.json else args.payload)
            show({"task_id": task_id})
        if args.verb != "post":
            reply = dispatcher.poll(task_id)
            show(reply)
            sys.exit(0 if "result" in reply else 1)
    except Silence:
        print(f"no answer from {args.dispatcher} within {args.timeout:g} s", file=sys.stderr)
        sys.exit(4)


if __name__ == "__main__":
    main()
