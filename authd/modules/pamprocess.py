"""Processes that ask PAM, so that a worker waits for none longer than it wants to.

A process makes a handle of its own for each check, and does one check after the other.  It ends when the worker does, when it has
done `MOST_CHECKS`, and when a check takes too long, by force.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pamela

from authd.modules.base import TemporaryFailure
from authd.outcome import Reason

MOST_AT_ONCE = 16
"""Processes of one worker."""

KEPT = 2
"""Of these, how many stay for the next questions."""

MOST_CHECKS = 1000
"""Checks of one process, since PAM's modules leave things behind."""

PATIENCE_SECONDS = 0.01
"""When no process is done within this, one more is started for the next in the queue."""

PACKET_BYTES = 64 * 1024

_PROMPTS = 8
"""So many times a PAM module may ask for a password."""


@dataclass(frozen=True, slots=True)
class PamCheck:
    """The question whether PAM lets a user in, and, if so, whether it takes a new password.

    :param remote_ip: address of the mail client, which PAM modules know as the remote host; empty where it was not told.
    :param new: the new password; ``None`` to change none.
    """

    service: bytes
    user: bytes
    password: bytes = field(repr=False)
    remote_ip: bytes = b""
    new: bytes | None = field(default=None, repr=False)

    def packed(self) -> bytes:
        """Return the check as one packet.  C's strings, which PAM takes, have no NUL in them."""
        fields = (self.service, self.user, self.password, self.remote_ip)
        return b"\0".join(fields if self.new is None else (*fields, self.new))


Code = int | TemporaryFailure
"""PAM's code, or why there is none."""


class PamProcesses:
    """The processes of one worker.

    :param timeout: seconds that a check may take.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._idle: list[_Process] = []

    def run(self, checks: Sequence[PamCheck]) -> list[Code]:
        """Return what PAM has to say to each of `checks`, of which up to `MOST_AT_ONCE` are under way at the same time."""
        codes: list[Code] = [TemporaryFailure(Reason.UNREACHABLE, "PAM was not asked")] * len(checks)
        waiting = deque(enumerate(checks))
        running: dict[int, _Run] = {}
        poll = select.poll()
        while waiting or running:
            # One is under way at least; more where it is not done at once, or where there are more who have nothing to do.
            while waiting and (not running or self._idle):
                self._start(waiting, running, poll)
            done = poll.poll(_milliseconds(running, bool(waiting) and len(running) < MOST_AT_ONCE))
            for descriptor, _ in done:
                run = running.pop(descriptor)
                poll.unregister(descriptor)
                codes[run.place] = self._finish(run.process)
            for descriptor, run in list(running.items()):
                if run.deadline <= time.monotonic():
                    del running[descriptor]
                    poll.unregister(descriptor)
                    run.process.end()
                    codes[run.place] = TemporaryFailure(Reason.UNREACHABLE, "PAM has not answered in time")
            if not done and waiting and len(running) < MOST_AT_ONCE:
                self._start(waiting, running, poll)
        for process in self._idle[KEPT:]:
            process.end()
        del self._idle[KEPT:]
        return codes

    def close(self) -> None:
        """End all processes; the next check starts one."""
        for process in self._idle:
            process.end()
        self._idle.clear()

    def _start(self, waiting: deque[tuple[int, PamCheck]], running: dict[int, _Run], poll: select.poll) -> None:
        place, check = waiting.popleft()
        process = self._idle.pop() if self._idle else _Process(self._timeout)
        process.send(check)
        running[process.descriptor] = _Run(place, process, time.monotonic() + self._timeout)
        poll.register(process.descriptor, select.POLLIN)

    def _finish(self, process: _Process) -> Code:
        code = process.receive()
        if isinstance(code, TemporaryFailure) or process.checks >= MOST_CHECKS:
            process.end()
        else:
            self._idle.append(process)
        return code


@dataclass(slots=True)
class _Run:
    """A check that is under way."""

    place: int
    process: _Process
    deadline: float


def _milliseconds(running: dict[int, _Run], more_wait: bool) -> float:
    """Return how long to wait for one of `running`."""
    seconds = min(run.deadline for run in running.values()) - time.monotonic()
    return max(0.0, min(seconds, PATIENCE_SECONDS) if more_wait else seconds) * 1000


class _Process:
    """One process, and the socket to it."""

    def __init__(self, timeout: float) -> None:
        self.checks = 0
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if not self._pid:
            try:
                _serve(theirs.fileno(), timeout)
            finally:
                os._exit(1)
        theirs.close()

    @property
    def descriptor(self) -> int:
        """Becomes readable when there is an answer."""
        return self._socket.fileno()

    def send(self, check: PamCheck) -> None:
        """Give the process something to do."""
        self.checks += 1
        # One that has died tells so by having no answer.
        with suppress(OSError):
            self._socket.send(check.packed())

    def receive(self) -> Code:
        """Return the answer."""
        try:
            said = self._socket.recv(1)
        except OSError:
            said = b""
        return said[0] if said else TemporaryFailure(Reason.UNREACHABLE, "PAM ended without an answer")

    def end(self) -> None:
        """End the process at once."""
        self._socket.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _serve(descriptor: int, timeout: float) -> None:
    """Answer checks until there are no more; the whole life of a process."""
    # Clients must not be kept waiting by a descriptor of theirs that lives on here.
    os.dup2(descriptor, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    packets = socket.socket(fileno=3)
    while packet := packets.recv(PACKET_BYTES):
        service, user, password, remote_ip, *new = packet.split(b"\0")
        # Should the worker be gone, nobody else would end this.
        signal.alarm(int(timeout) + 1)
        code = _asked(PamCheck(service, user, password, remote_ip, new[0] if new else None))
        signal.alarm(0)
        packets.send(bytes([code & 0xFF]))


def _asked(check: PamCheck) -> int:
    conversation = pamela.new_simple_password_conv([check.password] * _PROMPTS, "utf-8")
    handle = pamela.pam_start(check.service, check.user, conv_func=conversation)
    if check.remote_ip:
        pamela.PAM_SET_ITEM(handle, pamela.PAM_RHOST, check.remote_ip)
    code: int = pamela.PAM_AUTHENTICATE(handle, 0) or pamela.PAM_ACCT_MGMT(handle, 0)
    pamela.PAM_END(handle, code)
    if code or check.new is None:
        return code
    # Root is asked for the new password alone, twice.
    answers = [check.new] * _PROMPTS
    if os.geteuid() != 0:
        answers.insert(0, check.password)
    conversation = pamela.new_simple_password_conv(answers, "utf-8")
    handle = pamela.pam_start(check.service, check.user, conv_func=conversation)
    code = pamela.PAM_CHAUTHTOK(handle, 0)
    pamela.PAM_END(handle, code)
    return code
