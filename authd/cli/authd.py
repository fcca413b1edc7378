"""authd: look after an installation."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from authd.cli.common import FAILED, choice, command, complain, option_parser
from authd.config.listening import DEFAULT_MODES
from authd.config.nearest import suggestion
from authd.config.problem import ConfigError

COMMANDS = ("check", "doctor", "cache", "deliver")

VALUED = ("--sysconfdir", "--socket", "--protocol", "--as", "--chroot")
"""The options, each of which has a value."""

_OWN = ("-h", "--help", "--version")
"""The options that need no command."""


@command("authd")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = commands_first(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if words and words[0] in VALUED and len(words) == 1:
        parser.error(f"argument {words[0]}: expected one argument")
    if not words or words[0].startswith(VALUED):
        choice(None, COMMANDS, parser)
    if not words[0].startswith("-"):
        choice(words[0], COMMANDS, parser)
    elif words[0] not in _OWN and words[1:]:
        # Its value would be taken for the command.
        hint = suggestion(words[0].partition("=")[0], (*VALUED, *_OWN))
        parser.error(f"unrecognized arguments: {words[0]}{f'; {hint.rstrip()}' if hint else ''}")
    options = parser.parse_args(words)
    # Each has its own needs: what asks the daemon alone must not wait for database drivers to load.
    try:
        match options.command:
            case "check":
                from authd.cli.check import check

                return check(options.sysconfdir)
            case "cache":
                from authd.cli.cache import flush

                return flush(options.socket, options.sysconfdir, options.user)
            case "doctor":
                from authd.cli.doctor import Choice, doctor

                return doctor(
                    options.sysconfdir, options.user, options.chroot, Choice(options.socket, options.protocol)
                )
            case _:
                from authd.cli.deliver import deliver

                return deliver(options.socket, options.sysconfdir, options.user, options.words)
    except ConfigError as error:
        complain(str(error))
        # Mail must wait where the configuration can't be read, not bounce.
        return os.EX_TEMPFAIL if options.command == "deliver" else FAILED


def commands_first(words: Sequence[str]) -> list[str]:
    """Return `words` with the options that stand before a command moved behind it, where the parser looks for them."""
    rest = list(words)
    commands: list[str] = []
    moved: list[str] = []
    while rest and commands not in (["check"], ["doctor"], ["deliver"]) and len(commands) < DEEPEST:
        word = rest[0]
        if word in VALUED and len(rest) > 1:
            moved += [rest.pop(0), rest.pop(0)]
        elif word.startswith(tuple(f"{name}=" for name in VALUED)):
            moved.append(rest.pop(0))
        elif word.startswith("-"):
            break
        else:
            commands.append(rest.pop(0))
    return [*commands, *moved, *rest]


DEEPEST = 2
"""Words of the longest command, ``cache flush``."""


def _parser() -> argparse.ArgumentParser:
    parser = option_parser("authd", "Look after an authd installation.")
    commands = parser.add_subparsers(dest="command")
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--sysconfdir", metavar="DIR", help="directory of authdaemonrc")
    commands.add_parser(
        "check",
        parents=[everywhere],
        help="read the configuration, connect, prove the statements, and report each problem; change nothing",
    )
    doctor = commands.add_parser(
        "doctor", parents=[everywhere], help="tell whether a user can reach each socket, and what to do if not"
    )
    doctor.add_argument("--as", dest="user", metavar="USER", help="the user; without it, the one that runs the command")
    doctor.add_argument("--chroot", metavar="DIR", help="directory that the user's programs are locked into")
    doctor.add_argument("--socket", metavar="PATH", help="this socket alone")
    doctor.add_argument(
        "--protocol", metavar="NAME", choices=sorted(DEFAULT_MODES), help="the sockets of this protocol"
    )
    cache = commands.add_parser("cache", help="look after what the daemon remembers")
    flush = cache.add_subparsers(dest="what", required=True, metavar="flush").add_parser(
        "flush", parents=[everywhere], help="have it forget a user, or all"
    )
    flush.add_argument("--socket", metavar="PATH", help="the control socket, where it is not the configuration's")
    flush.add_argument("user", nargs="?", help="the account; without it, all")
    deliver = commands.add_parser(
        "deliver",
        parents=[everywhere],
        help="run a command if there is such an account; else tell a mail server why not",
    )
    deliver.add_argument("--socket", metavar="PATH", help="the daemon's socket, where it is not the configuration's")
    deliver.add_argument("user", help="the account")
    deliver.add_argument("words", metavar="command", nargs=argparse.REMAINDER, help="the command and its arguments")
    return parser


if __name__ == "__main__":
    sys.exit(main())
