"""What can happen to containers. Each case returns how many faults it made."""

import contextlib
import random
import time

from engine import STEP_LIMIT, Failure, until
from grid import LEASE, SERVICES, WORKERS

CASES = {}


def case(function):
    CASES[function.__name__.replace("_", "-")] = function
    return function


def kill(grid, *services):
    grid("kill", "-s", "KILL", *services)


def moment():
    """Long enough for some dozen tasks."""
    time.sleep(random.uniform(0.3, 1.5))


@case
def kill_dispatcher(grid, times=10):
    for _ in range(times):
        kill(grid, "dispatcher")
        moment()
        grid("start", "dispatcher")
        moment()
    return times


@case
def crash_dispatcher(grid, times=2):
    """From within: the engine itself starts it again."""
    for _ in range(times):
        before = grid.inspect("dispatcher", ".RestartCount")
        # It takes the exec itself along, so what that returns says nothing.
        with contextlib.suppress(Failure):
            # All but the container's own init.
            grid("exec", "-T", "dispatcher", "sh", "-c", "kill -KILL -1")
        until("the dispatcher was not restarted", STEP_LIMIT, lambda: grid.inspect("dispatcher", ".RestartCount") != before)
    return times


@case
def kill_workers(grid):
    for worker in WORKERS:
        kill(grid, worker)
        moment()
        grid("start", worker)
        moment()
    return len(WORKERS)


@case
def kill_nameservice(grid):
    kill(grid, "nameservice")
    time.sleep(LEASE)
    grid("start", "nameservice")
    moment()
    return 1


@case
def kill_all(grid):
    kill(grid, *SERVICES)
    moment()
    grid("start")
    moment()
    return len(SERVICES)


@case
def pause_beyond_the_lease(grid, services=("worker-reverse", "worker", "dispatcher")):
    for service in services:
        grid("pause", service)
        time.sleep(LEASE * 1.5)
        grid("unpause", service)
        moment()
    return len(services)


@case
def cut_off(grid, services=SERVICES):
    """Off the network, and on it again."""
    for service in services:
        grid.disconnect(service)
        time.sleep(LEASE * 1.5)
        grid.connect(service)
        moment()
    return len(services)


@case
def move_worker(grid):
    """Its container is made anew and has another address: the first success there within ten seconds."""
    grid.recreate_elsewhere("worker-reverse")
    begun, now = time.monotonic(), grid.sql("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now")[0]["now"]
    done = (
        "SELECT count(*) AS n FROM tasks WHERE status = 'done' AND assigned_worker = 'worker-reverse:6000' "
        f"AND timestamp_dispatched > '{now}'"
    )
    until("the worker has done nothing at its new address", 10, lambda: grid.sql(done)[0]["n"] > 0)
    return 1, f"first success {time.monotonic() - begun:.1f} s after its start"


@case
def move_dispatcher(grid):
    grid.recreate_elsewhere("dispatcher")
    moment()
    return 1


@case
def scale(grid):
    for count in (5, 1):
        grid.up("--no-recreate", "--scale", f"worker={count}")
        served = lambda: grid("exec", "-T", "dispatcher", "taskgrid", "workers", "--output", "json").count('"upper"')
        # One more serves the type: worker-scripts.
        until(f"{count + 1} workers are not known", STEP_LIMIT, lambda: served() == count + 1)
    return 2


@case
def down_and_up(grid):
    """All containers go, and the network too; the volume stays."""
    grid.down()
    grid.up()
    return 1


# A client there would keep the network in use.
down_and_up.inside = False
