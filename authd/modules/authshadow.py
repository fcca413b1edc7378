"""authshadow: the system's accounts, their hashes in /etc/shadow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.modules import systemaccounts
from authd.modules.base import Module, TemporaryFailure
from authd.modules.inquiry import Inquiry
from authd.modules.systemaccounts import DAY_SECONDS, SHADOW, SystemAccount
from authd.outcome import Answer, Outcome, Reason, reject


class AuthShadow(Module):
    """The system's accounts by getpwnam(3) and getspnam(3); who is locked or expired is refused."""

    name = "authshadow"
    caches_lookups = True
    caches_logins = True

    def find(self, service: bytes, user: bytes) -> Account | None:
        account = systemaccounts.find_shadowed(user)
        if account is None or account.shadow is not None:
            return account
        if not os.access(SHADOW, os.R_OK):
            raise TemporaryFailure(Reason.UNREACHABLE, f"{SHADOW} can't be read")
        return None

    def login(self, service: bytes, user: bytes, password: bytes, remote_ip: bytes = b"") -> Inquiry[Answer]:
        account: SystemAccount | None = yield from self._find_for(service, user, password)
        if account is None or account.shadow is None:
            return (yield from self.nobody(password, user))
        answer = yield from self._compare(account, password)
        if answer.reason is Reason.UNUSABLE_HASH and account.shadow.locked:
            return reject(Reason.LOCKED, account)
        if answer.outcome is not Outcome.OK:
            return answer
        now = time.time()
        reason = account.shadow.refusal(int(now) // DAY_SECONDS)
        if reason is not None:
            return reject(reason, account)
        return replace(answer, max_age=DAY_SECONDS - now % DAY_SECONDS)

    def sample(self) -> Iterable[tuple[bytes | None, bytes | None]]:
        return [(hashed, None) for hashed in systemaccounts.passwords_in(SHADOW)]

    def enumerate(self) -> Iterator[Entry]:
        return systemaccounts.entries()

    def check(self) -> Iterator[Problem]:
        yield from ()

    def hindrances(self) -> Iterator[Problem]:
        if not os.access(SHADOW, os.R_OK):
            yield Problem(
                SHADOW,
                "can't be read",
                "run the daemon as root, without AUTHD_USER, or add its user to the group shadow",
            )

    def close(self) -> None:
        """Nothing is open."""
