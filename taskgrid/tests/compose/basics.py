"""What holds of the grid as it stands in the compose file, without faults."""

import json
import socket
import time

from engine import ROOT, STEP_LIMIT, Failure, run, say, until
from grid import IMAGE, SERVICES

MIB = 1 << 20

# An image's whole size in bytes.
SIZES = {IMAGE: 120e6, f"{IMAGE}-python": 200e6}

# From `up` on built images, in seconds.
FIRST_RESULT = 10


def expect(actual, expected, what):
    if actual != expected:
        raise Failure(f"{what}: expected {expected!r}, got {actual!r}")


def ask(port, kind, **data):
    """One request of a plain client through the published port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("127.0.0.1", port))
        return ask_on(udp, kind, **data)


def ask_on(udp, kind, **data):
    """The same on a socket that is there. Sent until it is answered; an older answer may come first."""
    udp.settimeout(0.2)
    request_id = time.monotonic_ns()
    message = json.dumps({"type": kind, "id": request_id, "data": data}).encode()
    deadline = time.monotonic() + STEP_LIMIT
    while time.monotonic() < deadline:
        try:
            udp.send(message)
            while (reply := json.loads(udp.recv(65536)))["id"] != request_id:
                pass
            return reply["data"]
        except (TimeoutError, ConnectionRefusedError):
            time.sleep(0.05)
    raise Failure(f"{kind} through the published port was not answered")


def result(port, task_type, payload, key):
    task = ask(port, "POST_TASK", type=task_type, payload=payload, key=key)["task_id"]
    probe = lambda: (reply := ask(port, "GET_RESULT", task_id=task)).get("code") != "NOT_READY" and reply
    return task, until(f"no result of {task_type}", STEP_LIMIT, probe)


def test_first_result(grid):
    """`up`, and a task through the published port."""
    begun = time.monotonic()
    grid.up()
    _, reply = result(grid.port, "reverse", "OpenAI", "first")
    expect(reply["result"], "IAnepO", "reverse through the published port")
    took = time.monotonic() - begun
    if took > FIRST_RESULT:
        raise Failure(f"the first result came {took:.1f} s after 'up', the limit is {FIRST_RESULT} s")
    say(f"first result {took:.1f} s after 'up'")


def test_client_profile(grid):
    printed = grid("run", "--rm", "-T", "client", "submit", "reverse", "OpenAI", "--wait")
    expect(printed.splitlines()[-1], "IAnepO", "the client in the grid's network")


def test_handler_files(grid):
    """Only worker-scripts has worker_types/sales.py."""
    task, reply = result(grid.port, "sales", "country,amount\nPeru,20\nMali,70.5\n", "scripts")
    expect(reply["result"], {"Mali": 70.5, "Peru": 20.0}, "worker_types/sales.py")
    row = grid.sql(f"SELECT assigned_worker FROM tasks WHERE id = {task}")
    expect(row, [{"assigned_worker": "worker-scripts:6000"}], "the worker of the handler file")


def test_images(grid):
    for image, limit in SIZES.items():
        size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", image))
        if size > limit:
            raise Failure(f"{image} has {size / 1e6:.0f} MB, the limit is {limit / 1e6:.0f}")
        say(f"{image}: {size / 1e6:.0f} MB")
    label = run("docker", "image", "inspect", "--format", '{{index .Config.Labels "org.opencontainers.image.version"}}', IMAGE)
    with open(ROOT / "Cargo.toml") as manifest:
        expect([f'version = "{label}"\n'], [line for line in manifest if line.startswith("version")], "the image's label")


def test_confinement(grid):
    """None is root, and none can write but where it should."""
    for service in SERVICES:
        expect(grid("exec", "-T", service, "id", "-u"), "10001", f"the user of {service}")
        refused = "touch /usr/local/bin/x 2>/dev/null || echo refused"
        expect(grid("exec", "-T", service, "sh", "-c", refused), "refused", f"writing into the image of {service}")
        expect(grid.inspect(service, ".HostConfig.CapDrop"), "[ALL]", f"the capabilities of {service}")


def test_idle(grid):
    """What the grid takes when nothing is to be done, without the worker that keeps Python."""
    services = [service for service in SERVICES if service != "worker-scripts"]
    resident, before = 0, cpu(grid, services)
    for service in services:
        status = grid("exec", "-T", service, "sh", "-c", "cat /proc/$(pidof -s taskgrid)/status")
        resident += next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))
    begun = time.monotonic()
    time.sleep(10)
    busy = (cpu(grid, services) - before) / (time.monotonic() - begun)
    say(f"idle, without Python: {resident / MIB:.1f} MiB resident, {busy * 100:.2f} % of a core")
    if resident > 40 * MIB:
        raise Failure(f"the idle grid has {resident / MIB:.1f} MiB resident, the limit is 40")


def cpu(grid, services):
    """Seconds that the programs have computed. The engine's own health checks are other processes."""
    ticks = 0
    for service in services:
        stat = grid("exec", "-T", service, "sh", "-c", "cat /proc/$(pidof -s taskgrid)/stat")
        fields = stat.rsplit(") ", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / 100


def test_termination(grid):
    """SIGTERM is honoured within the stop period: an exit code, and no kill."""
    for service in ("worker-reverse", "dispatcher", "nameservice"):
        begun = time.monotonic()
        grid("stop", "--timeout", "30", service)
        container = grid.containers_of_any_state(service)
        code = run("docker", "inspect", "--format", "{{.State.ExitCode}}", container)
        expect(code, "0", f"the exit code of {service} after SIGTERM")
        say(f"{service} stopped in {time.monotonic() - begun:.1f} s")
    grid("start")


def test(grid):
    for case in (test_images, test_client_profile, test_handler_files, test_confinement, test_idle, test_termination):
        case(grid)
        say(f"{case.__name__} passed")
