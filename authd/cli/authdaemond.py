"""authdaemond: start, stop and look after the daemon."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from authd.cli.common import FAILED, OK, command, complain, configuration, option_parser
from authd.cli.offline import examine
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings, RunDirectory
from authd.config.hints import described
from authd.config.problem import ConfigError
from authd.modules.registry import UnknownModules
from authd.server.listener import ListenError, answers
from authd.server.pidfile import AlreadyRunning, running
from authd.server.privileges import PrivilegeError
from authd.server.service import launch, serve

STOP_SECONDS = 60.0
"""How long the daemon may take to end before ``stop`` gives up."""

DEAD_WITH_PID_FILE = 1
NOT_RUNNING = 3
"""Exit statuses of ``status``, as the Linux Standard Base has them."""


@command("authdaemond")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = option_parser("authdaemond", "The authentication daemon.")
    parser.add_argument("command", choices=["start", "stop", "restart", "reload", "status"])
    parser.add_argument("--sysconfdir", metavar="DIR", help="directory of authdaemonrc")
    parser.add_argument("--foreground", action="store_true", help="with start: stay here, and log to standard error")
    options = parser.parse_args(arguments)
    try:
        file = configuration(options.sysconfdir)
        # These must work whatever else is wrong in the file.
        directory = authdaemonrc.load_directory(file)
        match options.command:
            case "start" if options.foreground:
                serve(authdaemonrc.load(file))
                return OK
            case "start":
                # Everything that can be wrong shows here, where somebody reads it.
                return _start(examine(file))
            case "stop":
                return _stop(directory)
            case "restart":
                # Settings that can't be used must not cost the daemon that runs.
                settings = examine(file)
                return _stop(directory) or _start(settings)
            case "reload":
                return _reload(file, directory)
            case _:
                return _status(directory)
    except (ConfigError, UnknownModules, ListenError, AlreadyRunning, PrivilegeError) as error:
        complain(str(error))
    except OSError as error:
        complain(described(error, "authdaemond"))
    return FAILED


def _start(settings: DaemonSettings) -> int:
    """Put the daemon into the background; return when its socket answers, or with what it says of why not."""
    socket = settings.directory.socket
    try:
        problem = launch(settings)
    except AlreadyRunning as error:
        complain(str(error))
        return OK if answers(socket) else FAILED
    if not problem and answers(socket):
        return OK
    complain(problem or f"{socket}: no answer; the log of the daemon says why, in syslog or the journal")
    # What does not serve is not left behind.
    _stop(settings.directory)
    return FAILED


def _stop(directory: RunDirectory) -> int:
    """End the daemon and wait until it has ended."""
    pid = running(directory.pid_file)
    if pid is None:
        return OK
    try:
        process = os.pidfd_open(pid)
    except (ProcessLookupError, ValueError):
        # It is about to end, or has not even written its id; neither can be told to stop.
        complain(f"{directory.pid_file}: locked, but by no process that can be told to stop; try again")
        return FAILED
    try:
        _signal(pid, lambda: signal.pidfd_send_signal(process, signal.SIGTERM))
        if not select.select([process], [], [], STOP_SECONDS)[0]:
            complain(f"process {pid} has not ended within {STOP_SECONDS:g} s")
            return FAILED
    finally:
        os.close(process)
    return OK


def _reload(file: Path, directory: RunDirectory) -> int:
    """Check the configuration, then have the daemon read it."""
    examine(file)
    pid = running(directory.pid_file)
    if not pid:
        complain("not running")
        return FAILED
    _signal(pid, lambda: os.kill(pid, signal.SIGHUP))
    return OK


def _signal(pid: int, send: Callable[[], None]) -> None:
    """Send a signal; where this user may not, the error names the process.

    :raises OSError: if it can't be sent.
    """
    try:
        send()
    except PermissionError as error:
        hint = "it is another user's; run it as root"
        raise PermissionError(error.errno, f"{error.strerror}; {hint}", f"process {pid}") from None


def _status(directory: RunDirectory) -> int:
    pid = running(directory.pid_file)
    if pid is not None:
        answering = answers(directory.socket)
        print(f"running, process {pid}; {directory.socket} {'answers' if answering else 'does not answer'}")
        return OK if answering else FAILED
    if directory.pid_file.exists() and directory.pid_file.stat().st_size:
        print(f"not running, but {directory.pid_file} was left behind")
        return DEAD_WITH_PID_FILE
    print("not running")
    return NOT_RUNNING


if __name__ == "__main__":
    sys.exit(main())
