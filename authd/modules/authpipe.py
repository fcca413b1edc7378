"""authpipe: accounts that a program of the site's own knows.

The program is ``authProg`` beside authdaemonrc.  It reads requests of the authdaemond protocol from its standard input, one after
the other, and writes the replies to its standard output; see ``docs/modules.md``.
"""

from __future__ import annotations

import errno
import os
import pwd
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.modules.base import Module, Surroundings, TemporaryFailure
from authd.modules.inquiry import Ask, Inquiry
from authd.outcome import Answer, Outcome, Reason, reject
from authd.protocol import client

PROGRAM = "authProg"

MOST_BYTES = 64 * 1024
"""Of a reply that is not an enumeration, which may have any size."""

PATIENCE_SECONDS = 0.5
"""How long a program may take to end once its input is closed and it was told to."""


class AuthPipe(Module):
    """Accounts of a program, of which each worker keeps one running; it is started again when it died or misbehaved."""

    name = "authpipe"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._program = surroundings.sysconfdir / PROGRAM
        self._running: _Program | None = None
        if not os.access(self._program, os.X_OK):
            self._report(f"{self._program} is no program that can be run, so that there is no account")

    @property
    def has_cleartext(self) -> bool:
        return os.access(self._program, os.X_OK)

    def find(self, service: bytes, user: bytes) -> Account | None:
        return _account_in(self.ask(client.encode_lookup(service, user)))

    def lookup(self, service: bytes, user: bytes) -> Inquiry[Answer]:
        encode = partial(_lookup, service, user)
        return (yield from self._account(encode, Reason.FOUND, Reason.NO_SUCH_USER))

    def login(self, service: bytes, user: bytes, password: bytes, remote_ip: bytes = b"") -> Inquiry[Answer]:
        encode = partial(client.encode_login, service, user, password)
        return (yield from self._account(encode, Reason.PASSWORD_MATCHES, Reason.REFUSED))

    def cram(self, service: bytes, user: bytes, digest: str, challenge: bytes, response: bytes) -> Inquiry[Answer]:
        encode = partial(client.encode_cram, service, user, digest, challenge, response)
        return (yield from self._account(encode, Reason.PASSWORD_MATCHES, Reason.REFUSED))

    def change_password(self, service: bytes, user: bytes, old: bytes, new: bytes) -> Inquiry[Answer]:
        try:
            request = client.encode_passwd(service, user, old, new)
        except ValueError as error:
            return reject(Reason.REFUSED, detail=str(error))
        reply: bytes = yield Ask(self, request)
        if reply.startswith(b"OK\n"):
            return Answer(Outcome.OK, Reason.PASSWORD_CHANGED)
        return reject(Reason.REFUSED)

    def ask(self, question: bytes) -> bytes:
        """Return the program's reply to a request; ``FAIL`` where there is no program."""
        if not os.access(self._program, os.X_OK):
            return b"FAIL\n"
        program = self._running
        if program is None or not program.is_quiet():
            self._stop("which had died, or said something unasked")
            program = self._running = self._start()
        try:
            reply, rest = program.ask(question, time.monotonic() + self._surroundings.timeout)
        except TemporaryFailure as failure:
            self._stop(failure.detail)
            raise
        except BaseException as error:
            # The reply may be half read.
            self._stop(type(error).__name__)
            raise
        if rest:
            self._stop("which said more than it was asked")
        return reply

    def enumerate(self) -> Iterator[Entry]:
        reply = self.ask(client.encode_enumerate())
        try:
            yield from client.decode_enumeration(reply)
        except client.ReplyError as error:
            if not reply.startswith(b"FAIL\n"):
                raise TemporaryFailure(Reason.QUERY_FAILED, f"{self._program}: {error}") from None

    def needs(self) -> Iterator[tuple[Path, int]]:
        with suppress(OSError):
            # Without any of these bits no user can run it, as `check` tells.
            if self._program.stat().st_mode & 0o111:
                yield self._program, os.X_OK

    def check(self) -> Iterator[Problem]:
        if not os.access(self._program, os.X_OK):
            yield Problem(
                self._program,
                "is no program that can be run, so that there is no account",
                "put it there, chmod 755",
                fatal=False,
            )
            return
        try:
            self.find(b"check", b"no-such-user@check.invalid")
        except TemporaryFailure as failure:
            problem = failure.detail.removeprefix(f"{self._program}: ")
            mend = _MENDS.get(problem, "have it answer FAIL to a PRE for somebody it does not know")
            yield Problem(self._program, problem, mend)

    def close(self) -> None:
        self._stop("")

    def _account(self, encode: Callable[[], bytes], found: Reason, rejected: Reason) -> Inquiry[Answer]:
        try:
            request = encode()
        except ValueError as error:
            # Other protocols than authdaemond's can carry what would be another field, or another request, here.
            return reject(Reason.REFUSED, detail=str(error))
        reply: bytes = yield Ask(self, request)
        account = _account_in(reply)
        return reject(rejected) if account is None else Answer(Outcome.OK, found, account)

    def _start(self) -> _Program:
        try:
            return _Program(self._program)
        except OSError as error:
            raise TemporaryFailure(Reason.UNREACHABLE, f"{self._program}: {error.strerror}") from None

    def _stop(self, why: str) -> None:
        program, self._running = self._running, None
        if program is not None:
            program.end()
            if why:
                self._surroundings.notice(f"{self.name}: ended {self._program}, {why}")


_MENDS = {
    os.strerror(errno.ENOEXEC): "begin its first line with #! and the path of an interpreter",
    os.strerror(errno.ENOENT): "correct the path of the interpreter in its first line, which must not end with CR",
    os.strerror(errno.EACCES): "put a program's file there, chmod 755, on a file system that is not mounted noexec",
}
"""What to do where the program can't be started, although it is there."""


def _lookup(service: bytes, user: bytes) -> bytes:
    """Return a ``PRE``; raise `ValueError` if that would be another than it is meant to be."""
    if b" " in service:
        raise ValueError("a blank can't be sent in the service of a lookup")
    return client.encode_lookup(service, user)


def _account_in(reply: bytes) -> Account | None:
    """Return the account in a reply.

    :raises TemporaryFailure: if it is neither an account nor ``FAIL``.
    """
    if reply.startswith(b"FAIL\n"):
        return None
    account = client.decode_account(reply)
    if account is not None and b"\nUID=" not in b"\n" + reply:
        # A system account may be told by its name alone.
        try:
            account.uid = pwd.getpwnam(os.fsdecode(account.username or b"")).pw_uid
        except (KeyError, ValueError):
            # ValueError: no C string can have a NUL in it.
            raise TemporaryFailure(
                Reason.QUERY_FAILED, "the program's reply has no UID, nor the USERNAME of one"
            ) from None
        account.tells_uid = False
    return account


class _Program:
    """A running program, and the two pipes to it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._process = subprocess.Popen([str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)  # noqa: S603 - the administrator's
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101 - as above
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)

    def is_quiet(self) -> bool:
        """Tell whether the program waits for a request: it has neither ended nor said anything more."""
        return not _ready(self._out, select.POLLIN, 0)

    def ask(self, request: bytes, deadline: float) -> tuple[bytes, bytes]:
        """Return the reply to `request`, whole, and what was read behind its end.

        :param deadline: on the monotonic clock.
        :raises TemporaryFailure: if it has not come by then, or is none.
        """
        self._write(request, deadline)
        is_list = request.startswith(b"ENUMERATE")
        reply = bytearray()
        while not (length := _length(reply, request)):
            if len(reply) > MOST_BYTES and not is_list:
                raise self._failure("its reply is too long")
            self._wait(self._out, select.POLLIN, deadline)
            piece = os.read(self._out, 65536)
            if not piece:
                raise self._failure("it ended without a whole reply")
            reply += piece
        return bytes(reply[:length]), bytes(reply[length:])

    def end(self) -> None:
        """End the program, by force if it does not listen."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, request: bytes, deadline: float) -> None:
        rest = memoryview(request)
        while rest:
            self._wait(self._in, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(self._in, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._failure("it does not read") from None

    def _wait(self, descriptor: int, events: int, deadline: float) -> None:
        if not _ready(descriptor, events, max(0.0, deadline - time.monotonic())):
            raise self._failure("it has not answered in time")

    def _failure(self, what: str) -> TemporaryFailure:
        return TemporaryFailure(Reason.UNREACHABLE, f"{self._file}: {what}")


def _length(reply: bytearray, request: bytes) -> int:
    """Return the length of the reply to `request` that `reply` begins with; 0 if it is not all there."""
    if request.startswith(b"PASSWD"):
        return reply.find(b"\n") + 1
    if reply.startswith((b"FAIL\n", b".\n")):
        return reply.index(b"\n") + 1
    end = reply.find(b"\n.\n")
    return end + 3 if end >= 0 else 0


def _ready(descriptor: int, events: int, seconds: float) -> bool:
    """Wait until a descriptor can be read or written, or its other end is closed; tell whether that came to pass."""
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(seconds * 1000))
