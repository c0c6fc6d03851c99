"""PostgreSQL with a table, and workers that claim with SKIP LOCKED."""

import glob
import os
import pathlib
import subprocess

from peers.base import ALONE, Load, NotRun, System, output_of, single, wait_until
from processes import free_port

# More connections than these only wait for each other on a small machine.
CONNECTIONS = 16

LOADS = (
    ALONE,
    single(64, CONNECTIONS),
    single(1024, CONNECTIONS),
    Load("batch", 1000, batch=100, connections=4, label="1,000 in flight, 100 a commit"),
)

SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 100
shared_buffers = 256MB
# So that checkpoints do not fall into one short measurement and not into the next.
max_wal_size = 4GB
synchronous_commit = {synchronous_commit}
"""


class Synchronous(System):
    """Three commits for each batch: stored, claimed, done. Each is synced, and they share syncs as they come together."""

    name = "PostgreSQL, SKIP LOCKED"
    setting = "synchronous_commit on"
    durable = True
    acknowledged = "the commit of the row is in the write-ahead log, synced"
    seen = "the commit of the result is in the write-ahead log, synced"
    loads = LOADS
    packages = ("postgresql",)
    synchronous_commit = "on"

    def __init__(self, installation):
        super().__init__(installation)
        self.port = None

    def programs(self):
        """Debian keeps them off the path, one directory for each version."""
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: int(path.split("/")[4]))
        if not found:
            raise NotRun("PostgreSQL is not installed")
        return pathlib.Path(found[-1]).parent

    def version(self):
        return output_of(self.programs() / "postgres", "--version")

    def start(self, directory, processes):
        self.port = free_port()
        data = directory / "data"
        # The server refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            subprocess.run(["chown", user, directory], check=True)
        initdb = [self.programs() / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
        processes.run("initdb", *initdb, user=user)
        with open(data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(SETTINGS.format(port=self.port, synchronous_commit=self.synchronous_commit))
        processes.start("postgresql", self.programs() / "postgres", "-D", data, user=user)
        ready = [self.programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "postgres")

    def put_load(self, load, seconds):
        return self.drive("postgresql", self.port, load, seconds)


class Asynchronous(Synchronous):
    """Commits are acknowledged before they are synced."""

    setting = "synchronous_commit off"
    durable = False
    acknowledged = "the commit of the row is in memory, synced within 0.6 s"
    seen = "the commit of the result is in memory, synced within 0.6 s"
    synchronous_commit = "off"


SYSTEMS = [Synchronous, Asynchronous]
