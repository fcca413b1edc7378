"""The daemon as a whole: in this process, or in the background."""

from __future__ import annotations

import codecs
import errno
import gc
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import daemon

from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.config.exposure import exposed
from authd.config.hints import described
from authd.config.problem import ConfigError
from authd.server.directory import user_in_words
from authd.server.log import LOGGER, log_to_stderr, log_to_syslog
from authd.server.master import Master
from authd.server.notify import ServiceManager, given_sockets
from authd.server.pages import let_go_of_files
from authd.server.pidfile import PidFile
from authd.server.plan import Plan, make_plan
from authd.server.privileges import become, keep_memory_private, lay_down_capabilities
from authd.server.sight import hindrances
from authd.server.trust import remarks

START_SECONDS = 30.0
"""How long the daemon may take to serve before a start in the background gives up."""

READY = b"ready\n"


class RestartNeeded(Exception):
    """A reload can't read what the start could; the text says what."""


def serve(settings: DaemonSettings) -> None:
    """Be the daemon, in this process, until SIGTERM or SIGINT; log to standard error.

    A service manager that started it is told how it is, and may have opened the sockets.

    :raises AlreadyRunning: if another process holds the pid file.
    :raises PidFileError: if the pid file is none that may be written.
    :raises ListenError: if a socket can't be had.
    :raises PrivilegeError: if the user that it is to run as can't be had.
    :raises ConfigError, UnknownModules: if a module's file can't be used, or there is none of the modules.
    """
    log_to_stderr(settings.debug_login > 0)
    manager, given = ServiceManager.of_this_process(), given_sockets()
    with PidFile(settings.directory.pid_file, settings.user) as pid_file:
        _supervise(settings, pid_file, lambda: None, manager, given)


def launch(settings: DaemonSettings) -> str:
    """Put the daemon into the background; return when it serves, or why it does not; empty for success.

    :raises AlreadyRunning: if another process holds the pid file.
    :raises PidFileError: if the pid file is none that may be written.
    """
    pid_file = PidFile(settings.directory.pid_file, settings.user)
    told, tell = os.pipe()
    if os.fork() == 0:
        os.close(told)
        os._exit(_in_background(settings, pid_file, tell))
    os.close(tell)
    os.close(pid_file.descriptor)
    word = _hear(told)
    if word == READY:
        return ""
    return word.decode(errors="replace").rstrip() or f"not ready within {START_SECONDS:g} s; the log says why"


def _supervise(
    settings: DaemonSettings,
    pid_file: PidFile,
    on_ready: Callable[[], None],
    manager: ServiceManager,
    given: Mapping[Path, socket.socket],
) -> None:
    """Do what needs root, become the user that needs none, and supervise workers to the end."""
    # The configuration has passwords in it.
    keep_memory_private()
    plan = make_plan(settings, given=given)
    used = [listener.socket for listener in plan.listeners]
    for path, unused in given.items():
        if unused not in used:
            LOGGER.warning("%s: given by the service manager, but not a listener; add it to AUTHD_LISTEN", path)
            unused.close()
    try:
        pid_file.write()
        _log_remarks(settings)
        # Python loads a codec at its first use, and the ordinary user may not be able to read where it is.
        codecs.lookup("unicode_escape")
        become(settings.user)
        lay_down_capabilities()
        keep_memory_private()
        _log_hindrances(plan)
        # What was made up to here lives as long as the daemon; no worker need look through it or copy it.
        gc.collect()
        gc.freeze()
        let_go_of_files()
        Master(plan, _replan, on_ready, manager, master_only=(pid_file.descriptor,)).run()
    except BaseException:
        plan.withdraw()
        raise
    LOGGER.info("stopped")


def _replan(before: Plan) -> Plan:
    """Return the plan of the configuration as it is now, but for what only a restart can change."""
    try:
        return _plan_again(before)
    except ConfigError as error:
        if not any(os.strerror(errno.EACCES) in problem.problem for problem in error.problems):
            raise
        user = user_in_words(os.geteuid())
        raise RestartNeeded(f"{error}\na restart is needed to read as root what {user} can't read") from error


def _plan_again(before: Plan) -> Plan:
    settings = authdaemonrc.load(before.settings.file)
    needs_restart: list[str] = []
    fixed = {"authdaemonvar": "directory", "AUTHD_USER": "user"}
    for name, field in fixed.items():
        kept = getattr(before.settings, field)
        if getattr(settings, field) != kept:
            needs_restart.append(f"{name} was changed, which needs a restart; still {kept or 'not set'}")
            LOGGER.error("reload: %s", needs_restart[-1])
            settings = replace(settings, **{field: kept})
    plan = make_plan(settings, before)
    _log_remarks(settings)
    _log_hindrances(plan)
    return replace(plan, needs_restart=tuple(needs_restart))


def _log_hindrances(plan: Plan) -> None:
    """Log what the user that this process has become may not do and the modules have to."""
    for name, problem in hindrances(plan.settings, plan.modules):
        LOGGER.log(logging.ERROR if problem.fatal else logging.WARNING, "%s%s", f"{name}: " if name else "", problem)


def _log_remarks(settings: DaemonSettings) -> None:
    for remark in (*remarks(settings), *exposed(settings)):
        LOGGER.warning("%s", remark)


def _in_background(settings: DaemonSettings, pid_file: PidFile, tell: int) -> int:
    """Leave the terminal and be the daemon; write `READY`, or why not, to the descriptor `tell`."""

    def on_ready() -> None:
        os.write(tell, READY)
        os.close(tell)

    try:
        with daemon.DaemonContext(
            detach_process=True,
            files_preserve=[tell, pid_file.descriptor],
            umask=0o022,
            signal_map={signal.SIGTERM: None},
        ):
            log_to_syslog(settings.logger_name, settings.logger_facility, settings.debug_login > 0)
            with pid_file:
                _supervise(settings, pid_file, on_ready, ServiceManager(), {})
    except Exception as error:
        told = described(error, "authdaemond") if isinstance(error, OSError) else str(error)
        LOGGER.critical("can't start: %s", told)
        with suppress(OSError):
            os.write(tell, f"{told}\n".encode())
        return 1
    return 0


def _hear(descriptor: int) -> bytes:
    """Return what is written to a pipe until it is closed, or until the daemon took too long."""
    heard = b""
    deadline = time.monotonic() + START_SECONDS
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        while heard != READY and select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            piece = pipe.read(4096)
            if not piece:
                break
            heard += piece
    return heard
