"""A module whose accounts are in a dictionary, for tests of what all modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.modules.base import Module, Surroundings, TemporaryFailure
from authd.outcome import Reason


def surroundings(report: list[str] | None = None) -> Surroundings:
    """Return surroundings that collect what is reported."""
    lines = [] if report is None else report
    return Surroundings(Path("/nonexistent"), 1, 32, "pymysql", {}, lines.append, lines.append, None)


class StubModule(Module):
    """`accounts` by login; ``down`` makes every question fail."""

    name = "authstub"
    caches_lookups = True
    caches_logins = True

    def __init__(self, *accounts: Account, name: str = "authstub", down: bool = False) -> None:
        super().__init__(surroundings())
        self.accounts = {account.address: account for account in accounts}
        self.name = name  # type: ignore[misc]
        self.down = down
        self.stored: list[tuple[bytes, bytes]] = []
        self.asked = 0
        self.closed = False

    def find(self, service: bytes, user: bytes) -> Account | None:
        self.asked += 1
        if self.down:
            raise TemporaryFailure(Reason.UNREACHABLE, "stub is down")
        return self.accounts.get(user)

    def set_password(self, service: bytes, user: bytes, password: bytes, hashed: bytes) -> bool:
        self.stored.append((password, hashed))
        return user in self.accounts

    def enumerate(self) -> Iterator[Entry]:
        if self.down:
            raise TemporaryFailure(Reason.UNREACHABLE, "stub is down")
        for account in self.accounts.values():
            yield Entry(account.address or b"", account.uid, account.gid, account.home, b"", b"")

    def check(self) -> Iterator[Problem]:
        yield from ()

    def close(self) -> None:
        self.closed = True
