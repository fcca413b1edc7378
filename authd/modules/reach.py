"""The files that modules need, and whether this process may use them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from authd.config.names import user_name
from authd.config.problem import Problem


def out_of_reach(needs: Iterable[tuple[Path, int]]) -> Iterator[Problem]:
    """Yield those of `needs` that are there, or may be, and that this process may not use.

    :param needs: files, each with ``os.R_OK`` or ``os.X_OK``.
    """
    for file, mode in needs:
        if os.access(file, mode, effective_ids=True) or not _may_be_there(file):
            continue
        verb, letter = ("run", "x") if mode & os.X_OK else ("read", "r")
        user = user_name(os.geteuid())
        mend = f"chgrp a group of {user} and chmod g+{letter} it, and let {user} enter {file.parent}"
        yield Problem(file, f"the daemon's user {user} can't {verb} it", mend)


def fifo_in(files: Iterable[tuple[str, str]]) -> str:
    """Return what is wrong with the first of `files` that is a FIFO or a directory with one in it; empty if none is.

    A library that opens one waits for the other end, without a limit.

    :param files: the name of each one's setting, and its path.
    """
    return next((f"{name}: {problem}" for name, path in files if (problem := fifo_at(path))), "")


def fifo_at(path: str) -> str:
    """Return what is wrong with a path that leads to a FIFO or a directory with one in it; empty if it does not."""
    with suppress(OSError):
        mode = Path(path).stat().st_mode
        found = path if stat.S_ISFIFO(mode) else _fifo_below(path) if stat.S_ISDIR(mode) else ""
        if found:
            return f"{found}: a FIFO, where a file is wanted"
    return ""


def _fifo_below(directory: str) -> str:
    """Return the path of a FIFO in a directory; empty if there is none."""
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):
                if not entry.is_file() and stat.S_ISFIFO(entry.stat().st_mode):
                    return entry.path
    return ""


def _may_be_there(file: Path) -> bool:
    try:
        file.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True
