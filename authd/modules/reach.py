"""The files that modules need, and whether this process may use them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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


def _may_be_there(file: Path) -> bool:
    try:
        file.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True
