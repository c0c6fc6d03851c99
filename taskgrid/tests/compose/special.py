"""Cases that need a grid of their own."""

import socket
import time

import basics
from engine import STEP_LIMIT, Failure, run, say, until
from grid import IMAGE
from history import Loads

CASES = {}


def case(**override):
    def register(function):
        function.override = override
        CASES[function.__name__.replace("_", "-")] = function
        return function

    return register


SMALL_VOLUME = {"volumes": {"tasks": {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=48m,uid=10001"}}}}
LITTLE_FREE = {"services": {"dispatcher": {"environment": {"TASKGRID_MIN_FREE": "4000000", "TASKGRID_LEASE": "5"}}}}


@case(**SMALL_VOLUME)
def full_volume(grid):
    """The volume fills up, and has space again: the same process goes on, and what it said stays true."""
    grid.up()
    loads = Loads(grid, "full-volume")
    loads.wait_for_first()
    before = grid.inspect("dispatcher", ".State.StartedAt")
    grid("exec", "-T", "dispatcher", "sh", "-c", "head -c 200m /dev/zero >/data/filler 2>/dev/null || true")
    until("no task was refused on a full volume", STEP_LIMIT, lambda: refusal(grid) in ("DISK_LOW", "DISK_FULL"))
    time.sleep(3)
    grid("exec", "-T", "dispatcher", "rm", "/data/filler")
    until("tasks are refused though there is space", STEP_LIMIT, lambda: refusal(grid) is None)
    history = loads.stop()
    again = history.check(grid, "full-volume")
    if grid.inspect("dispatcher", ".State.StartedAt") != before:
        raise Failure("the dispatcher was started anew")
    say(
        f"full-volume: 1 fault, {len(history.acknowledged)} acknowledged, 0 lost, {sum(again.values())} attempts more than one, "
        f"{sum(history.refused.values())} refused meanwhile, same process"
    )


def refusal(grid):
    return basics.ask(grid.port, "POST_TASK", type="upper", payload="x", key=f"probe-{time.monotonic_ns()}").get("code")


@case()
def long_lived_client(grid):
    """One socket on the host, from before a restart of the dispatcher to after it."""
    grid.up()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("127.0.0.1", grid.port))
        udp.settimeout(0.2)
        for number in range(4):
            reply = basics.ask_on(udp, "POST_TASK", type="reverse", payload="OpenAI", key=f"long-lived-{number}")
            if reply.get("task_id") is None:
                raise Failure(f"the socket was answered {reply}")
            if number % 2 == 0:
                grid("kill", "-s", "KILL", "dispatcher")
                grid("start", "dispatcher")
            else:
                grid.recreate_elsewhere("dispatcher")
    say("long-lived-client: 4 faults, 4 acknowledged through one socket")
