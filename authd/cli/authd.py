"""authd: look after an installation.

``authd check`` reads the configuration files, looks at the socket's directory, connects, runs the queries, and reports each
problem with its mend.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from authd import __version__
from authd.cli.common import FAILED, OK, complain, configuration
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.config.problem import ConfigError, Problem
from authd.modules.base import Surroundings
from authd.modules.registry import MODULES
from authd.server.listener import ListenError, check_directory


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="authd", description="Look after an authd installation.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"authd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser(
        "check", help="read the configuration, connect, run the queries, and report each problem"
    )
    check.add_argument("--sysconfdir", metavar="DIR", help="directory of authdaemonrc")
    options = parser.parse_args(arguments)
    return _check(options.sysconfdir)


def _check(directory: str | None) -> int:
    try:
        settings = authdaemonrc.load(configuration(directory))
    except ConfigError as error:
        _show(error.problems)
        return FAILED
    problems = [*settings.remarks, *_check_socket(settings)]
    for name in settings.modules:
        problems += _check_module(name, settings)
    _show(problems)
    if any(problem.fatal for problem in problems):
        return FAILED
    print(f"{settings.file}: {' '.join(settings.modules)}: ready")
    return OK


def _check_socket(settings: DaemonSettings) -> Iterator[Problem]:
    try:
        check_directory(settings.directory.path)
    except ListenError as error:
        yield Problem(settings.file, f"{error.path}: {error.problem}", error.mend, setting="authdaemonvar")


def _check_module(name: str, settings: DaemonSettings) -> Iterator[Problem]:
    kind = MODULES.get(name)
    if kind is None:
        yield Problem(
            settings.file,
            f"there is no module {name}",
            f"use one of {', '.join(MODULES)}, or remove it",
            setting="authmodulelist",
            fatal=False,
        )
        return
    yield from kind.remarks(settings.file.parent)
    surroundings = Surroundings(settings.file.parent, settings.database_timeout, complain, complain, None)
    try:
        module = kind(surroundings)
    except ConfigError as error:
        yield from error.problems
        return
    try:
        yield from module.check()
    finally:
        module.close()


def _show(problems: Sequence[Problem]) -> None:
    for problem in problems:
        print(f"{'error' if problem.fatal else 'remark'}: {problem}")


if __name__ == "__main__":
    sys.exit(main())
