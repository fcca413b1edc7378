"""The place of a module whose file is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.modules.base import Module, Surroundings, TemporaryFailure
from authd.outcome import Reason

_FAILING_AT_LOGINS = ("authmysql", "authpgsql")
"""Modules of Courier's that say FAIL to a login while their file is missing, so that the next module is asked."""


class Missing(Module):
    """A module that can't tell anything, as with Courier; neither is a user unknown to it, nor is a password wrong."""

    file: Path
    """The file that is missing."""

    def find(self, service: bytes, user: bytes) -> Account | None:
        raise self._failure()

    def enumerate(self) -> Iterator[Entry]:
        # Iterating is what fails, as with the others.
        return map(self._listed, (b"",))

    def check(self) -> Iterator[Problem]:
        yield from ()

    def close(self) -> None:
        """Nothing is open."""

    def _listed(self, _user: bytes) -> Entry:
        raise self._failure()

    def _failure(self) -> TemporaryFailure:
        return TemporaryFailure(Reason.MISCONFIGURED, f"{self.file} is missing")


def missing(name: str, file: Path, surroundings: Surroundings) -> Missing:
    """Return what takes the place of the module `name`, whose `file` is missing."""
    login_tempfail: Literal["fail", "close"] = "fail" if name in _FAILING_AT_LOGINS else "close"
    kind = type("Missing", (Missing,), {"name": name, "login_tempfail": login_tempfail, "file": file})
    made: Missing = kind(surroundings)
    return made
