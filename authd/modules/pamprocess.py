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
from dataclasses import dataclass

from authd.modules.base import TemporaryFailure
from authd.modules.pamtransaction import PamCheck, PamResult, ask_pam
from authd.modules.readable import is_readable
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

Given = PamResult | TemporaryFailure
"""PAM's result, or why there is none."""


class PamProcesses:
    """The processes of one worker.

    :param timeout: seconds that a check may take.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._idle: list[_Process] = []

    def run(self, checks: Sequence[PamCheck]) -> list[Given]:
        """Return what PAM has to say to each of `checks`, of which up to `MOST_AT_ONCE` are under way at the same time."""
        results: list[Given] = [TemporaryFailure(Reason.UNREACHABLE, "PAM was not asked")] * len(checks)
        waiting = deque(enumerate(checks))
        running: dict[int, _Run] = {}
        try:
            self._run(waiting, running, results)
        except BaseException:
            # Their answers are for checks that nothing waits for any more.
            for run in running.values():
                run.process.end()
            raise
        for process in self._idle[KEPT:]:
            process.end()
        del self._idle[KEPT:]
        return results

    def close(self) -> None:
        """End all processes; the next check starts one."""
        for process in self._idle:
            process.end()
        self._idle.clear()

    def _run(self, waiting: deque[tuple[int, PamCheck]], running: dict[int, _Run], results: list[Given]) -> None:
        poll = select.poll()
        while waiting or running:
            # One is under way at least; more where it is not done at once, or where there are more who have nothing to do.
            while waiting and (not running or self._idle):
                self._start(waiting, running, poll)
            done = poll.poll(_milliseconds(running, bool(waiting) and len(running) < MOST_AT_ONCE))
            for descriptor, _ in done:
                run = running.pop(descriptor)
                poll.unregister(descriptor)
                results[run.place] = self._finish(run.process)
            for descriptor, run in list(running.items()):
                if run.deadline <= time.monotonic():
                    del running[descriptor]
                    poll.unregister(descriptor)
                    run.process.end()
                    results[run.place] = TemporaryFailure(Reason.UNREACHABLE, "PAM has not answered in time")
            if not done and waiting and len(running) < MOST_AT_ONCE:
                self._start(waiting, running, poll)

    def _start(self, waiting: deque[tuple[int, PamCheck]], running: dict[int, _Run], poll: select.poll) -> None:
        place, check = waiting.popleft()
        process = self._next()
        running[process.descriptor] = _Run(place, process, time.monotonic() + self._timeout)
        process.send(check)
        poll.register(process.descriptor, select.POLLIN)

    def _next(self) -> _Process:
        """Return a process that has nothing to do; one that has died, or said something unasked, is none."""
        while self._idle:
            process = self._idle.pop()
            if not is_readable(process.descriptor):
                return process
            process.end()
        return _Process(self._timeout)

    def _finish(self, process: _Process) -> Given:
        result = process.receive()
        if isinstance(result, TemporaryFailure) or process.checks >= MOST_CHECKS:
            process.end()
        else:
            self._idle.append(process)
        return result


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

    def receive(self) -> Given:
        """Return the answer."""
        try:
            return PamResult.unpacked(self._socket.recv(PACKET_BYTES))
        except (OSError, ValueError):
            return TemporaryFailure(Reason.UNREACHABLE, "PAM ended without an answer")

    def end(self) -> None:
        """End the process at once."""
        self._socket.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _serve(descriptor: int, timeout: float) -> None:
    """Answer checks until there are no more; the whole life of a process."""
    # PAM's modules load libraries that read files of the working directory, as libldap does.
    os.chdir("/")
    # Clients must not be kept waiting by a descriptor of theirs that lives on here.
    os.dup2(descriptor, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    packets = socket.socket(fileno=3)
    while packet := packets.recv(PACKET_BYTES):
        # Should the worker be gone, nobody else would end this.
        signal.alarm(int(timeout) + 1)
        result = ask_pam(PamCheck.unpacked(packet))
        signal.alarm(0)
        packets.send(result.packed())
