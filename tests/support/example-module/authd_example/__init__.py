"""A module of a site's own: accounts in a JSON file beside authdaemonrc."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from authd.account import Account, Entry
from authd.config.problem import ConfigError, Problem
from authd.config.watch import WatchedFile
from authd.modules.base import Module, Surroundings, TemporaryFailure
from authd.outcome import Reason

NOTHING = "no module at all"


def _load(file: Path) -> dict[str, dict[str, Any]]:
    try:
        accounts: dict[str, dict[str, Any]] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(Problem(file, f"can't be used: {error}", "write accounts as JSON")) from None
    return accounts


class AuthExample(Module):
    """Accounts in ``accounts.json``: ``{"login": {"hash": …, "uid": …, "gid": …, "home": …}}``."""

    name = "authexample"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._file = WatchedFile(surroundings.sysconfdir / "accounts.json", _load, surroundings.report)

    def find(self, service: bytes, user: bytes) -> Account | None:
        self._file.refresh()
        known = self._file.value.get(user.decode(errors="replace"))
        if known is None:
            return None
        if known.get("away"):
            raise TemporaryFailure(Reason.UNREACHABLE, "the example is away")
        return Account(user, known["uid"], known["gid"], known["home"].encode(), crypt=known["hash"].encode())

    def enumerate(self) -> Iterator[Entry]:
        for login, known in self._file.value.items():
            yield Entry(login.encode(), known["uid"], known["gid"], known["home"].encode(), b"", b"")

    def check(self) -> Iterator[Problem]:
        yield from ()

    def close(self) -> None:
        """Nothing is open."""
