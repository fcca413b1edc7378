"""Packages that conflict with others, unpacked beside them by ``tests/setup``."""

from __future__ import annotations

from pathlib import Path

APART = Path("/usr/local/lib/authd-tests")


def apart(path: str) -> str:
    """Return where a file of such a package is."""
    return f"{APART}{path}"
