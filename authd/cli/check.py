"""``authd check``: read the configuration, connect, prove the statements, and report each problem with its mend."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence

from authd.chain import surroundings_of
from authd.cli.common import FAILED, OK, complain, configuration
from authd.cli.offline import see_as_daemon, user_exists
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.config.exposure import exposed
from authd.config.problem import ConfigError, Problem
from authd.modules.registry import try_modules
from authd.server.directory import check_writable, user_in_words
from authd.server.listener import ListenError, check_place
from authd.server.pidfile import PidFileError, check_pid_file
from authd.server.sight import hindrances
from authd.server.trust import remarks


def check(directory: str | None) -> int:
    """Check the installation whose authdaemonrc is in `directory`, and return the exit status."""
    try:
        settings = authdaemonrc.load(configuration(directory))
    except ConfigError as error:
        _show(error.problems)
        return FAILED
    problems = [
        *settings.remarks,
        *exposed(settings),
        *_check_user(settings),
        *_check_places(settings),
        *remarks(settings),
    ]
    problems += _check_modules(settings)
    _show(problems)
    if any(problem.fatal for problem in problems):
        return FAILED
    print(f"{settings.file}: {' '.join(settings.modules)}: ready")
    return OK


def _check_user(settings: DaemonSettings) -> Iterator[Problem]:
    if settings.user and not user_exists(settings.user):
        yield Problem(
            settings.file, f"there is no user {settings.user}", "create it, or name another", setting="AUTHD_USER"
        )


def _check_places(settings: DaemonSettings) -> Iterator[Problem]:
    """See whether a start can have the pid file and the sockets."""
    running = True
    directory = settings.directory
    try:
        running = check_pid_file(directory.pid_file, settings.user)
    except PidFileError as error:
        # The start, which runs as root, reads another user's file.
        fatal = not isinstance(error.__cause__, PermissionError)
        yield Problem(settings.file, f"{error.path}: {error.problem}", error.mend, None, "authdaemonvar", fatal)
    except ListenError:
        pass  # Of its socket, the same is told.
    for listener in settings.listeners:
        try:
            check_place(listener, running)
        except ListenError as error:
            setting = "authdaemonvar" if listener.path == directory.socket else "AUTHD_LISTEN"
            yield Problem(settings.file, f"{error.path}: {error.problem}", error.mend, setting=setting)
    if not running or os.geteuid() == 0:
        yield from _check_writable(settings)


def _check_writable(settings: DaemonSettings) -> Iterator[Problem]:
    """See whether files can be made in the directories of the sockets, as far as these are there."""
    ours = settings.directory.path
    for path in dict.fromkeys((ours, *(listener.path.parent for listener in settings.listeners))):
        try:
            check_writable(path)
        except ListenError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in (errno.EROFS, errno.EACCES, errno.ENOSPC):
                continue  # What the place lacks is told already.
            problem = f"{path}: {error.problem}"
            # Another user may start the daemon.
            fatal = os.geteuid() == 0 or cause.errno != errno.EACCES
            if not fatal:
                problem += f", so that {user_in_words(os.geteuid())} can't start the daemon"
            setting = "authdaemonvar" if path == ours else "AUTHD_LISTEN"
            yield Problem(settings.file, problem, error.mend, setting=setting, fatal=fatal)


def _check_modules(settings: DaemonSettings) -> Iterator[Problem]:
    """Make the modules as the daemon does at its start, and try them as the user that it becomes."""
    surroundings = surroundings_of(settings, complain, complain, None)
    made = try_modules(settings.modules, surroundings)
    yield from made.problems
    unprivileged = see_as_daemon(settings)
    if unprivileged is not None:
        yield unprivileged
    hindered = set()
    for name, problem in hindrances(settings, made.modules):
        yield problem
        if problem.fatal:
            hindered.add(name)
    for module in made.modules:
        try:
            # What can't be read would only be told once more.
            if module.name not in hindered:
                yield from module.check()
        finally:
            module.close()


def _show(problems: Sequence[Problem]) -> None:
    for problem in problems:
        print(f"{'error' if problem.fatal else 'remark'}: {problem}")
