#!/usr/bin/env python3
"""Registers workers that do nothing at a name service, and keeps them registered until it is stopped.

    python3 bench/crowd.py --nameservice 127.0.0.1:5001 --workers 1000 --types 10

Each worker has types of its own, which nobody submits tasks of. A dispatcher learns of all of them; what that costs, and whether
it slows other types down, shows in `taskgrid bench --dispatcher` beside it.
"""

import argparse
import json
import socket
import time

HEARTBEAT_EVERY_S = 5
AT_ONCE = 50


def registration(number, types):
    """A message that registers one worker, or keeps it registered."""
    data = {
        "types": [f"crowd-{number}-{each}" for each in range(types)],
        "address": f"127.1.{number >> 8}.{number & 255}:6000",
        "instance": f"crowd-{number}",
    }
    return json.dumps({"type": "HEARTBEAT", "id": number, "data": data}).encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nameservice", default="127.0.0.1:5001", metavar="HOST:PORT")
    parser.add_argument("--workers", type=int, default=1000, metavar="N")
    parser.add_argument("--types", type=int, default=10, metavar="N", help="of each worker")
    args = parser.parse_args()
    host, port = args.nameservice.rsplit(":", 1)
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    messages = [registration(number, args.types) for number in range(args.workers)]
    while True:
        started = time.monotonic()
        for number, message in enumerate(messages):
            line.sendto(message, (host, int(port)))
            if number % AT_ONCE == AT_ONCE - 1:
                # The whole crowd at once would overflow the buffer of the name service.
                time.sleep(0.01)
        time.sleep(max(0, started + HEARTBEAT_EVERY_S - time.monotonic()))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
