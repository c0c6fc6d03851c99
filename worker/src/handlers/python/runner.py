# Runs the tasks of one handler file, one after the other. argv[1] is the file with `def handle(payload)`.
#
# First comes the source of the module `taskgrid` on standard input, with its length in four bytes before it. Then
# each task is two lengths of four bytes, a line of words about it, and the payload as JSON. The answer goes to
# standard output: a letter, a length of four bytes, and so many bytes. The letter says what they are: a Result, a
# Failure, a Permanent failure, an Exit code, the length of a result that is too Long, or nothing, since the file is
# Gone. A small letter says that this process is not fit for another task.
import sys

# The current directory must not take the place of a standard module.
del sys.path[0]

import json
import os
from importlib.machinery import ModuleSpec
from signal import ITIMER_REAL, setitimer

RESULT_MAX = int(sys.argv[2])
# Kept, since the handler's module takes its place.
main = sys.modules["__main__"]
dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def load(path):
    # The name by which processes that multiprocessing spawns know the file that they find as the main one.
    module = type(sys)("__mp_main__")
    module.__file__ = path
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    # Behind all else, so that a handler `json.py` is not what its neighbours import as `json`.
    sys.path.append(os.path.dirname(path))
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    if not callable(getattr(module, "handle", None)):
        raise LookupError(f"{os.path.basename(path)} has no function handle(payload)")
    return module.handle


class Taskgrid:
    """Finds the module `taskgrid`, which is compiled when it is imported first."""

    def __init__(self, source):
        self.source = source

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, origin="<taskgrid>") if name == "taskgrid" else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.source, "<taskgrid>", "exec"), module.__dict__)


def describe(error):
    import traceback

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    where = "".join(traceback.format_list(frames[-3:]))
    return f"{type(error).__name__}: {error}\n{where}".strip()[:4000]


def is_permanent(error):
    return any(kind.__name__ == "Permanent" and kind.__module__ == "taskgrid" for kind in type(error).__mro__)


class Runner:
    def __init__(self):
        # Neither is passed on to programs that the handler starts. What it prints goes to standard error, and what
        # it reads is at its end.
        self.requests, self.answers = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        # Last words before a crash are not to be lost in a buffer.
        sys.stdout.reconfigure(line_buffering=True)
        self.read = b""
        self.handle = None
        self.pid = os.getpid()

    def take(self, length):
        while len(self.read) < length:
            more = os.read(self.requests, 65536)
            if not more:
                sys.exit()
            self.read += more
        taken, self.read = self.read[:length], self.read[length:]
        return taken

    def take_number(self):
        return int.from_bytes(self.take(4), "little")

    def answer(self, kind, body):
        left = kind + len(body).to_bytes(4, "little") + body
        while left:
            left = left[os.write(self.answers, left) :]

    def run(self):
        sys.meta_path.insert(0, Taskgrid(self.take(self.take_number())))
        environ = os.environ
        names = "TASKGRID_TASK_ID", "TASKGRID_ATTEMPT", "TASKGRID_LEASE", "TASKGRID_TYPE"
        while True:
            about_length, length = self.take_number(), self.take_number()
            for name, word in zip(names, self.take(about_length).decode().split(" ")):
                environ[name] = word
            kind, body = self.attempt(self.take(length))
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            except Exception:
                # The handler has closed or replaced them.
                pass
            if os.getpid() != self.pid:
                # The handler has forked, and this is the other one.
                os._exit(0 if kind == b"R" else int(body) & 255 if kind == b"E" else 1)
            # An alarm that the handler has set is not for the next task.
            setitimer(ITIMER_REAL, 0)
            self.answer(kind if self.handle and not has_children() else kind.lower(), body)

    def attempt(self, payload):
        try:
            if self.handle is None:
                if not os.path.exists(sys.argv[1]):
                    return b"G", b""
                self.handle = load(sys.argv[1])
            result = self.handle(json.loads(payload))
            if hasattr(result, "__await__"):
                import asyncio

                result = asyncio.run(finished(result))
            result = dumps(result).encode()
            return (b"R", result) if len(result) <= RESULT_MAX else (b"L", str(len(result)).encode())
        except SystemExit as exit:
            code = exit.code
            if code is None or code == 0:
                return b"F", b"the handler exited before handle returned"
            if isinstance(code, int):
                return b"E", str(code).encode()
            return b"F", f"exit code 1: {code}"[:4000].encode(errors="replace")
        except BaseException as error:
            kind = b"P" if is_permanent(error) else b"F"
            try:
                return kind, describe(error).encode(errors="replace")
            except BaseException:
                return kind, type(error).__name__.encode(errors="replace")


async def finished(awaitable):
    return await awaitable


def has_children():
    """Whether the handler has left processes behind."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
        return True
    except ChildProcessError:
        return False


Runner().run()
