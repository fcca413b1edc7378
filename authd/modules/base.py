"""The interface that every module implements.

A module finds accounts; checking passwords against what it found is the same for all, and stands here.  A module whose back
end checks passwords itself overrides `Module.login`.

Construction is cheap and happens before the daemon forks: it reads the module's file and connects to nothing.  Connections
are made in the worker, at the first question.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.outcome import Answer, Outcome, Reason, phrase, reject, tempfail
from authd.passwords import Verdict, hash_like, hash_password, verify, verify_clear, verify_cram


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a module is told when it is made.

    :param sysconfdir: directory of the configuration files.
    :param timeout: seconds that the back end may take to connect or to answer.
    :param report: writes one line to the log, for a problem that the administrator must mend.
    :param notice: writes one line to the log, for what is good to know.
    :param trace: writes one line that only ``DEBUG_LOGIN=1`` shows, never given a secret; ``None`` where nobody reads it.
    """

    sysconfdir: Path
    timeout: int
    report: Callable[[str], None]
    notice: Callable[[str], None]
    trace: Callable[[str], None] | None


class TemporaryFailure(Exception):
    """The back end can't answer now.

    :param reason: see `Reason`.
    :param detail: the back end's own message; never a secret.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(phrase(reason, detail))
        self.reason = reason
        self.detail = detail


class Module(ABC):
    """One source of accounts.

    Users and services are bytes as the client sent them.  `find`, `set_password` and `enumerate` raise `TemporaryFailure`
    where they can't tell; nothing else escapes from them but defects.
    """

    name: ClassVar[str]
    """As it stands in ``authmodulelist``."""

    login_tempfail: ClassVar[Literal["fail", "close"]] = "close"
    """What Courier's module of this name makes of a temporary failure at a login; see ``AUTHD_LOGIN_TEMPFAIL``."""

    @property
    def has_cleartext(self) -> bool:
        """Whether accounts may have a cleartext password, which CRAM needs."""
        return False

    def __init__(self, surroundings: Surroundings) -> None:
        """Read the module's configuration.

        :raises ConfigError: if it can't be used.
        """
        self._surroundings = surroundings
        self._typical_hash = DECOY_HASH

    @classmethod
    def remarks(cls, sysconfdir: Path) -> list[Problem]:  # noqa: ARG003 - for those that override it
        """Return what looks wrong in the module's file without making it unusable.  For ``authd check``."""
        return []

    @abstractmethod
    def find(self, service: bytes, user: bytes) -> Account | None:
        """Return the account of `user`, or ``None`` if there is none."""

    @abstractmethod
    def set_password(self, service: bytes, user: bytes, password: bytes, hashed: bytes) -> bool:
        """Store a new password; tell whether an account was changed.

        :param hashed: `password`, hashed like the old one.
        """

    @abstractmethod
    def enumerate(self) -> Iterator[Entry]:
        """Yield every account."""

    @abstractmethod
    def check(self) -> Iterator[Problem]:
        """Connect and try every statement; yield what is wrong.  For ``authd check``."""

    @abstractmethod
    def close(self) -> None:
        """Give connections back; the module may be asked again afterwards."""

    def lookup(self, service: bytes, user: bytes) -> Answer:
        """Answer a ``PRE``."""
        return self._ask(service, user, _found)

    def login(self, service: bytes, user: bytes, password: bytes) -> Answer:
        """Answer an ``AUTH`` of type ``login``; the account's `clear` is the password that was given."""
        return self._ask(
            service,
            user,
            lambda account: self._compare(account, password),
            nobody=lambda: verify(password, self._typical_hash),
        )

    def cram(self, service: bytes, user: bytes, digest: str, challenge: bytes, response: bytes) -> Answer:
        """Answer an ``AUTH`` of type ``cram-…``."""

        def compare(account: Account) -> Answer:
            if not account.clear:
                return reject(Reason.NO_CLEARTEXT, account)
            return _judge(account, verify_cram(account.clear, digest, challenge, response))

        return self._ask(service, user, compare, nobody=lambda: verify_cram(DECOY_HASH, digest, challenge, response))

    def change_password(self, service: bytes, user: bytes, old: bytes, new: bytes) -> Answer:
        """Answer a ``PASSWD``: check the old password, then store the new one."""

        def change(account: Account) -> Answer:
            answer = self._compare(account, old)
            if answer.outcome is not Outcome.OK:
                return answer
            if not self.set_password(service, user, new, hash_like(new, account.crypt)):
                return reject(Reason.NOT_CHANGED, account, "no row was updated")
            return Answer(Outcome.OK, Reason.PASSWORD_CHANGED, account)

        return self._ask(service, user, change, nobody=lambda: verify(old, self._typical_hash))

    def _ask(
        self,
        service: bytes,
        user: bytes,
        judge: Callable[[Account], Answer],
        nobody: Callable[[], object] = lambda: None,
    ) -> Answer:
        """Find the account and let `judge` decide; call `nobody` for its cost where there is none."""
        try:
            account = self.find(service, user)
            if account is not None:
                return judge(account)
        except TemporaryFailure as failure:
            return tempfail(failure.reason, failure.detail)
        nobody()
        return reject(Reason.NO_SUCH_USER)

    def _compare(self, account: Account, password: bytes) -> Answer:
        """Check `password` against the account's hash, or against its cleartext where there is no hash."""
        if account.crypt:
            verdict = verify(password, account.crypt)
            if verdict is not Verdict.UNUSABLE:
                self._typical_hash = account.crypt
        elif account.clear:
            verdict = verify_clear(password, account.clear)
        else:
            return reject(Reason.NO_PASSWORD, account)
        return _judge(account, verdict, password)


DECOY_HASH = hash_password(b"decoy", "sha512-crypt")
"""What a password is checked against where there is no account, so that the time does not tell, until the worker has met a
real hash and uses that."""


def _found(account: Account) -> Answer:
    return Answer(Outcome.OK, Reason.FOUND, account)


def _judge(account: Account, verdict: Verdict, password: bytes | None = None) -> Answer:
    if verdict is Verdict.MATCH:
        if password is not None:
            account = replace(account, clear=password)
        return Answer(Outcome.OK, Reason.PASSWORD_MATCHES, account)
    return reject(Reason.WRONG_PASSWORD if verdict is Verdict.MISMATCH else Reason.UNUSABLE_HASH, account)
