"""Gives tasks to a task grid and fetches their results; and what a handler in Python may tell its worker.

    import taskgrid
    client = taskgrid.Client("127.0.0.1:4000")
    receipt = client.submit("reverse", "OpenAI")
    print(client.wait(receipt))
    receipts = client.submit_many(("reverse", word) for word in ["to", "be"])
    print([client.wait(receipt) for receipt in receipts])

A call ends in one of three ways: with its answer, with `Rejected` (nothing was stored or changed), or with `Unknown`:
no answer came in time, so it may have happened or not. A submission carries a key. After `Unknown`, submit the same
task again with that key, and there will be one task, not two. Whatever else ends a submission, Ctrl-C for one, carries
in `outcomes` what has become of each task so far, keys included.

One file, the standard library, Python 3.9 or newer. A `Client` holds no socket, each call opens one of its own: threads
may share it, it works after a fork, and may be pickled. Numbers as in (R5) are rules of docs/PROTOCOL.md.
"""

from __future__ import annotations

import collections
import json
import os
import re
import stat
import time
from typing import Any, Callable, Generic, Iterable, NamedTuple, Optional, TypeVar, Union

VALUE_MAX, REST_MAX, DATAGRAM_MAX = 48 * 1024, 4_096, 65_507  # bytes of a payload, of what stands beside it, of all
# Arrays: their messages, and their bytes on loopback, where there is no MTU to mind, and elsewhere, where there is.
ARRAY_MAX, PACK_LOOPBACK_MAX, PACK_REMOTE_MAX = 1_024, 60_000, 1_200
# What `submit_many` has under way, and its length: a burst must not overflow the dispatcher's receive buffer.
MANY_AT_A_TIME, MANY_LENGTH = 2_048, 1024 * 1024
# Seconds until the first re-send on near and on far networks, and what a measured interval stays within (R5).
FIRST_NEAR, FIRST_FAR, INTERVAL_MIN, INTERVAL_MAX = 0.2, 1.0, 0.1, 5.0
# The longest slice of a wait; how often it is sent again, and the question after it whether the server lives (R10a).
WAIT_MAX, WAIT_AGAIN_AFTER, LIFE_SIGN_CEILING = 60.0, 2.0, 1.0
# How often `submit_many` looks for tasks to send while it waits for answers, and whether it was interrupted.
LOOK_EVERY, STOP_WITHIN = 0.005, 0.1
# A program that was stopped for longer than this takes the silence of that time for its own.
ABSENCE = 1.0

_NEAR = r"127\.|10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|::1$|f[cd]|fe[89ab]"
_T = TypeVar("_T")
_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Rejected(Exception):
    """The dispatcher refused: nothing was stored or changed. `status` is that of a task that forbids an order."""

    def __init__(self, code: str, message: str, status: Optional[str] = None) -> None:
        super().__init__(code, message, status)
        self.code, self.message, self.status = code, message, status

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class Unknown(Exception):
    """It may have happened or not. Where it was a submission, submit the same task again with `key`.

    `refusal` is what the last copy of the request was told, if an earlier copy was never answered."""

    def __init__(self, reason: str, key: Optional[str] = None, refusal: Optional[Rejected] = None) -> None:
        super().__init__(reason, key, refusal)
        self.reason, self.key, self.refusal = reason, key, refusal

    def __str__(self) -> str:
        return self.reason if self.key is None else f"{self.reason}; submit it again with key={self.key!r}"


class TaskFailed(Exception):
    """The task has failed for good: what its last attempt said, and how many attempts it has had."""

    def __init__(self, code: str, message: str, attempts: int) -> None:
        super().__init__(code, message, attempts)
        self.code, self.message, self.attempts = code, message, attempts

    def __str__(self) -> str:
        return f"{self.message} ({self.code}, attempt {self.attempts})"


class TaskCancelled(Exception):
    """Somebody has cancelled the task."""


class NotReady(Exception):
    """The task has not ended. Its argument is where the task stands, if the dispatcher said so."""


class Receipt(NamedTuple):
    """The task is stored."""

    task_id: int
    status: str
    key: str
    duplicate: bool  # the key was known: this is the task of an earlier submission
    workers: Optional[int]  # how many live workers serve its type, if the dispatcher knew that yet
    file_id: Optional[str] = None  # the database that stores it: another one never takes its number for its own (R32a)


class Client:
    """Asks the dispatcher at `HOST:PORT`. An outcome is unknown after `patience` seconds (and a slow DNS look-up)."""

    def __init__(self, address: str = "127.0.0.1:4000", patience: float = 30.0) -> None:
        parts = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})", address)
        if not parts or not 0 < int(parts[3]) < 65_536:
            raise ValueError(f"{address!r} is not an address; write HOST:PORT, such as 127.0.0.1:4000 or [::1]:4000")
        self.address, self.patience, self._is_v6 = address, patience, bool(parts[1])
        self._host, self._port = parts[1] or parts[2], int(parts[3])
        # Threads share these, too, and none minds a stale value.
        self._found: Any = None
        self._found_at, self._interval, self._trip = float("-inf"), FIRST_FAR, (0.0, 0.0)

    def __reduce__(self) -> Any:
        return type(self), (self.address, self.patience)  # what was measured holds for this process alone

    def submit(self, type: str, payload: Any, *, key: Optional[str] = None, priority: Optional[int] = None,
               delay: Optional[float] = None, not_before: Optional[float] = None, max_attempts: Optional[int] = None,
               timeout: Optional[int] = None, expires: Optional[float] = None) -> Receipt:
        """Stores a task. `payload` is any JSON value; `key` names the task for ever, and is made up if there is none.

        Higher `priority` goes first (-100 to 100). `delay` and `expires` are seconds from now, `not_before` is Unix
        time, `timeout` limits one attempt, in whole seconds, and `max_attempts` says how many may be charged."""
        return self._ask(_post(self, type, payload, key, priority=priority, delay=delay, not_before=not_before,
                               max_attempts=max_attempts, timeout=timeout, expires=expires))

    def submit_many(self, tasks: Iterable[Any]) -> list[Union[Receipt, Rejected, Unknown]]:
        """Stores many tasks, many in each datagram. Each is a pair (type, payload) or a dict of `submit`'s arguments.

        They are sent while `tasks` goes on, however slowly. Returns, in their order, what became of each: exceptions
        stand in the list and are not raised. What `tasks` itself raises, a TypeError for what is no task, and Ctrl-C
        are raised, and have that list as `outcomes`."""
        posts: list[_Call[Receipt]] = []
        try:
            with _Talk(self, pack=True) as talk:
                for one in tasks:
                    posts.append(_checked(self, one))
                    talk.add(posts[-1])
        except BaseException as error:
            error.outcomes = [post.told() for post in posts]  # type: ignore[attr-defined]
            if hasattr(error, "add_note"):  # from Python 3.11 on
                error.add_note(f"what has become of {len(posts)} tasks is in `outcomes` of this exception")
            raise
        return [post.outcome for post in posts]

    def result(self, task_id: Union[int, Receipt], *, file_id: Optional[str] = None) -> Any:
        """The task's result, any JSON value. Raises `NotReady`, `TaskFailed` or `TaskCancelled` if there is none.

        Give the receipt, or the number and its `file_id`: then another database says NOT_FOUND, and never tells of
        another task under that number. So for all that follows."""
        return self.wait(task_id, 0, file_id=file_id)

    def wait(self, task_id: Union[int, Receipt], timeout: Optional[float] = None, *,
             file_id: Optional[str] = None) -> Any:
        """Waits for the end of a task, for as long as the dispatcher answers; `NotReady` after `timeout` seconds."""
        now, task = time.monotonic(), _named(task_id, file_id)
        until = float("inf") if timeout is None else now + timeout
        while True:
            span = max(min(self.patience / 3, WAIT_MAX, until - now), 0.0)
            try:
                return self._ask(_Call(self, "GET_RESULT", task, lambda data: data["result"], span, until))
            except NotReady:
                now = time.monotonic()
                if now >= until:
                    raise

    def cancel(self, task_id: Union[int, Receipt], *, file_id: Optional[str] = None) -> str:
        """Ends a task that is pending or running. Returns its status."""
        return self._ask(_Call(self, "CANCEL_TASK", _named(task_id, file_id), lambda data: str(data["status"])))

    def retry(self, task_id: Union[int, Receipt], *, file_id: Optional[str] = None) -> str:
        """Makes a failed or cancelled task pending again. Returns its status."""
        return self._ask(_Call(self, "RETRY_TASK", _named(task_id, file_id), lambda data: str(data["status"])))

    def task(self, task_id: Union[int, Receipt], *, file_id: Optional[str] = None) -> dict[str, Any]:
        """All about a task: `task`, its past `attempts`, and a `note` on why it is not running."""
        return self._ask(_Call(self, "GET_TASK", _named(task_id, file_id), dict))

    def ping(self) -> dict[str, Any]:
        """Version and limits of the server."""
        return self._ask(_Call(self, "PING", {}, dict))

    def _ask(self, call: _Call[_T]) -> _T:
        talk = _Talk(self, pack=False)
        talk.waiting.append(call)
        try:
            talk.run()
        except BaseException as error:
            error.outcomes = [call.told()]  # type: ignore[attr-defined]
            raise
        if isinstance(call.outcome, Exception):
            raise call.outcome
        return call.outcome  # type: ignore[no-any-return]

    def _find(self, fresh_for: float) -> Any:
        """The server's address, looked up again after this time: a name may lead elsewhere tomorrow (R28)."""
        import socket

        if time.monotonic() - self._found_at > fresh_for:
            try:
                family = socket.AF_INET6 if self._is_v6 else socket.AF_INET
                self._found = socket.getaddrinfo(self._host, self._port, family, socket.SOCK_DGRAM)[0][4]
                if not self._trip[0]:
                    self._interval = FIRST_NEAR if re.match(_NEAR, self._found[0]) else FIRST_FAR
            except (OSError, UnicodeError):
                pass  # an old address is better than none
            self._found_at = time.monotonic()
        return self._found

    def _measure(self, took: float, was_resent: bool) -> None:
        """As in RFC 9002, section 5. Which of several copies was answered cannot be told; it may be the first."""
        if was_resent:
            self._interval = max(self._interval, min(took * 1.25, FIRST_FAR))
        else:
            mean, deviation = self._trip if self._trip[0] else (took, took * 2 / 3)
            self._trip = (mean * 7 + took) / 8, (deviation * 3 + abs(mean - took)) / 4
            self._interval = min(max(self._trip[0] + max(4 * self._trip[1], 0.01), INTERVAL_MIN), INTERVAL_MAX)


class Permanent(Exception):
    """A handler raises it to fail its task without another attempt."""


Task = NamedTuple("Task", [("id", Optional[int]), ("attempt", Optional[int]), ("lease", Optional[str]),
                           ("type", Optional[str])])


def task() -> Task:
    """The attempt that this handler runs; all `None` where the handler was started by hand."""
    number, attempt, lease, kind = (os.environ.get(f"TASKGRID_{x}") for x in ("TASK_ID", "ATTEMPT", "LEASE", "TYPE"))
    return Task(int(number) if number else None, int(attempt) if attempt else None, lease, kind)


def progress(fraction: float, message: str = "") -> None:
    """Tells the worker how far the handler is, from 0 to 1. Never raises or waits: what cannot be told is dropped."""
    try:
        done = float(fraction)
        is_told = "TASKGRID_TASK_ID" in os.environ and stat.S_ISFIFO(os.fstat(3).st_mode)  # else it may be anybody's
        if is_told and done == done:  # not NaN
            line = f"{min(max(done, 0.0), 1.0):.4f} {' '.join(str(message)[:200].splitlines())}\n"
            os.set_blocking(3, False)
            os.write(3, line.encode(errors="replace"))
    except Exception:
        pass


class _Call(Generic[_T]):
    """One request, from its first copy to one of the three outcomes (R6). `read` takes the answer from its data.

    With `span` the answer may take so long, since a task has to end first. `until`: when "not ready" is good enough."""

    def __init__(self, client: Client, kind: str, fields: dict[str, Any], read: Callable[[dict[str, Any]], _T],
                 span: float = 0.0, until: float = 0.0, key: Optional[str] = None) -> None:
        self.client, self.kind, self.data, self.read, self.key = client, kind, _to_json(fields), read, key
        self.due = self.sent_at = self.interval = self.deadline = self.quiet_until = 0.0  # it has not begun
        self.span, self.until = span, until
        self.outcome: Any = self  # until there is one
        self.doubt, self.garbled, self.copies, self.round, self.pad, self.is_read = False, False, 0, 0, 0, until > 0

    def begin(self, now: float) -> None:
        self.deadline, self.quiet_until = now + self.client.patience, now + self.span

    def excuse(self, span: float) -> None:
        """This program was away for so long: that is nobody's silence."""
        if self.deadline:
            self.deadline, self.quiet_until = self.deadline + span, self.quiet_until + span

    def told(self) -> Any:
        """Its outcome, also where something ends all before there is one."""
        if self.outcome is not self:
            return self.outcome
        if self.sent_at:
            return Unknown("interrupted before the answer came", self.key)
        return Rejected("NOT_SENT", "interrupted before it was sent")

    def copy(self, wire_id: int, now: float) -> bytes:
        """The next copy. Says when the one after it is due (R5)."""
        ceiling, end, data = LIFE_SIGN_CEILING if self.is_read else INTERVAL_MAX, self.deadline, self.data
        if self.span and now < self.quiet_until:
            ceiling, end, data = WAIT_AGAIN_AFTER, self.quiet_until, f'{data[:-1]},"wait_s":{self.span}}}'
        elif self.span:
            self.span, self.copies = 0.0, 0  # over: from now on a sign of life is asked for
        if self.copies == 0:
            self.sent_at, self.interval = now, min(self.client._interval, ceiling)
        else:
            self.interval = min(self.interval * 2, ceiling)
        self.due = min(now + (_jittered(self.interval) if self.copies else self.interval), end)
        self.copies += 1
        text = f'{{"type":"{self.kind}","id":{wire_id + self.round},"data":{data}}}'.encode()
        return text if len(text) >= self.pad else text[:-1].ljust(self.pad - 1) + b"}"

    def hear(self, data: dict[str, Any], is_current: bool, now: float) -> None:
        """Takes an answer, or raises what looking into nonsense raises."""
        code, status, pause = data.get("code"), data.get("status"), data.get("retry_after_ms")
        if "error" not in data and code is None:
            self.outcome = self.read(data)  # also of an earlier round: that copy was slow, not lost
        elif self.is_read and code == "TASK_CANCELLED":
            self.outcome = TaskCancelled("the task was cancelled")
        elif self.is_read and code == "TASK_FAILED":
            said = data.get("task_error", {"code": "FAILED", "message": data["error"]})
            self.outcome = TaskFailed(said["code"], said["message"], data.get("attempts", 0))
        elif self.is_read and code == "NOT_READY" and is_current:
            self.outcome = NotReady(status)
        if self.outcome is not self or not is_current:
            return
        self.doubt |= self.copies > 1
        refusal = Rejected(str(code or "OTHER"), str(data.get("error", code)), status)
        if code == "PAD_REQUEST":  # the answer is too long for so short a question (R37), but may have been acted upon
            if not self.pad < data["need_bytes"] <= DATAGRAM_MAX // 3 + 1:
                raise TypeError("no reason to ask again")
            self.pad, self.doubt, at = data["need_bytes"], True, now
        elif self.doubt and ((code, status) == ("ALREADY_ENDED", "cancelled") or (code == "NOT_RETRYABLE" and status)):
            self.outcome = self.read(data)  # an earlier copy was obeyed, and its answer lost
            return
        elif pause is None and code not in ("OVERLOADED", "DISK_LOW", "QUEUE_FULL", "SHUTTING_DOWN"):
            self.outcome = refusal
            return
        else:
            pause = min(max((1_000 if pause is None else pause) / 1_000, 0.1), 60.0)
            at = now + _jittered(pause) + pause / 4  # not before, and not all who were refused together at once
        if at < max(self.deadline, self.until):
            self.copies, self.round, self.due = 0, (self.round + 1) % 256, at
            self.deadline = at + self.client.patience if self.is_read else self.deadline
        elif self.doubt and not self.is_read:
            reason = f"{refusal.message}; but {self.client.address} never answered an earlier copy of the request"
            self.outcome = Unknown(reason, self.key, refusal)
        else:
            self.outcome = refusal

    def give_up(self) -> None:
        reason = f"no answer from {self.client.address}" if self.client._found else "the host name was not resolved"
        reason = "no answer that this version understands" if self.garbled else reason
        self.outcome = Unknown(f"{reason} in {self.client.patience:g} s", self.key)


def _post(client: Client, type: str, payload: Any, key: Optional[str] = None, **options: Any) -> _Call[Receipt]:
    """A submission. It has its outcome already if it cannot be sent; whatever else is wrong the dispatcher refuses."""
    known = _new_key() if key is None else key
    names = {"delay": "delay_s", "timeout": "timeout_s", "expires": "expires_s"}
    fields = {names.get(name, name): value for name, value in options.items() if value is not None}
    call = _Call(client, "POST_TASK", {}, lambda data: Receipt(
        data["task_id"], data["status"], known, data.get("duplicate", False), data.get("workers"), data.get("file_id")),
        key=known)
    try:
        text, rest = _to_json(payload), _to_json({"type": type, "key": known, **fields})
        call.data = f'{rest[:-1]},"payload":{text}}}'
        if len(text.encode()) > VALUE_MAX or len(rest.encode()) > REST_MAX:
            reason = f"a payload has at most {VALUE_MAX} bytes; store the data elsewhere and send its address"
            call.outcome = Rejected("TOO_LARGE", reason)
    except (TypeError, ValueError, RecursionError) as error:
        call.outcome = Rejected("BAD_REQUEST", f"the task has no JSON form: {error}")
    return call


def _checked(client: Client, one: Any) -> _Call[Receipt]:
    """A submission of one of many. A text is no pair, whatever its length."""
    if isinstance(one, dict):
        return _post(client, **one)
    if not isinstance(one, (tuple, list)) or len(one) != 2 or not isinstance(one[0], str):
        raise TypeError(f"{one!r:.200} is no task; give a pair (type, payload) or a dict of submit's arguments")
    return _post(client, one[0], one[1])


def _named(task_id: Union[int, Receipt], file_id: Optional[str]) -> dict[str, Any]:
    if isinstance(task_id, Receipt):
        task_id, file_id = task_id.task_id, file_id or task_id.file_id
    if not isinstance(task_id, int) or isinstance(task_id, bool) or not 0 < task_id < 1 << 63:
        raise TypeError(f"{task_id!r:.200} is no task; give the receipt of a submission, or its task_id, an int from 1")
    return {"task_id": task_id} if file_id is None else {"task_id": task_id, "file_id": file_id}


def _new_key() -> str:
    """A UUIDv7: it begins with the time, so that the index of keys grows at one end (R1)."""
    number = int(time.time() * 1_000) << 80 | int.from_bytes(os.urandom(10), "big")
    text = f"{number & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 2 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _jittered(span: float) -> float:
    return span * (0.75 + int.from_bytes(os.urandom(2), "big") / 0x1FFFE)


def _packed(copies: list[bytes], limit: int) -> Iterable[bytes]:
    while copies:
        count, length = 0, 1
        while count < min(len(copies), ARRAY_MAX) and (count == 0 or length + len(copies[count]) + 1 <= limit):
            count, length = count + 1, length + len(copies[count]) + 1
        yield b"[" + b",".join(copies[:count]) + b"]"
        copies = copies[count:]


class _Talk:
    """Sends each call until it has its outcome, many at a time, from a socket of its own.

    `run` does so for the calls that wait. As a context it is run by a thread, for those that are added meanwhile: who is
    slow to add one keeps no other waiting. Leaving it waits for all outcomes, but not with what is no Exception."""

    def __init__(self, client: Client, pack: bool) -> None:
        self.client, self.pack, self.waiting = client, pack, collections.deque()  # type: Client, bool, Any
        self.under_way: dict[int, _Call[Any]] = {}
        self.next_id = int.from_bytes(os.urandom(6), "big") << 8  # no stranger guesses it
        self.length, self.wake, self.away_until, self.is_quiet, self.listened_at = 0, 0.0, 0.0, True, time.monotonic()
        self.has_more, self.is_stopped, self.room, self.thread = False, False, None, None  # type: bool, bool, Any, Any
        self.failure: Optional[BaseException] = None

    def __enter__(self) -> _Talk:
        import threading

        self.has_more, self.room, self.added = True, threading.Semaphore(MANY_AT_A_TIME), threading.Event()
        self.thread = threading.Thread(target=self.run_beside, name="taskgrid", daemon=True)
        self.thread.start()
        return self

    def add(self, call: _Call[Any]) -> None:
        """Waits while there are too many."""
        self.room.acquire()
        self.waiting.append(call)
        self.added.set()
        if self.failure:
            raise self.failure

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.is_stopped = kind is not None and not issubclass(kind, Exception)
        try:
            self.has_more = False
            self.added.set()
            self.thread.join()
        except BaseException:
            self.is_stopped = True
            self.thread.join()
            raise
        if self.failure and not kind:
            raise self.failure

    def run_beside(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self.failure = error
            self.room.release()

    def run(self) -> None:
        import socket

        with socket.socket(socket.AF_INET6 if self.client._is_v6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            if self.pack:  # the answers to a burst come as a burst
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MANY_LENGTH)
            while (self.has_more or self.waiting or self.under_way) and not self.is_stopped:
                self.take()
                if self.under_way:
                    self.listen(sock)
                    if self.is_quiet and self.wake <= time.monotonic():
                        self.send(sock)
                elif self.has_more:
                    self.added.wait()
                    self.added.clear()
                    self.listened_at = time.monotonic()

    def take(self) -> None:
        """Begins with what waits, as far as there is room."""
        while self.waiting and len(self.under_way) < MANY_AT_A_TIME and self.length < MANY_LENGTH:
            call = self.waiting.popleft()
            if self.room:
                self.room.release()
            if call.outcome is call:
                self.under_way[self.next_id] = call
                self.next_id, self.length, self.wake = self.next_id + 256, self.length + len(call.data), 0.0

    def send(self, sock: Any) -> None:
        """Sends what is due, and gives up what has been unanswered for too long."""
        now = time.monotonic()
        due = {number: call for number, call in self.under_way.items() if call.due <= now}
        to = self.client._find(1.0 if any(call.copies for call in due.values()) else 5.0)
        for number, call in due.items():
            if not call.deadline:
                call.begin(now)
            if call.deadline <= now:
                call.give_up()
                self.length -= len(self.under_way.pop(number).data)
            elif not to:
                call.due = min(now + 1.0, call.deadline)
        copies = [call.copy(number, now) for number, call in due.items() if number in self.under_way and to]
        limit = PACK_LOOPBACK_MAX if to and to[0].startswith(("127.", "::1")) else PACK_REMOTE_MAX
        for datagram in _packed(copies, limit) if self.pack else copies:
            try:
                sock.sendto(datagram, to)
            except OSError:
                pass  # as good as lost
        self.wake = min((call.due for call in self.under_way.values()), default=now)

    def listen(self, sock: Any) -> None:
        """Reads one datagram, and waits for it until something is due."""
        longest = LOOK_EVERY if self.has_more else STOP_WITHIN if self.thread else INTERVAL_MAX
        span = min(max(self.wake - time.monotonic(), 0.0), longest)
        sock.settimeout(span)
        try:
            said, self.is_quiet = sock.recv(DATAGRAM_MAX), False
        except OSError:
            said, self.is_quiet = b"[]", True
        now = time.monotonic()
        absence, self.listened_at = now - self.listened_at - span, now
        if absence > ABSENCE:
            for call in self.under_way.values():
                call.excuse(absence)
            self.away_until, self.is_quiet = now, False  # what has come meanwhile is heard before anything is judged
        try:
            replies = json.loads(said)
        except (ValueError, RecursionError):
            return
        for reply in replies if isinstance(replies, list) else [replies]:
            try:
                number, data = reply["id"], reply["data"]
                call = self.under_way[number & ~255]
            except (KeyError, TypeError):
                continue  # late, or not for us
            self.hear(call, number, data, now)

    def hear(self, call: _Call[Any], number: int, data: Any, now: float) -> None:
        is_current = number & 255 == call.round
        if is_current and not call.span and call.sent_at >= self.away_until:
            self.client._measure(now - call.sent_at, call.copies > 1)
        try:
            call.hear(data, is_current, now)
        except (KeyError, TypeError, AttributeError):
            call.garbled = True  # on its way, maybe, so the question stands
        self.wake = min(self.wake, call.due)
        if call.outcome is not call:
            self.length -= len(self.under_way.pop(number & ~255).data)
