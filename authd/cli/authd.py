"""authd: look after an installation."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from authd import __version__
from authd.cli.common import FAILED, complain
from authd.config.problem import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
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
                from authd.cli.doctor import doctor

                return doctor(options.sysconfdir, options.user, options.chroot)
            case _:
                from authd.cli.deliver import deliver

                return deliver(options.socket, options.sysconfdir, options.user, options.words)
    except ConfigError as error:
        complain(str(error))
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="authd", description="Look after an authd installation.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"authd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--sysconfdir", metavar="DIR", help="directory of authdaemonrc")
    commands.add_parser(
        "check",
        parents=[everywhere],
        help="read the configuration, connect, run the queries, and report each problem",
    )
    doctor = commands.add_parser(
        "doctor", parents=[everywhere], help="tell whether a user can reach each socket, and what to do if not"
    )
    doctor.add_argument("--as", dest="user", metavar="USER", help="the user; without it, who runs the command")
    doctor.add_argument("--chroot", metavar="DIR", help="directory that the user's programs are locked into")
    cache = commands.add_parser("cache", help="look after what the daemon remembers")
    flush = cache.add_subparsers(dest="what", required=True).add_parser(
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
