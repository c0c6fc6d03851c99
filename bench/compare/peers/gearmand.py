"""gearmand: background jobs with its SQLite queue, foreground jobs in memory."""

from peers.base import ALONE, System, output_of, single, wait_until
from processes import answers, free_port


class Sqlite(System):
    """Background jobs are kept in an SQLite file."""

    name = "gearmand"
    setting = "SQLite queue, background jobs"
    durable = True
    acknowledged = "the job is in SQLite's file, synced"
    seen = "the result is a background job of a second function, in SQLite's file, synced; it is gone once read"
    loads = (ALONE, single(64), single(1024))
    packages = ("gearman-job-server",)
    mode = "gearmand-background"

    def __init__(self, installation):
        super().__init__(installation)
        self.port = None

    def version(self):
        return output_of("gearmand", "--version").split(" - ")[0]

    def start(self, directory, processes):
        self.port = free_port()
        processes.start(
            "gearmand",
            "gearmand",
            *("--listen", "127.0.0.1", "--port", self.port, "--log-file", directory / "gearmand.log"),
            *self.queue(directory),
        )
        wait_until(lambda: answers(self.port), "gearmand")

    def queue(self, directory):
        return ["--queue-type", "libsqlite3", f"--libsqlite3-db={directory}/queue.db"]

    def put_load(self, load, seconds):
        return self.drive(self.mode, self.port, load, seconds)


class Memory(Sqlite):
    """Foreground jobs: no queue on disk, and the result comes back on the client's connection."""

    setting = "memory only, foreground jobs"
    durable = False
    acknowledged = "the job is in the server's memory"
    seen = "the result is stored nowhere"
    loads = (ALONE, single(64))
    mode = "gearmand-foreground"

    def queue(self, directory):
        return []


SYSTEMS = [Sqlite, Memory]
