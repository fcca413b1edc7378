"""A configuration file that is read again when it changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from authd.config.problem import ConfigError

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """The parsed content of one file, kept current.

    ``refresh`` costs one ``stat``.  A new content that can't be parsed is reported once and the old one stays in force.

    :param file: the file.
    :param load: reads and parses it; raises `ConfigError`.
    :param report: is told what is wrong with a broken edit.
    :raises ConfigError: if the first content can't be used.
    """

    def __init__(self, file: Path, load: Callable[[Path], T], report: Callable[[str], None]) -> None:
        self._file = file
        self._load = load
        self._report = report
        self._stamp = self._look()
        self.value = load(file)

    def refresh(self) -> bool:
        """Read the file again if it changed; tell whether `value` is a new one."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self.value = self._load(self._file)
        except ConfigError as error:
            before = "of before" if stamp is None else "before the edit"
            self._report(f"{error} (the settings {before} stay in force)")
            return False
        return True

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._file)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
