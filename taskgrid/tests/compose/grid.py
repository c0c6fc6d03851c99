"""The project of a run: its containers, its network, and the table in its volume."""

import contextlib
import json
import os
import pathlib
import socket
import tempfile

from engine import STEP_LIMIT, Failure, run, until, works

IMAGE = "taskgrid-test"
SERVICES = ["nameservice", "dispatcher", "worker-reverse", "worker", "worker-scripts"]
WORKERS = ["worker-reverse", "worker", "worker-scripts"]

# A release build on two slow cores takes about a third of it.
BUILD_LIMIT = 1200

# Seconds. Short, so that a case which waits for one to end does not take a minute.
LEASE = 5


class Grid:
    def __init__(self, build_arguments, override=None):
        self.project = f"taskgrid-test-{os.getpid()}"
        plugin = works("docker", "compose", "version")
        self.command = ["docker", "compose"] if plugin else ["docker-compose"]
        self.command += ["--project-name", self.project, "--file", "docker-compose.yml"]
        self.scratch = tempfile.TemporaryDirectory()
        self.override(override or {})
        self.port = choose_port(4000)
        names = {"DISPATCHER_PORT": self.port, "NAMESERVICE_PORT": choose_port(5001), "TASKGRID_IMAGE": IMAGE}
        self.environment = os.environ | build_arguments | {name: str(value) for name, value in names.items()}

    def override(self, more):
        """What differs from the file as it stands: shorter leases, and `more`."""
        environment = {"TASKGRID_LEASE": str(LEASE)}
        settings = {"services": {name: {"environment": environment} for name in ["dispatcher", *WORKERS]}, **more}
        file = pathlib.Path(self.scratch.name, "override.json")
        file.write_text(json.dumps(settings))
        self.command += ["--file", str(file)]

    def __call__(self, *arguments, limit=STEP_LIMIT):
        return run(*self.command, *arguments, limit=limit, env=self.environment)

    def build(self):
        self("build", limit=BUILD_LIMIT)

    def up(self, *arguments):
        self("up", "--detach", *arguments, limit=2 * STEP_LIMIT)

    def down(self, *arguments):
        self("down", "--timeout", "10", *arguments, limit=2 * STEP_LIMIT)

    def containers(self, service):
        return self("ps", "-q", service).split()

    def container(self, service):
        found = self.containers(service)
        if len(found) != 1:
            raise Failure(f"{service} has {len(found)} containers")
        return found[0]

    def containers_of_any_state(self, service):
        return self("ps", "--all", "-q", service).split()[0]

    def inspect(self, service, field):
        return run("docker", "inspect", "--format", "{{" + field + "}}", self.container(service))

    @property
    def network(self):
        return f"{self.project}_default"

    def address(self, service):
        return self.inspect(service, f'(index .NetworkSettings.Networks "{self.network}").IPAddress')

    def disconnect(self, service):
        run("docker", "network", "disconnect", self.network, self.container(service))

    def connect(self, service):
        container = self.container(service)
        run("docker", "network", "connect", "--alias", service, "--alias", container[:12], self.network, container)

    def recreate_elsewhere(self, service):
        """Makes its container anew, at another address: somebody else takes the old one meanwhile."""
        old = self.address(service)
        self("rm", "--stop", "--force", service)
        # The engine gives out the lowest address that is free.
        squatter = run("docker", "run", "--detach", "--network", self.network, "--entrypoint", "sleep", IMAGE, "600")
        try:
            self.up("--no-deps", service)
            new = self.address(service)
        finally:
            run("docker", "rm", "--force", squatter)
        if new == old:
            raise Failure(f"{service} is at {old} again")

    def wait_until_healthy(self):
        for service in SERVICES:
            probe = lambda: self.inspect(service, ".State.Health.Status") == "healthy"
            until(f"{service} is not healthy", STEP_LIMIT, probe)

    def sql(self, query):
        """Rows of the table in the volume, read by Debian's own shell while the dispatcher runs."""
        shell = ["sqlite3", "-readonly", "-json", "-cmd", ".timeout 5000", "/data/taskgrid.db", query]
        return json.loads(self("exec", "-T", "dispatcher", *shell) or "[]")

    def logs(self):
        with contextlib.suppress(Failure):
            return self("logs", "--tail=40")


def choose_port(usual):
    """The usual port where it is free, so that the file is tested as it stands; else any."""
    for port in (usual, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            udp.bind(("127.0.0.1", port))
            return udp.getsockname()[1]
    raise Failure("no free UDP port on 127.0.0.1")
