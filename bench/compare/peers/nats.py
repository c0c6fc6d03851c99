"""NATS JetStream, one server."""

import pathlib
import re

from peers.base import ALONE, Load, NotRun, System, output_of, single, wait_until
from processes import answers, free_port

# The first that has `sync_interval: always`.
ALWAYS_SINCE = (2, 10)

LOADS = (
    ALONE,
    single(64, connections=1),
    single(1024, connections=1),
    Load("batch", 1000, batch=200, connections=1, label="1,000 in flight, 200 at a time"),
)


class Always(System):
    """Syncs each message before it is acknowledged."""

    name = "NATS JetStream"
    setting = "sync_interval: always"
    durable = True
    acknowledged = "the message is in the stream's file, synced"
    seen = "the result is a message of a second stream, synced; it stays"
    loads = LOADS
    interval = "sync_interval: always"

    def __init__(self, installation):
        super().__init__(installation)
        self.port = None

    def program(self):
        """The one from PyPI, or else one that is installed, which may be older."""
        own = self.installation.environment / "bin" / "nats-server"
        return own if own.exists() else pathlib.Path("nats-server")

    def version(self):
        text = output_of(self.program(), "--version")
        found = re.search(r"(\d+)\.(\d+)", text)
        if self.durable and (not found or tuple(map(int, found.groups())) < ALWAYS_SINCE):
            raise NotRun(f"{text} has no `sync_interval: always`")
        return text

    def start(self, directory, processes):
        self.port = free_port()
        settings = directory / "nats.conf"
        settings.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{directory}/jetstream"\n{self.interval}\n}}\n',
            encoding="utf-8",
        )
        processes.start("nats", self.program(), "-c", settings)
        wait_until(lambda: answers(self.port), "nats-server")

    def put_load(self, load, seconds):
        return self.drive("nats", self.port, load, seconds)


class Default(Always):
    """Syncs every two minutes."""

    setting = "default"
    durable = False
    acknowledged = "the message is in the stream's file, synced within two minutes"
    seen = "the result is a message of a second stream, synced within two minutes; it stays"
    interval = ""


SYSTEMS = [Always, Default]
