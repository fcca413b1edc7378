"""authdaemond: start, stop and look after the daemon."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from authd.cli.common import FAILED, OK, choice, command, complain, configuration, option_parser
from authd.cli.offline import examine
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings, RunDirectory
from authd.config.hints import described
from authd.config.problem import ConfigError
from authd.modules.registry import UnknownModules
from authd.server.directory import PlaceError
from authd.server.listener import answers
from authd.server.pidfile import AlreadyRunning, Daemon, daemon_of, running_daemon
from authd.server.privileges import PrivilegeError
from authd.server.reload import ReloadRefused, Unanswered, ask_for_reload, master_at
from authd.server.service import launch, serve

STOP_SECONDS = 60.0
"""How long the daemon may take to end before ``stop`` gives up."""

DEAD_WITH_PID_FILE = 1
NOT_RUNNING = 3
UNKNOWN = 4
"""Exit statuses of ``status``, as the Linux Standard Base has them."""


COMMANDS = ("start", "stop", "restart", "reload", "status")


@command("authdaemond")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = option_parser("authdaemond", "The authentication daemon.")
    verbs = f"{{{','.join(COMMANDS)}}}"
    # An optional argument to argparse, whose complaint about a missing one would hide the one about an unknown option.
    parser.usage = f"%(prog)s [-h] [--version] [--sysconfdir DIR] [--foreground] {verbs}"
    parser.add_argument("command", nargs="?", metavar=verbs)
    parser.add_argument("--sysconfdir", metavar="DIR", help="directory of authdaemonrc")
    parser.add_argument("--foreground", action="store_true", help="with start: stay here, and log to standard error")
    options = parser.parse_args(arguments)
    verb = choice(options.command, COMMANDS, parser)
    try:
        file = configuration(options.sysconfdir)
        # These must work whatever else is wrong in the file.
        directory = authdaemonrc.find_directory(file)
        if directory is None:
            with suppress(ConfigError):
                directory = authdaemonrc.load(file).directory
        match verb:
            case "start" if options.foreground:
                serve(authdaemonrc.load(file))
                return OK
            case "start":
                # Everything that can be wrong shows here, where somebody reads it.
                return _start(examine(file))
            case "stop":
                return _stop(directory, file)
            case "restart":
                # Settings that can't be used must not cost the daemon that runs.
                settings = examine(file)
                return _stop(directory, file) or _start(settings)
            case "reload":
                return _reload(file, directory)
            case _:
                return _status(directory, file)
    except (ConfigError, UnknownModules, PlaceError, AlreadyRunning, PrivilegeError) as error:
        complain(str(error))
    except OSError as error:
        complain(described(error, "authdaemond"))
    return UNKNOWN if verb == "status" else FAILED


def _start(settings: DaemonSettings) -> int:
    """Put the daemon into the background; return when its socket answers, or with what it says of why not."""
    socket = settings.directory.socket
    try:
        problem = launch(settings)
    except AlreadyRunning as error:
        complain(str(error))
        return OK if error.pid and answers(socket) else FAILED
    if not problem and answers(socket):
        return OK
    complain(problem or f"{socket}: no answer; the log of the daemon says why, in syslog or the journal")
    # What does not serve is not left behind.
    with running_daemon(settings.directory.pid_file) as daemon:
        if daemon is not None:
            _end(daemon)
    return FAILED


def _stop(directory: RunDirectory | None, file: Path) -> int:
    """End the daemon and wait until it has ended, in whatever directory it meets its clients."""
    with _in(directory) as daemon:
        if daemon is not None:
            return _end(daemon)
    with daemon_of(master_at(file)) as daemon:
        # authdaemonvar was changed.
        if daemon is not None:
            return _end(daemon)
    _refuse_to_guess(directory, file)
    return OK


def _in(directory: RunDirectory | None) -> AbstractContextManager[Daemon | None]:
    """Give the daemon that runs in a directory, ``None`` if none does or the file does not tell the directory."""
    return running_daemon(directory.pid_file) if directory is not None else nullcontext(None)


def _refuse_to_guess(directory: RunDirectory | None, file: Path) -> None:
    """Raise what is wrong with the file if it does not tell the daemon's directory; in the default one may be another's."""
    if directory is None:
        authdaemonrc.load(file)


def _end(daemon: Daemon) -> int:
    daemon.send(signal.SIGTERM)
    if daemon.ends_within(STOP_SECONDS):
        return OK
    complain(f"process {daemon.pid} has not ended within {STOP_SECONDS:g} s")
    return FAILED


def _reload(file: Path, directory: RunDirectory | None) -> int:
    """Have the daemon read its configuration; return when it serves on that, or with what it says of why not."""
    with _in(directory) as daemon:
        # A service manager names its process, also where authdaemonvar has changed.
        named = os.environ.get("MAINPID", "")
        pid = daemon.pid if daemon is not None else int(named) if re.fullmatch("[0-9]+", named) else master_at(file)
        if pid is None:
            # A file that can't be used may not name the daemon's directory either.
            examine(file)
            complain(f"not running in {directory}; if authdaemonvar was changed, a restart is needed")
            return FAILED
        try:
            ask_for_reload(pid)
        except ReloadRefused as error:
            complain(str(error))
            return FAILED
        except PermissionError:
            if daemon is None:
                raise
            raise daemon.not_ours() from None
        except Unanswered as error:
            if daemon is None:
                _refuse_to_guess(directory, file)
                complain(f"not running in {directory}: {error}; if authdaemonvar was changed, a restart is needed")
                return FAILED
            examine(file)
            daemon.send(signal.SIGHUP)
            complain(f"process {daemon.pid} was told to reload, and its log says what comes of it: {error}")
            return FAILED
    return OK


def _status(directory: RunDirectory | None, file: Path) -> int:
    with _in(directory) as daemon:
        if daemon is not None and directory is not None:
            answering = answers(directory.socket)
            print(f"running, process {daemon.pid}; {directory.socket} {'answers' if answering else 'does not answer'}")
            return OK if answering else FAILED
    with daemon_of(master_at(file)) as daemon:
        if daemon is not None:
            print(f"running, process {daemon.pid}, but {_out_of_place(directory, file)}")
            return FAILED
    _refuse_to_guess(directory, file)
    with suppress(OSError):
        if directory is not None and directory.pid_file.lstat().st_size:
            print(f"not running, but {directory.pid_file} was left behind")
            return DEAD_WITH_PID_FILE
    print("not running")
    return NOT_RUNNING


def _out_of_place(directory: RunDirectory | None, file: Path) -> str:
    """Return why a daemon that serves on a configuration was not found by its pid file, and what to do."""
    if directory is None:
        return f"{file} does not tell its directory any more; correct that file, see authd check"
    if answers(directory.socket):
        return f"{directory.pid_file} is not its pid file any more; a restart is needed"
    return f"not in {directory}; authdaemonvar was changed, and a restart is needed"


if __name__ == "__main__":
    sys.exit(main())
