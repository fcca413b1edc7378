"""The daemon as a whole: in this process, or in the background."""

from __future__ import annotations

import gc
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import daemon

from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.server.listener import listen
from authd.server.log import LOGGER, log_to_stderr, log_to_syslog
from authd.server.master import Master
from authd.server.pidfile import PidFile
from authd.server.plan import Plan, make_plan

START_SECONDS = 30.0
"""How long the daemon may take to serve before a start in the background gives up."""

READY = b"ready\n"


def serve(settings: DaemonSettings) -> None:
    """Be the daemon, in this process, until SIGTERM or SIGINT; log to standard error.

    :raises AlreadyRunning: if another process holds the pid file.
    :raises ListenError: if the socket can't be had.
    :raises ConfigError, UnknownModules: if a module's file can't be used, or there is none of the modules.
    """
    log_to_stderr(settings.debug_login > 0)
    with PidFile(settings.directory.pid_file) as pid_file:
        _supervise(settings, pid_file, lambda: None)


def launch(settings: DaemonSettings) -> str:
    """Put the daemon into the background; return when it serves, or why it does not; empty for success.

    :raises AlreadyRunning: if another process holds the pid file.
    """
    pid_file = PidFile(settings.directory.pid_file)
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


def _supervise(settings: DaemonSettings, pid_file: PidFile, on_ready: Callable[[], None]) -> None:
    plan = make_plan(settings)
    socket = settings.directory.socket
    listener = listen(socket)
    identity = os.stat(socket).st_ino
    pid_file.write()
    # What was made up to here lives as long as the daemon; no worker need look through it or copy it.
    gc.collect()
    gc.freeze()

    def withdraw() -> None:
        """Remove the socket's name, unless it is somebody else's by now."""
        with suppress(OSError):
            if os.stat(socket).st_ino == identity:
                socket.unlink()

    def replan() -> Plan:
        return make_plan(authdaemonrc.load(settings.file))

    try:
        Master(listener, plan, replan, on_ready, withdraw, master_only=(pid_file.descriptor,)).run()
    finally:
        withdraw()
    LOGGER.info("stopped")


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
                _supervise(settings, pid_file, on_ready)
    except Exception as error:
        LOGGER.critical("can't start: %s", error)
        with suppress(OSError):
            os.write(tell, f"{error}\n".encode())
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
