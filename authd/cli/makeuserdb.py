"""makeuserdb: compile a userdb's text into the files that the daemon reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from authd.cli.common import FAILED, OK, command, complain, option_parser
from authd.config.locate import directory_of_files
from authd.config.problem import ConfigError
from authd.userdb.build import build
from authd.userdb.source import SourceError


@command("makeuserdb")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = option_parser(
        "makeuserdb",
        "Compile the userdb, a file or a directory of files, into userdb.dat and userdbshadow.dat beside it.",
    )
    parser.add_argument("--sysconfdir", metavar="DIR", help="directory of authdaemonrc, and of the userdb")
    parser.add_argument("-f", metavar="FILE", dest="file", help="the userdb (default: the one beside authdaemonrc)")
    options = parser.parse_args(arguments)
    file = options.file
    try:
        build(Path(file.rstrip("/") or "/") if file else directory_of_files(options.sysconfdir) / "userdb")
    except SourceError as error:
        complain(f"makeuserdb: {error}")
        return FAILED
    except ConfigError as error:
        complain(str(error))
        return FAILED
    return OK
