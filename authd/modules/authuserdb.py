"""authuserdb: accounts in Courier's userdb."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from itertools import islice
from pathlib import Path

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.modules.base import SAMPLE, Module, Surroundings, TemporaryFailure
from authd.modules.inquiry import Find, Inquiry
from authd.numbers import MAX_UID, atoi
from authd.outcome import Answer, Outcome, Reason, reject
from authd.passwords import hash_like
from authd.passwords.hmacstate import DIGESTS, HmacUnavailable, hmac_state, verify_hmac_state
from authd.userdb.build import build, data_file, shadow_file
from authd.userdb.gdbm import Gdbm, GdbmError
from authd.userdb.record import NEEDED, Fields, is_damaged, is_damaged_secret, parse_fields
from authd.userdb.source import SourceError, edit, files_of

SYSTEM = b"systempw"

_DAMAGED_MEND = "run makeuserdb, and if that does not help, see to the fields of its line in userdb"


@dataclass(slots=True)
class UserdbAccount(Account):
    """An account of a userdb.

    :param secrets: its password fields.
    :param location: the file of a userdb that is a directory; empty for the userdb itself.
    """

    secrets: Mapping[bytes, bytes] = field(default_factory=dict, repr=False, kw_only=True)
    location: bytes = field(default=b"", kw_only=True)


class AuthUserdb(Module):
    """Accounts in ``userdb.dat`` and ``userdbshadow.dat``, as ``makeuserdb`` compiles them.

    A password is the service's own, such as ``imappw``, or else ``systempw``; CRAM needs an ``hmac-md5pw``.
    """

    name = "authuserdb"
    caches_lookups = True
    caches_logins = True

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._source = surroundings.sysconfdir / "userdb"
        self._data = _DataFile(data_file(self._source), is_damaged)
        self._shadow = _DataFile(shadow_file(self._source), is_damaged_secret)

    @property
    def has_cleartext(self) -> bool:
        return True

    def find(self, service: bytes, user: bytes) -> Account | None:
        public = self._data.get(user)
        if public is None:
            return None
        fields = parse_fields(public)
        if not all(name in fields for name in NEEDED):
            return None
        secrets = self._secrets_of(user)
        return UserdbAccount(
            user,
            _id(fields[b"uid"]),
            _id(fields[b"gid"]),
            fields[b"home"],
            name=fields.get(b"gecos"),
            maildir=fields.get(b"mail"),
            quota=fields.get(b"quota"),
            options=fields.get(b"options"),
            crypt=secrets.get(_of_service(service, secrets)),
            secrets=secrets,
            location=fields.get(b"_", b"").rstrip(b"/"),
        )

    def cram(self, service: bytes, user: bytes, digest: str, challenge: bytes, response: bytes) -> Inquiry[Answer]:
        account: UserdbAccount | None = yield Find(self, service, user)
        secrets = self._secrets_of(user) if account is None else account.secrets
        state = next((secrets[name] for name in _hmacs(service, digest) if name in secrets), None)
        try:
            # For its cost where there is no state, too.
            decoy = b"00" * (2 * DIGESTS[digest].size) if digest in DIGESTS else b""
            matches = digest in DIGESTS and verify_hmac_state(state or decoy, digest, challenge, response)
        except HmacUnavailable as error:
            raise TemporaryFailure(Reason.MISCONFIGURED, str(error)) from None
        if state is None or digest not in DIGESTS:
            return reject(Reason.NO_SUCH_USER) if account is None else reject(Reason.NO_CLEARTEXT, account)
        if not matches:
            return reject(Reason.WRONG_PASSWORD, account)
        if account is None:
            raise TemporaryFailure(Reason.INCOMPLETE_RECORD)
        return Answer(Outcome.OK, Reason.PASSWORD_MATCHES, replace(account, crypt=None))

    def change_password(self, service: bytes, user: bytes, old: bytes, new: bytes) -> Inquiry[Answer]:
        account: UserdbAccount | None = yield from self._find_for(service, user, old)
        if account is None:
            return (yield from self.nobody(old, user))
        if account.crypt:
            answer = yield from self._compare(account, old)
        else:
            # For its cost, as where there is no account.
            yield from self._check_decoy(old, user)
            answer = _compare_states(account, service, old)
        if answer.outcome is not Outcome.OK:
            return answer
        self._store(account, new_secrets(account.secrets, service, new))
        return Answer(Outcome.OK, Reason.PASSWORD_CHANGED, account)

    def sample(self) -> Iterable[tuple[bytes | None, bytes | None]]:
        for user in self._shadow.some(SAMPLE):
            secrets = self._secrets_of(user)
            names = sorted(name for name in secrets if b"hmac-" not in name)
            if names:
                yield secrets[SYSTEM if SYSTEM in secrets else names[0]], None

    def enumerate(self) -> Iterator[Entry]:
        # All names first: a file that is replaced meanwhile is closed.
        for user in list(self._data):
            account = self.find(b"", user)
            if account is not None:
                maildir, options = account.maildir or b"", account.options or b""
                yield Entry(user, account.uid, account.gid, account.home, maildir, options)

    def needs(self) -> Iterator[tuple[Path, int]]:
        yield self._data.file, os.R_OK
        yield self._shadow.file, os.R_OK

    def check(self) -> Iterator[Problem]:
        if not self._data.file.exists():
            yield Problem(self._data.file, "is not there, so that there is no account", "run makeuserdb", fatal=False)
            return
        if not self._shadow.file.exists():
            problem = "is not there, so that no account has a password"
            yield Problem(self._shadow.file, problem, "run makeuserdb", fatal=False)
        if self._is_edited():
            problem = f"was edited since makeuserdb made {self._data.file.name}, and the edit is not in force"
            yield Problem(self._source, problem, "run makeuserdb", fatal=False)
        for data in (self._data, self._shadow):
            try:
                records = [(user, data.get(user) or b"") for user in list(data)]
                if data is self._data:
                    yield from self._without_needed(records)
            except TemporaryFailure as failure:
                problem = failure.detail.removeprefix(f"{data.file}: ")
                mend = "run makeuserdb"
                for told in (_DAMAGED_MEND, mend):
                    if problem.endswith(f"; {told}"):
                        problem, mend = problem.removesuffix(f"; {told}"), told
                if problem == os.strerror(errno.EACCES):
                    mend = "let the daemon's user read it"
                yield Problem(data.file, problem, mend)

    def close(self) -> None:
        self._data.close()
        self._shadow.close()

    def _is_edited(self) -> bool:
        """Tell whether the text is newer than what makeuserdb made of it, as far as this user may see that."""
        try:
            edited = max((file.stat().st_mtime_ns for file in files_of(self._source)), default=0)
            return edited > self._data.file.stat().st_mtime_ns
        except OSError:
            return False

    def _without_needed(self, records: Iterable[tuple[bytes, bytes]]) -> Iterator[Problem]:
        """Yield a remark if there are records that are no accounts, as with Courier."""
        # `1000=` leads from a uid to a name.
        users = [
            user for user, text in records if not user.endswith(b"=") and not set(NEEDED) <= set(parse_fields(text))
        ]
        if users:
            more = f" and {len(users) - 1} more" if users[1:] else ""
            problem = f"{users[0].decode('utf-8', 'backslashreplace')}{more}: no account without uid, gid and home"
            yield Problem(self._data.file, problem, "add them in userdb, and run makeuserdb", fatal=False)

    def _secrets_of(self, user: bytes) -> Fields:
        return parse_fields(self._shadow.get(user) or b"")

    def _store(self, account: UserdbAccount, secrets: Fields) -> None:
        file = self._source / os.fsdecode(account.location) if account.location else self._source
        try:
            edit(file, account.address or b"", lambda fields: {**(fields or {}), **secrets})
            build(self._source)
        except SourceError as error:
            raise TemporaryFailure(Reason.NOT_CHANGED, str(error)) from None


def new_secrets(secrets: Mapping[bytes, bytes], service: bytes, password: bytes) -> Fields:
    """Return the password fields that become others when the password that `service` uses becomes `password`.

    Those of other services stay; what the service has for CRAM changes with its password.
    """
    own = _of_service(service, secrets)
    changed: Fields = {}
    if own in secrets:
        changed[own] = hash_like(password, secrets[own])
    for digest in DIGESTS:
        of_service, of_all = _hmacs(service, digest)
        names = [of_service] if own != SYSTEM else [of_service, of_all]
        changed.update({name: hmac_state(password, digest).encode() for name in names if name in secrets})
    return changed


def _of_service(service: bytes, secrets: Mapping[bytes, bytes]) -> bytes:
    """Return the name of the field with the password of a service."""
    own = service + b"pw"
    return own if own in secrets else SYSTEM


def _hmacs(service: bytes, digest: str) -> tuple[bytes, bytes]:
    """Return the names of the fields for CRAM by `digest`: the service's own, and that of all services."""
    return b"%b-hmac-%bpw" % (service, digest.encode()), b"hmac-%bpw" % digest.encode()


def _compare_states(account: UserdbAccount, service: bytes, password: bytes) -> Answer:
    """Compare `password` with what there is for CRAM, where there is no hash."""
    for digest in DIGESTS:
        for name in _hmacs(service, digest):
            if name in account.secrets:
                if compare_digest(hmac_state(password, digest).encode(), account.secrets[name]):
                    return Answer(Outcome.OK, Reason.PASSWORD_MATCHES, account)
                return reject(Reason.WRONG_PASSWORD, account)
    return reject(Reason.NO_PASSWORD, account)


def _id(value: bytes) -> int:
    return atoi(value) % (MAX_UID + 1)


class _DataFile:
    """A compiled file, opened again when it was replaced.

    :param is_damaged: tells of a record whether it is none that makeuserdb writes.
    """

    def __init__(self, file: Path, is_damaged: Callable[[bytes, bytes], bool]) -> None:
        self.file = file
        self._is_damaged = is_damaged
        self._stamp: tuple[int, int, int] | None = None
        self._open: Gdbm | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`; ``None`` if there is none, or no file.

        :raises TemporaryFailure: if the file can't be read, or is damaged.
        """
        current = self._current()
        if current is None:
            return None
        with self._told():
            value = current.get(key)
        if value is not None and self._is_damaged(key, value):
            raise TemporaryFailure(Reason.UNREACHABLE, f"{self.file}: damaged record; {_DAMAGED_MEND}")
        return value

    def __iter__(self) -> Iterator[bytes]:
        """Yield all keys; raises as `get`."""
        current = self._current()
        if current is not None:
            with self._told():
                yield from current

    def some(self, count: int) -> list[bytes]:
        """Return the first keys of the file, at most `count`; raises as `get`."""
        current = self._current()
        if current is None:
            return []
        with self._told():
            return list(islice(current.keys(), count))

    def close(self) -> None:
        """Close the file; the next question opens it again."""
        current, self._open, self._stamp = self._open, None, None
        if current is not None:
            current.close()

    def _current(self) -> Gdbm | None:
        try:
            status = os.stat(self.file)
        except FileNotFoundError:
            self.close()
            return None
        except OSError as error:
            raise TemporaryFailure(Reason.UNREACHABLE, f"{self.file}: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            # Opening a FIFO may wait for ever.
            raise TemporaryFailure(Reason.UNREACHABLE, f"{self.file}: not a regular file; run makeuserdb")
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            self.close()
            with self._told():
                self._open = Gdbm(self.file)
            self._stamp = stamp
        return self._open

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Make a temporary failure of what the file raises; the next question opens it anew, since libgdbm gives up at once."""
        try:
            yield
        except GdbmError as error:
            self.close()
            raise TemporaryFailure(Reason.UNREACHABLE, str(error)) from None
