# Runs the tasks of one handler file, one after the other. argv[1] is the file with `def handle(payload)`.
#
# First comes the source of the module `taskgrid` on standard input, with its length in four bytes before it. Then the
# file is loaded, and an answer says how that went. Then each task is two lengths of four bytes, a line of words about
# it, and the payload as JSON. Where standard input ends, this process does, as any Python program does.
#
# An answer goes to standard output: a letter, a length of four bytes, and so many bytes. The letter says what they are.
# To loading: it has Begun (nothing), Cannot begin (why), or the file is Gone (nothing). To a task: a Result, a Failure,
# a Permanent failure, an Exit code, or the length of a result that is too Long. A small letter says that this process
# is not fit for another task.
import atexit
import os
import signal
from contextvars import copy_context
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)

# As a shell says of what was ended by SIGTERM.
EXIT_STOPPED = 128 + signal.SIGTERM
# Kept, since the handler's module takes its place.
main = sys.modules["__main__"]


def load(path):
    # The name by which processes that multiprocessing spawns know the file that they find as the main one.
    module = type(sys)("__mp_main__")
    module.__file__ = path
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    directory = os.path.dirname(path)
    sys.path_hooks.insert(0, finder_below(directory, sys.path[:]))
    sys.path_importer_cache.pop(directory, None)
    # Behind all else, so that a handler `json.py` is not what its neighbours import as `json`.
    sys.path.append(directory)
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    if not callable(getattr(module, "handle", None)):
        raise LookupError(f"{os.path.basename(path)} has no function handle(payload)")
    return module.handle


class Source(SourceFileLoader):
    """Compiles what it loads, each time: byte code may be older than its source, whatever their times say."""

    def get_code(self, name):
        path = self.get_filename(name)
        return self.source_to_code(self.get_data(path), path)


def finder_below(directory, installed):
    """How modules are found in the directory of handlers and below it, except where packages are installed there."""

    def is_in(path, folder):
        return path == folder or path.startswith(os.path.join(folder, ""))

    def find_in(path):
        if not is_in(path, directory) or any(is_in(path, folder) for folder in installed if is_in(folder, directory)):
            raise ImportError
        return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (Source, SOURCE_SUFFIXES))

    return find_in


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
    """What has happened and where, in bytes."""
    try:
        import traceback

        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
        where = "".join(traceback.format_list(frames[-3:]))
    except Exception:
        where = ""
    return f"{type(error).__name__}: {words_of(error)}\n{where}".strip()[:4000].encode(errors="replace")


def words_of(value):
    try:
        return str(value)
    except Exception:
        # Of one that cannot even say what it is.
        return type(value).__name__


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
        # One event loop for the life of this process: what is bound to it must not outlive it.
        self.loop = None
        # What runs on it now.
        self.awaited = None
        self.is_stopping = False
        signal.signal(signal.SIGTERM, self.stop)
        os.register_at_fork(before=self.hold, after_in_parent=self.release, after_in_child=self.forked)
        # The first to be registered runs last: others may still need the loop.
        atexit.register(self.close_loop)

    def stop(self, number, frame):
        """Lets what runs clean up, in `finally` or `except`, before this process ends."""
        if self.is_stopping:
            return
        self.is_stopping = True
        if self.awaited is None:
            raise SystemExit(EXIT_STOPPED)
        self.awaited.cancel()
        # Wakes it.
        self.loop.call_soon_threadsafe(int)

    def hold(self):
        # Python forgets a signal that comes to a process right after it was forked.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release(self):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def forked(self):
        # Whoever ends a process of its own with SIGTERM expects it to end at once.
        if signal.getsignal(signal.SIGTERM) == self.stop:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.release()

    def take(self, length):
        while len(self.read) < length:
            more = os.read(self.requests, 65536)
            if not more:
                raise EOFError
            self.read += more
        taken, self.read = self.read[:length], self.read[length:]
        return taken

    def take_number(self):
        return int.from_bytes(self.take(4), "little")

    def answer(self, kind, body):
        if os.getpid() != self.pid:
            # The handler has forked, and this is the other one.
            os._exit(0 if kind in b"BR" else int(body) & 255 if kind == b"E" else 1)
        # What a file has started while it was loaded may be meant to stay for the first task.
        if self.is_stopping or (kind != b"B" and has_children()):
            kind = kind.lower()
        left = kind + len(body).to_bytes(4, "little") + body
        while left:
            left = left[os.write(self.answers, left) :]
        return kind

    def run(self):
        try:
            sys.meta_path.insert(0, Taskgrid(self.take(self.take_number())))
            kind = self.answer(*self.begin())
            while kind.isupper():
                kind = self.answer(*self.next())
        except EOFError:
            # The worker has no more tasks for it.
            pass

    def begin(self):
        try:
            if not os.path.exists(sys.argv[1]):
                return b"g", b""
            self.handle = load(sys.argv[1])
            return b"B", b""
        except SystemExit as exit:
            return b"c", b"it exits while it is loaded: " + describe(exit)
        except BaseException as error:
            return b"c", describe(error)

    def next(self):
        about_length, length = self.take_number(), self.take_number()
        names = "TASKGRID_TASK_ID", "TASKGRID_ATTEMPT", "TASKGRID_LEASE", "TASKGRID_TYPE"
        for name, word in zip(names, self.take(about_length).decode().split(" ")):
            os.environ[name] = word
        kind, body = self.attempt(self.take(length))
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except Exception:
            # The handler has closed or replaced them.
            pass
        # An alarm that the handler has set is not for the next task.
        signal.setitimer(signal.ITIMER_REAL, 0)
        return kind, body

    def attempt(self, payload):
        try:
            # What a task sets in the context is not for the next.
            return answer_of(copy_context().run(self.call, json.loads(payload)))
        except SystemExit as exit:
            code = exit.code
            if code is None or code == 0:
                return b"F", b"the handler exited before handle returned"
            if isinstance(code, int):
                return b"E", str(code).encode()
            return b"F", f"exit code 1: {words_of(code)}"[:4000].encode(errors="replace")
        except BaseException as error:
            return b"P" if is_permanent(error) else b"F", describe(error)

    def call(self, payload):
        result = self.handle(payload)
        if not hasattr(result, "__await__"):
            return result
        if self.loop is None or self.loop.is_closed():
            self.loop = main_loop()
        self.awaited = self.loop.create_task(finished(result))
        try:
            return self.loop.run_until_complete(self.awaited)
        finally:
            self.awaited = None

    def close_loop(self):
        """Ends what was left on the loop, as asyncio.run does at its end."""
        if self.loop is None or self.loop.is_closed() or os.getpid() != self.pid:
            return
        import asyncio

        try:
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()


async def finished(awaitable):
    return await awaitable


def main_loop():
    """The loop of the main thread: the one that the file has asked for while it was loaded, if it has, else a new one."""
    import asyncio
    import warnings

    with warnings.catch_warnings():
        # That it would be made here.
        warnings.simplefilter("ignore")
        try:
            loop = asyncio.get_event_loop()
        except RuntimeError:
            loop = None
    if loop is None or loop.is_closed() or loop.is_running():
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def has_children():
    """Whether the handler has left processes behind."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
        return True
    except ChildProcessError:
        return False


Runner().run()
