"""The master: keeps the workers running, and does nothing for clients itself.

A worker that dies is replaced alone, at once if it had served for a while, else after a delay that doubles.  A reload starts
workers on the new settings before the old ones retire, so that no request is lost; settings that can't be used change nothing.
"""

from __future__ import annotations

import math
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from authd.server.log import LOGGER, set_debug
from authd.server.notify import ServiceManager
from authd.server.plan import Plan
from authd.server.reload import ReloadRequests
from authd.server.worker import WORKER_SIGNALS, Worker

SETTLED_SECONDS = 5.0
"""A worker that lived this long is replaced at once."""

FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 5.0

STOP_LIMIT_SECONDS = 25.0
"""Workers that have not ended this long after they were told to are killed."""


@dataclass(slots=True)
class Slot:
    """A place for one worker.

    :param number: the worker's in the plan's roster.
    :ivar pid: its process id, 0 while there is none.
    :ivar started: when it was started, in seconds of the monotonic clock.
    :ivar due: when the next one may start.
    :ivar delay: how long that one had to wait.
    :ivar outdated: it works on former settings, and retires once others serve.
    :ivar told: it was told to end.
    """

    plan: Plan
    number: int
    pid: int = 0
    started: float = 0.0
    due: float = 0.0
    delay: float = 0.0
    outdated: bool = False
    told: bool = False


class Master:
    """Supervises workers until SIGTERM.

    :param plan: the settings and listeners to start with.
    :param replan: reads the configuration again, on top of the plan before; raises for settings that can't be used.
    :param on_ready: called once, when every worker serves.
    :param manager: the service manager, which is told how the daemon is.
    :param master_only: descriptors that workers must not hold, such as the one with the pid file's lock.
    """

    def __init__(
        self,
        plan: Plan,
        replan: Callable[[Plan], Plan],
        on_ready: Callable[[], None],
        manager: ServiceManager,
        master_only: tuple[int, ...] = (),
    ) -> None:
        self._master_only = master_only
        self._plan = plan
        self._replan = replan
        self._manager = manager
        self._on_ready: Callable[[], None] | None = on_ready
        self._slots: list[Slot] = []
        self._signals: list[int] = []
        self._ready_count = 0
        self._told_ready = False
        self._stop_limit: float | None = None
        self._requests: ReloadRequests | None = None

    def run(self) -> None:
        """Start the workers and supervise them; return when all have ended after SIGTERM."""
        # Every client that waits takes a descriptor: as many as there may be.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        wake_in, wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        self._lifeline_in, self._lifeline_out = os.pipe2(os.O_CLOEXEC)
        self._ready_in, self._ready_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):
            # Without it, SIGHUP still works.
            self._requests = ReloadRequests(self._plan.settings.file)
        asked = [self._requests.descriptor] if self._requests is not None else []
        self._master_only += (wake_in, wake_out, self._lifeline_out, self._ready_in)
        self._announce(self._plan)
        self._slots = [Slot(self._plan, number) for number in range(self._plan.settings.daemons)]
        while self._slots:
            self._start_due()
            self._manager.sign_of_life()
            readable, _, _ = select.select([wake_in, self._ready_in, *asked], [], [], self._time_left())
            if wake_in in readable:
                os.read(wake_in, 4096)
            if self._ready_in in readable:
                self._ready_count += len(os.read(self._ready_in, 4096))
            self._obey()
            self._reap()
            self._settle()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _obey(self) -> None:
        signals, self._signals = self._signals, []
        asked = self._requests is not None and self._requests.take()
        if signal.SIGTERM in signals or signal.SIGINT in signals:
            self._stop()
        if self._stop_limit is not None:
            self._answer("the daemon stops")
        elif asked or signal.SIGHUP in signals:
            self._reload()

    def _answer(self, problem: str = "") -> None:
        """Tell those who asked for a reload what became of it."""
        if self._requests is not None:
            self._requests.answer(problem)

    def _stop(self) -> None:
        if self._stop_limit is not None:
            return
        LOGGER.info("stopping")
        self._manager.stopping()
        # From now on no client may find the sockets, else a crowd of them could keep the workers from ever coming to an end.
        self._plan.withdraw()
        self._stop_limit = time.monotonic() + STOP_LIMIT_SECONDS
        self._slots = [slot for slot in self._slots if slot.pid]
        for slot in self._slots:
            slot.told = True
            os.kill(slot.pid, signal.SIGTERM)

    def _reload(self) -> None:
        self._manager.reloading()
        try:
            plan = self._replan(self._plan)
        except Exception as error:
            LOGGER.error("reload: %s (the settings before stay in force)", error)
            self._manager.ready(f"reload failed, the settings before stay in force: {error}".replace("\n", " "))
            self._answer(f"reload failed, the settings before stay in force: {error}")
            return
        kept = [listener.socket for listener in plan.listeners]
        for listener in self._plan.listeners:
            # Workers of the former settings still have it, and serve who has come.
            if listener.socket not in kept:
                listener.close()
        self._plan.roster.close()
        self._plan = plan
        set_debug(plan.settings.debug_login > 0)
        self._announce(plan)
        for slot in self._slots:
            slot.outdated = True
        self._slots = [slot for slot in self._slots if slot.pid]
        self._ready_count = 0
        self._told_ready = False
        self._slots += [Slot(plan, number) for number in range(plan.settings.daemons)]

    def _settle(self) -> None:
        """Once as many workers serve as should: retire those of former settings, and tell that the daemon is ready."""
        if self._stop_limit is not None:
            if time.monotonic() > self._stop_limit:
                for slot in self._slots:
                    LOGGER.error("worker %d has not ended, killing it", slot.pid)
                    os.kill(slot.pid, signal.SIGKILL)
                self._stop_limit += STOP_LIMIT_SECONDS
            return
        if self._ready_count < self._plan.settings.daemons:
            return
        for slot in self._slots:
            if slot.outdated and not slot.told:
                slot.told = True
                os.kill(slot.pid, signal.SIGUSR1)
        if self._told_ready:
            return
        self._told_ready = True
        LOGGER.info("ready, %d workers serve", self._ready_count)
        rest = "; ".join(self._plan.needs_restart)
        self._manager.ready(f"{self._ready_count} workers serve" + (f"; {rest}" if rest else ""))
        self._answer(f"reload done but for what needs a restart: {rest}" if rest else "")
        if self._on_ready is not None:
            on_ready, self._on_ready = self._on_ready, None
            on_ready()

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if not slot.pid and slot.due <= now:
                slot.started = now
                slot.pid = self._fork(slot)

    def _time_left(self) -> float | None:
        times = [slot.due for slot in self._slots if not slot.pid]
        if self._stop_limit is not None:
            times.append(self._stop_limit)
        times.append(self._manager.next_sign)
        nearest = min(times)
        return max(0.0, nearest - time.monotonic()) if nearest < math.inf else None

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            slot = next((slot for slot in self._slots if slot.pid == pid), None)
            if slot is not None:
                self._ended(slot, status)

    def _ended(self, slot: Slot, status: int) -> None:
        if slot.outdated or slot.told:
            self._slots.remove(slot)
            return
        slot.plan.roster.held_up(slot.number)
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit status {os.WEXITSTATUS(status)}"
        now = time.monotonic()
        settled = now - slot.started >= SETTLED_SECONDS
        slot.delay = 0.0 if settled else min(max(2 * slot.delay, FIRST_DELAY_SECONDS), LAST_DELAY_SECONDS)
        slot.due = now + slot.delay
        LOGGER.error("worker %d died by %s; the next one starts in %.1f s", slot.pid, how, slot.delay)
        slot.pid = 0

    def _fork(self, slot: Slot) -> int:
        # A signal must not reach the child while it still has the master's handlers; the worker unblocks them.
        signal.pthread_sigmask(signal.SIG_BLOCK, WORKER_SIGNALS)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WORKER_SIGNALS)
            return pid
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in self._master_only:
                os.close(descriptor)
            if self._requests is not None:
                self._requests.close()
            plan = slot.plan
            Worker(plan.listeners, plan.responder, plan.roster, slot.number, self._lifeline_in).run(self._ready_out)
            status = 0
        except BaseException:
            LOGGER.exception("worker %d can't go on", os.getpid())
        finally:
            os._exit(status)

    def _announce(self, plan: Plan) -> None:
        LOGGER.info('modules="%s", daemons=%d', " ".join(plan.settings.modules), plan.settings.daemons)
