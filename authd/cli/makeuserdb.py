"""makeuserdb: compile a userdb's text into the files that the daemon reads."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from authd.cli.common import FAILED, OK, complain
from authd.config.locate import directory_of_files
from authd.userdb.build import build
from authd.userdb.source import SourceError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="makeuserdb",
        description="Compile the userdb, a file or a directory of files, into userdb.dat and userdbshadow.dat beside it.",
        allow_abbrev=False,
    )
    parser.add_argument("-f", metavar="FILE", dest="file", help="the userdb (default: the one beside authdaemonrc)")
    file = parser.parse_args(arguments).file
    try:
        build(Path(file.rstrip("/")) if file else directory_of_files() / "userdb")
    except SourceError as error:
        complain(f"makeuserdb: {error}")
        return FAILED
    return OK
