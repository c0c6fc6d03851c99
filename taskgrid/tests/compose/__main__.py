#!/usr/bin/env python3
"""The compose file on a real engine: images, handler files, and faults of containers under a steady load.

    python3 taskgrid/tests/compose               what every change must pass, some minutes
    python3 taskgrid/tests/compose all           every fault, as often as it is worth
    python3 taskgrid/tests/compose CASE...       some of them: kill-dispatcher, move-worker, full-volume, ...

Standard library only; removes what it starts. Where no engine answers, it says so in one line and passes. Where the base
images of the Dockerfile are neither there nor to be pulled, it makes stand-ins: Debian by debootstrap, and on it this
machine's own Rust toolchain. That needs root and a Debian mirror. Stand-ins and built images stay in the engine, so
that the next run is quick.
"""

import signal
import subprocess
import sys
import time

import basics
import special
from cases import CASES
from engine import Failure, choose_base_images, missing, say
from grid import Grid
from history import Loads

# Of the cases, those of every run, and with what.
CI = {
    "kill-dispatcher": {"times": 3},
    "crash-dispatcher": {"times": 1},
    "kill-all": {},
    "pause-beyond-the-lease": {"services": ["worker-reverse"]},
    "cut-off": {"services": ["dispatcher"]},
    "move-worker": {},
    "move-dispatcher": {},
    "scale": {},
    "down-and-up": {},
}


def run_case(grid, name, options):
    """A case under load, and then the question whether all is as its clients were told."""
    loads = Loads(grid, name, getattr(CASES[name], "inside", True))
    try:
        # So that tasks are under way when the first fault comes.
        loads.wait_for_first()
        done = CASES[name](grid, **options)
    finally:
        history = loads.stop()
    faults, *more = done if isinstance(done, tuple) else (done,)
    again = history.check(grid, name)
    causes = f" ({', '.join(f'{n} {cause}' for cause, n in again.items())})" if again else ""
    unknown = f", {history.unknown} unknown for a while" if history.unknown else ""
    say(
        f"{name}: {faults} faults, {len(history.acknowledged)} acknowledged, 0 lost, "
        f"{sum(again.values())} attempts more than one{causes}{unknown}{''.join(f', {text}' for text in more)}"
    )


def with_grid(build_arguments, test, override=None):
    grid = Grid(build_arguments, override)
    try:
        test(grid)
    except Exception:
        print(grid.logs())
        raise
    finally:
        grid.down("--volumes")


def choose(arguments):
    """The basics, the cases with their options, and the special ones."""
    if not arguments:
        return True, CI, []
    if arguments == ["all"]:
        return True, {name: {} for name in CASES}, list(special.CASES)
    unknown = [name for name in arguments if name not in CASES and name not in special.CASES]
    if unknown:
        sys.exit(f"there is no case {unknown[0]!r}; there are {', '.join([*CASES, *special.CASES])}, and 'all'")
    return False, {name: {} for name in arguments if name in CASES}, [name for name in arguments if name in special.CASES]


def main(arguments):
    # So that an interrupted run removes its containers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with_basics, cases, specials = choose(arguments)
    if (why := missing()) is not None:
        say(f"SKIPPED, since {why}")
        return
    begun = time.monotonic()
    try:
        build_arguments = choose_base_images()
        Grid(build_arguments).build()
        say(f"images are built (after {time.monotonic() - begun:.0f} s)")

        def test(grid):
            basics.test_first_result(grid)
            if with_basics:
                basics.test(grid)
            for name, options in cases.items():
                run_case(grid, name, options)
            grid.wait_until_healthy()

        if with_basics or cases:
            with_grid(build_arguments, test)
        for name in specials:
            prepare = special.CASES[name]
            with_grid(build_arguments, prepare, prepare.override)
    except (Failure, subprocess.TimeoutExpired) as error:
        sys.exit(f"compose test: FAILED: {error}")
    say(f"passed (after {time.monotonic() - begun:.0f} s)")


main(sys.argv[1:])
