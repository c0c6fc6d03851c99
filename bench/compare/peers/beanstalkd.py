"""beanstalkd, with its log on disk."""

from peers.base import ALONE, Load, System, output_of, single, wait_until
from processes import answers, free_port

LOADS = (
    ALONE,
    single(64),
    single(1024),
    Load("batch", 1000, batch=100, connections=4, label="1,000 in flight, 100 commands a write"),
)


class Always(System):
    """Syncs before each reply."""

    name = "beanstalkd"
    setting = "-f0"
    durable = True
    acknowledged = "the job is in the log, synced"
    seen = "the result is a job of a second tube, in the log, synced; it is gone once read"
    loads = LOADS
    packages = ("beanstalkd",)
    flag = "-f0"

    def __init__(self, installation):
        super().__init__(installation)
        self.port = None

    def version(self):
        return output_of("beanstalkd", "-v")

    def start(self, directory, processes):
        self.port = free_port()
        log = directory / "log"
        log.mkdir()
        processes.start("beanstalkd", "beanstalkd", "-l", "127.0.0.1", "-p", self.port, "-b", log, self.flag)
        wait_until(lambda: answers(self.port), "beanstalkd")

    def put_load(self, load, seconds):
        return self.drive("beanstalkd", self.port, load, seconds)


class Never(Always):
    """Leaves it to the kernel when the log reaches the disk."""

    setting = "-F"
    durable = False
    acknowledged = "the job is in the log, not synced"
    seen = "the result is a job of a second tube, in the log, not synced; it is gone once read"
    flag = "-F"


SYSTEMS = [Always, Never]
