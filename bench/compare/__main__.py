#!/usr/bin/env python3
"""TaskGrid+ beside other queues, in turns, on this machine.

    python3 bench/compare                        all of it, about 20 minutes
    python3 bench/compare --seconds 1 --rounds 1 whether it works
    python3 bench/compare --only taskgrid,nats --groups alone

Starts servers of its own on free ports of loopback with empty databases, and stops them. Installs what is missing,
where it may, and says so. README.md beside this file tells what is compared, and how far that is fair.
"""

import argparse
import datetime
import pathlib
import shlex
import signal
import sys

import chart
import install
import machine
import report
from comparison import Comparison
from peers import MODULES

HERE = pathlib.Path(__file__).resolve().parent


def names(known):
    """Reads a list with commas, of known names."""

    def read(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(known)}")
        return chosen

    return read


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench/compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    groups = list(report.GROUPS)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often to go through all systems [3]")
    parser.add_argument("--seconds", type=float, default=5, metavar="S", help="how long a measurement is [5]")
    parser.add_argument("--limit", type=float, default=40, metavar="MINUTES", help="then no other one begins [40]")
    parser.add_argument("--only", type=names(MODULES), default=list(MODULES), metavar="NAME,…", help=", ".join(MODULES))
    parser.add_argument("--groups", type=names(groups), default=groups, metavar="NAME,…", help=", ".join(groups))
    parser.add_argument("--taskgrid", type=pathlib.Path, metavar="FILE", help="the program [target/release/taskgrid]")
    parser.add_argument("--directory", default="/var/tmp", metavar="DIR", help="where databases are [/var/tmp]")
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results", metavar="DIR", help="where results go")
    parser.add_argument("--no-install", action="store_true", help="leave out what is not installed")
    return parser.parse_args()


def stop(*_):
    """Servers are stopped on the way out, as after Ctrl-C."""
    raise KeyboardInterrupt


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, stop)
    if machine.lies_in_memory(options.directory):
        sys.exit(f"{options.directory} is in memory, so nothing would be durable; choose another --directory")
    began = datetime.datetime.now(datetime.timezone.utc)
    taskgrid = options.taskgrid or HERE.parent.parent / "target" / "release" / "taskgrid"
    installation = install.prepare(taskgrid, [MODULES[name] for name in options.only], not options.no_install)
    systems = [system(installation) for name in options.only for system in MODULES[name].SYSTEMS]
    comparison = Comparison(systems, options)
    try:
        comparison.run()
    except KeyboardInterrupt:
        print("stopped; what was measured is written", flush=True)
    document = {
        "began": began.isoformat(timespec="seconds"),
        "command": shlex.join(["python3", "bench/compare", *sys.argv[1:]]),
        "machine": machine.describe(options.directory),
        **comparison.document(),
    }
    for path in report.write(document, options.output), chart.write(document, options.output):
        print(path)


if __name__ == "__main__":
    main()
