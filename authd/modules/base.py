"""The interface that every module implements.

A module finds accounts; checking passwords against what it found is the same for all, and stands here, as inquiries (see
``inquiry.py``).  A module whose back end checks passwords itself overrides `Module.login`.

Construction is cheap and happens before the daemon forks: it reads the module's file and connects to nothing.  Connections
are made in the worker, at the first question.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from authd.account import Account, Entry
from authd.config.problem import ConfigError, Problem
from authd.modules.decoys import CLEAR, Decoys
from authd.modules.inquiry import Check, Find, Inquiry
from authd.modules.reach import out_of_reach
from authd.outcome import Answer, Outcome, Reason, phrase, reject
from authd.passwords import Verdict, hash_like, verify_clear, verify_cram
from authd.passwords.decoy import decoy_like, is_computed

DELIVERY_SERVICE = b"courier"
"""The service under which Courier's mail server asks where to deliver."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a module is told when it is made.

    :param sysconfdir: directory of the configuration files.
    :param timeout: seconds that the back end may take to connect or to answer.
    :param batch: how many lookups that wait may go into one question to the back end.
    :param mysql_driver: ``pymysql`` or ``mysqlclient``.
    :param ldap_options: names and values of the ``LDAPTLS_…`` settings that are there.
    :param report: writes one line to the log, for a problem that the administrator must mend.
    :param notice: writes one line to the log, for what is good to know.
    :param trace: writes one line that only ``DEBUG_LOGIN=1`` shows, never given a secret; ``None`` where nobody reads it.
    :param libpq: names and values of the variables of PostgreSQL's library, such as ``PGSERVICEFILE``, that authdaemonrc sets.
    :param decoys: schemes and costs of ``AUTHD_DECOY_HASH``; none to learn them from the accounts.
    """

    sysconfdir: Path
    timeout: int
    batch: int
    mysql_driver: str
    ldap_options: Mapping[str, str]
    report: Callable[[str], None]
    notice: Callable[[str], None]
    trace: Callable[[str], None] | None
    decoys: tuple[tuple[str, int], ...] = ()
    libpq: Mapping[str, str] = field(default_factory=dict, repr=False)


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

    clear_first: ClassVar[bool] = False
    """Whether a cleartext password, where there is one, is what a password is compared with, and not the hash."""

    asks_at_once: ClassVar[bool] = False
    """Whether `ask_each` has its questions under way at the same time, so that many take no longer than one."""

    caches_lookups: bool = False
    """Whether `lookup` goes by service and user alone, so that its answer may be remembered; see docs/cache.md."""

    caches_logins: bool = False
    """Whether `login` goes by service, user and password alone, and an `Answer.max_age` says when time changes its answer.

    Not so where the client's address, the time or the number of failed tries count, or where a login is counted or has other
    effects.
    """

    closes_for: ClassVar[frozenset[Reason]] = frozenset()
    """Reasons for which it closes all the same."""

    @property
    def has_cleartext(self) -> bool:
        """Whether accounts may have a cleartext password, which CRAM needs."""
        return False

    def __init__(self, surroundings: Surroundings) -> None:
        """Read the module's configuration.

        :raises ConfigError: if it can't be used.
        """
        self._surroundings = surroundings
        try:
            self._decoys = Decoys(surroundings.decoys)
        except ValueError as error:
            file = surroundings.sysconfdir / "authdaemonrc"
            raise ConfigError(Problem(file, str(error), "correct the value", setting="AUTHD_DECOY_HASH")) from None
        self._sample_due = 0.0

    @classmethod
    def remarks(cls, sysconfdir: Path) -> list[Problem]:  # noqa: ARG003 - for those that override it
        """Return what looks wrong in the module's file without making it unusable.  For ``authd check``."""
        return []

    @abstractmethod
    def find(self, service: bytes, user: bytes) -> Account | None:
        """Return the account of `user`, or ``None`` if there is none."""

    def set_password(self, service: bytes, user: bytes, password: bytes, hashed: bytes) -> bool:
        """Store a new password; tell whether an account was changed.  Unless overridden, none is.

        :param hashed: `password`, hashed like the old one.
        """
        raise TemporaryFailure(Reason.NOT_CHANGED, f"{self.name} changes no passwords")

    @abstractmethod
    def enumerate(self) -> Iterator[Entry]:
        """Yield every account."""

    def needs(self) -> Iterator[tuple[Path, int]]:
        """Yield the files that must be readable (``os.R_OK``) or programs (``os.X_OK``) to the user that the daemon becomes."""
        yield from ()

    def hindrances(self) -> Iterator[Problem]:
        """Yield what this process may not do and this module has to.  For ``authd check`` and the log of a start."""
        yield from out_of_reach(self.needs())

    @abstractmethod
    def check(self) -> Iterator[Problem]:
        """Connect, prove what can be proven without changing anything, and yield what is wrong.  For ``authd check``."""

    @abstractmethod
    def close(self) -> None:
        """Give connections back; the module may be asked again afterwards."""

    def sample(self) -> Iterable[tuple[bytes | None, bytes | None]]:
        """Return hash and cleartext of some accounts, as many as can be had at little cost; see `decoys.py`.

        Unless overridden, there are none, and what hashes the accounts have is learned from logins.

        :raises TemporaryFailure: if the back end can't tell now.
        """
        return ()

    def find_each(self, wanted: Sequence[tuple[bytes, bytes]]) -> list[Account | TemporaryFailure | None]:
        """Return what `find` has to say about each service and user, in their order.

        A module whose back end is asked about many at the cost of one overrides it.
        """
        findings: list[Account | TemporaryFailure | None] = []
        for service, user in wanted:
            try:
                findings.append(self.find(service, user))
            except TemporaryFailure as failure:
                findings.append(failure)
        return findings

    def ask_each(self, questions: Sequence[Any]) -> list[Any]:
        """Return what the back end itself has to say to each of `questions`, in their order; see `Ask`.

        What can't be told now is a `TemporaryFailure` in its place.  A module that yields `Ask` overrides `ask` or this.
        """
        answers: list[Any] = []
        for question in questions:
            try:
                answers.append(self.ask(question))
            except TemporaryFailure as failure:
                answers.append(failure)
        return answers

    def ask(self, question: Any) -> Any:
        """Return what the back end itself has to say to `question`, or raise `TemporaryFailure`."""
        raise NotImplementedError(f"{self.name} asks its back end nothing")

    def lookup(self, service: bytes, user: bytes) -> Inquiry[Answer]:
        """Answer a ``PRE``."""
        account: Account | None = yield Find(self, service, user)
        return reject(Reason.NO_SUCH_USER) if account is None else Answer(Outcome.OK, Reason.FOUND, account)

    def login(self, service: bytes, user: bytes, password: bytes, remote_ip: bytes = b"") -> Inquiry[Answer]:
        """Answer an ``AUTH`` of type ``login``; the account's `clear` is the password that was given.

        :param remote_ip: address of the mail client, for a back end that has an opinion on it; empty where it was not told.
        """
        account = yield from self._find_for(service, user, password)
        return (yield from self._verify(account, user, password))

    def cram(self, service: bytes, user: bytes, digest: str, challenge: bytes, response: bytes) -> Inquiry[Answer]:
        """Answer an ``AUTH`` of type ``cram-…``."""
        account: Account | None = yield Find(self, service, user)
        # For its cost where there is no account, as below.
        verdict = verify_cram((account.clear if account else None) or DECOY_CLEARTEXT, digest, challenge, response)
        if account is None:
            return reject(Reason.NO_SUCH_USER)
        return _judge(account, verdict) if account.clear else reject(Reason.NO_CLEARTEXT, account)

    def change_password(self, service: bytes, user: bytes, old: bytes, new: bytes) -> Inquiry[Answer]:
        """Answer a ``PASSWD``: check the old password, then store the new one."""
        account: Account | None = yield from self._find_for(service, user, old)
        answer = yield from self._verify(account, user, old)
        if answer.outcome is not Outcome.OK or account is None:
            return answer
        if not self.set_password(service, user, new, hash_like(new, account.crypt)):
            return reject(Reason.NOT_CHANGED, account, "no row was updated")
        return Answer(Outcome.OK, Reason.PASSWORD_CHANGED, account)

    def nobody(self, password: bytes, user: bytes = b"") -> Inquiry[Answer]:
        """Reject a user that there is not, at the cost of one whose password is wrong."""
        yield from self._check_decoy(password, user)
        return reject(Reason.NO_SUCH_USER)

    @property
    def decoys(self) -> Decoys:
        """Hashes that the password of an unknown user is checked against."""
        return self._decoys

    def login_name(self, user: bytes) -> bytes:
        """Return the name that `user` is looked up by: two that are looked up by the same name are one account."""
        return user

    def _find_for(self, service: bytes, user: bytes, password: bytes) -> Inquiry[Any]:
        """Find the account that `password` is checked for, and learn what hashes there are before the first check."""
        try:
            account: Account | None = yield Find(self, service, user)
        except TemporaryFailure as failure:
            if failure.reason in OF_THE_ACCOUNT:
                # Where it becomes a reject, its time must not tell that there is such a user.
                yield from self._check_decoy(password, user)
            raise
        if not self._decoys.is_sampled:
            self._take_sample()
        return account

    def _verify(self, account: Any, user: bytes, password: bytes) -> Inquiry[Answer]:
        """Check `password` for the account that `_find_for` returned.  A module with a check of its own overrides it."""
        return self.nobody(password, user) if account is None else self._compare(account, password)

    def _take_sample(self) -> None:
        now = time.monotonic()
        if now < self._sample_due:
            return
        self._sample_due = now + SAMPLE_AGAIN_SECONDS
        try:
            self._decoys.put([decoy for one in self.sample() if (decoy := self._decoy_for(*one)) is not None])
        except TemporaryFailure as failure:
            if failure.reason is Reason.UNREACHABLE:
                return
            # The accounts can be read one by one, but not this way; what hashes they have is learned from logins.
            self._decoys.put(())
            self._surroundings.notice(
                f"{self.name}: no sample of the hashes can be had ({failure.detail}); set AUTHD_DECOY_HASH, so that an unknown "
                "user costs the same from the first login on"
            )

    def _decoy_for(self, crypt: bytes | None, clear: bytes | None) -> bytes | None:
        """Return the decoy of an account's kind; ``None`` if it has no password, or a hash of no known form."""
        if clear and (self.clear_first or not crypt):
            return CLEAR
        return decoy_like(crypt) if crypt else None

    def _check_decoy(self, password: bytes, user: bytes, stored: bytes | None = None) -> Inquiry[None]:
        """Spend the time of a check for a user without a usable hash.

        :param stored: what is there in place of one: a locked hash shows what the check would cost.
        """
        decoy = (decoy_like(stored) if stored else None) or self._decoys.draw(self.login_name(user))
        if decoy != CLEAR:
            yield Check(password, decoy)

    def _report(self, message: str) -> None:
        """Tell the log of something that the administrator must mend."""
        self._surroundings.report(f"{self.name}: {message}")

    def _compare(self, account: Account, password: bytes) -> Inquiry[Answer]:
        """Check `password` against the account's hash, or against its cleartext where there is no hash; see `clear_first`."""
        stored = account.crypt
        if stored and not (self.clear_first and account.clear):
            verdict: Verdict = yield Check(password, stored)
            if verdict is not Verdict.UNUSABLE:
                self._decoys.learn(stored)
            elif not is_computed(stored):
                yield from self._check_decoy(password, account.address or b"", stored)
        elif account.clear:
            verdict = verify_clear(password, account.clear)
            self._decoys.learn(None)
        else:
            yield from self._check_decoy(password, account.address or b"")
            return reject(Reason.NO_PASSWORD, account)
        return _judge(account, verdict, password)


DECOY_CLEARTEXT = b"decoy"
"""Cleartext password for the response of CRAM where the account has none."""

SAMPLE = 1000
"""Accounts that a sample has at most."""

SAMPLE_AGAIN_SECONDS = 60.0
"""Time after which a sample that could not be taken is tried again."""

OF_THE_ACCOUNT = frozenset(
    {
        Reason.BAD_UID,
        Reason.BAD_GID,
        Reason.NO_HOME,
        Reason.INCOMPLETE_ROW,
        Reason.INCOMPLETE_RECORD,
        Reason.SEVERAL_ROWS,
    }
)
"""Temporary failures that only a user who is there can have."""


def _judge(account: Account, verdict: Verdict, password: bytes | None = None) -> Answer:
    if verdict is Verdict.MATCH:
        if password is not None:
            account = account.with_clear(password)
        return Answer(Outcome.OK, Reason.PASSWORD_MATCHES, account)
    return reject(Reason.WRONG_PASSWORD if verdict is Verdict.MISMATCH else Reason.UNUSABLE_HASH, account)
