"""authshadow: the system's accounts, their hashes in /etc/shadow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.modules import systemaccounts
from authd.modules.base import Module, TemporaryFailure
from authd.modules.inquiry import Inquiry
from authd.outcome import Answer, Outcome, Reason, reject

SHADOW = Path("/etc/shadow")


class AuthShadow(Module):
    """The system's accounts by getpwnam(3) and getspnam(3); who is locked or expired is refused."""

    name = "authshadow"

    def find(self, service: bytes, user: bytes) -> Account | None:
        account = systemaccounts.find_account(user)
        shadow = systemaccounts.find_shadow(user) if account is not None else None
        if account is not None and shadow is None and not os.access(SHADOW, os.R_OK):
            raise TemporaryFailure(Reason.UNREACHABLE, f"{SHADOW} can't be read")
        if account is None or shadow is None:
            return None
        account.crypt = shadow.password
        return account

    def login(self, service: bytes, user: bytes, password: bytes, remote_ip: bytes = b"") -> Inquiry[Answer]:
        answer = yield from super().login(service, user, password)
        shadow = systemaccounts.find_shadow(user)
        if answer.reason is Reason.UNUSABLE_HASH and shadow is not None and shadow.locked:
            return reject(Reason.LOCKED, answer.account)
        if answer.outcome is not Outcome.OK:
            return answer
        reason = Reason.NO_SUCH_USER if shadow is None else shadow.refusal(systemaccounts.today())
        return answer if reason is None else reject(reason, answer.account)

    def enumerate(self) -> Iterator[Entry]:
        return systemaccounts.entries()

    def check(self) -> Iterator[Problem]:
        if not os.access(SHADOW, os.R_OK):
            yield Problem(
                SHADOW,
                "can't be read",
                "run the daemon as root, without AUTHD_USER, or add its user to the group shadow",
            )

    def close(self) -> None:
        """Nothing is open."""
