"""authpwd: the system's accounts, their hashes in /etc/passwd."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.modules import systemaccounts
from authd.modules.base import Module

PASSWD = Path("/etc/passwd")


class AuthPwd(Module):
    """The system's accounts by getpwnam(3) alone."""

    name = "authpwd"
    caches_lookups = True
    caches_logins = True

    def find(self, service: bytes, user: bytes) -> Account | None:
        return systemaccounts.find_account(user)

    def sample(self) -> Iterable[tuple[bytes | None, bytes | None]]:
        return [(hashed, None) for hashed in systemaccounts.passwords_in(PASSWD)]

    def enumerate(self) -> Iterator[Entry]:
        return systemaccounts.entries()

    def check(self) -> Iterator[Problem]:
        yield from ()

    def close(self) -> None:
        """Nothing is open."""
