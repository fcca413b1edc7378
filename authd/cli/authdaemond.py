"""authdaemond: start, stop and look after the daemon."""

from __future__ import annotations

import argparse
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import daemon

from authd.cli.common import FAILED, OK, complain, load_settings, make_chain
from authd.config.authdaemonrc import DaemonSettings
from authd.config.problem import ConfigError
from authd.modules.registry import UnknownModules
from authd.server.listener import ListenError, answers, listen
from authd.server.log import LOGGER, log_to_stderr, log_to_syslog
from authd.server.master import Master, Plan
from authd.server.pidfile import AlreadyRunning, PidFile, running
from authd.server.responder import Responder

START_SECONDS = 30.0
"""How long the daemon may take to answer before ``start`` gives up."""

STOP_SECONDS = 60.0
"""How long the daemon may take to end before ``stop`` gives up."""

DEAD_WITH_PID_FILE = 1
NOT_RUNNING = 3
"""Exit statuses of ``status``, as the Linux Standard Base has them."""

READY = b"ready\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="authdaemond", description="The authentication daemon.", allow_abbrev=False)
    parser.add_argument("command", choices=["start", "stop", "restart", "reload", "status"])
    parser.add_argument("--sysconfdir", metavar="DIR", help="directory of authdaemonrc")
    parser.add_argument("--foreground", action="store_true", help="with start: stay here, and log to standard error")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(options.sysconfdir)
        match options.command:
            case "start" if options.foreground:
                return _serve(settings, lambda: None)
            case "start":
                return _start(settings)
            case "stop":
                return _stop(settings)
            case "restart":
                # Settings that can't be used must not cost the daemon that runs.
                make_chain(settings, complain, _ignore)
                return _stop(settings) or _start(settings)
            case "reload":
                return _reload(settings)
            case _:
                return _status(settings)
    except (ConfigError, UnknownModules, ListenError, AlreadyRunning) as error:
        complain(str(error))
    except OSError as error:
        complain(f"{error.filename or 'authdaemond'}: {error.strerror or error}")
    return FAILED


def _ignore(_line: str) -> None:
    pass


def _serve(settings: DaemonSettings, on_ready: Callable[[], None]) -> int:
    """Be the daemon, in this process."""
    log_to_stderr(settings.debug_login > 0)
    with PidFile(settings.pid_file) as pid_file:
        return _supervise(settings, pid_file, on_ready)


def _supervise(settings: DaemonSettings, pid_file: PidFile, on_ready: Callable[[], None]) -> int:
    for remark in settings.remarks:
        LOGGER.warning("%s", remark)
    plan = _plan(settings)
    listener = listen(settings.socket)
    identity = os.stat(settings.socket).st_ino
    pid_file.write()
    # What was made up to here lives as long as the daemon; no worker need look through it or copy it.
    gc.collect()
    gc.freeze()
    try:
        Master(
            listener,
            plan,
            lambda: _plan(load_settings(str(settings.file.parent))),
            on_ready,
            master_only=(pid_file.descriptor,),
        ).run()
    finally:
        with suppress(OSError):
            if os.stat(settings.socket).st_ino == identity:
                settings.socket.unlink()
    LOGGER.info("stopped")
    return OK


def _plan(settings: DaemonSettings) -> Plan:
    chain = make_chain(settings, lambda line: LOGGER.error("%s", line), lambda line: LOGGER.debug("%s", line))
    return Plan(settings, Responder(chain, settings))


def _start(settings: DaemonSettings) -> int:
    """Put the daemon into the background; return when its socket answers, or with what it says of why not."""
    try:
        # Everything that can be wrong shows here, where somebody reads it.
        make_chain(settings, complain, _ignore)
        pid_file = PidFile(settings.pid_file)
    except AlreadyRunning as error:
        if answers(settings.socket):
            complain(str(error))
            return OK
        raise
    told, tell = os.pipe()
    if os.fork() == 0:
        os.close(told)
        os._exit(_in_background(settings, pid_file, tell))
    os.close(tell)
    os.close(pid_file.descriptor)
    word = _hear(told)
    if word == READY and answers(settings.socket):
        return OK
    complain(
        word.decode(errors="replace").rstrip()
        or f"{settings.socket}: no answer within {START_SECONDS:g} s; see the log"
    )
    # What has not served anybody yet is not left behind.
    _stop(settings)
    return FAILED


def _in_background(settings: DaemonSettings, pid_file: PidFile, tell: int) -> int:
    """Leave the terminal and be the daemon; write `READY`, or why not, to the descriptor `tell`."""
    status = FAILED
    try:
        with daemon.DaemonContext(
            detach_process=True,
            files_preserve=[tell, pid_file.descriptor],
            umask=0o022,
            signal_map={signal.SIGTERM: None},
        ):
            log_to_syslog(settings.logger_name, settings.logger_facility, settings.debug_login > 0)
            with pid_file:

                def on_ready() -> None:
                    os.write(tell, READY)
                    os.close(tell)

                status = _supervise(settings, pid_file, on_ready)
    except Exception as error:
        LOGGER.critical("can't start: %s", error)
        with suppress(OSError):
            os.write(tell, f"{error}\n".encode())
    return status


def _hear(descriptor: int) -> bytes:
    """Return what is written to a pipe until it is closed, or until the daemon took too long."""
    heard = b""
    deadline = time.monotonic() + START_SECONDS
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            piece = pipe.read(4096)
            if not piece:
                break
            heard += piece
            if heard == READY:
                break
    return heard


def _stop(settings: DaemonSettings) -> int:
    """End the daemon and wait until it has ended."""
    pid = running(settings.pid_file)
    if pid is None:
        return OK
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return OK
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if not select.select([process], [], [], STOP_SECONDS)[0]:
            complain(f"process {pid} has not ended within {STOP_SECONDS:g} s")
            return FAILED
    finally:
        os.close(process)
    return OK


def _reload(settings: DaemonSettings) -> int:
    """Check the configuration, then have the daemon read it."""
    pid = running(settings.pid_file)
    if not pid:
        complain("not running")
        return FAILED
    make_chain(settings, complain, _ignore)
    os.kill(pid, signal.SIGHUP)
    return OK


def _status(settings: DaemonSettings) -> int:
    pid = running(settings.pid_file)
    if pid is not None:
        answering = answers(settings.socket)
        print(f"running, process {pid}; {settings.socket} {'answers' if answering else 'does not answer'}")
        return OK if answering else FAILED
    if Path(settings.pid_file).exists():
        print(f"not running, but {settings.pid_file} was left behind")
        return DEAD_WITH_PID_FILE
    print("not running")
    return NOT_RUNNING


if __name__ == "__main__":
    sys.exit(main())
