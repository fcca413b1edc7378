"""authldap: accounts in an LDAP directory, by python-ldap."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from authd.account import Account, Entry, until_end
from authd.config import rcfile
from authd.config.concealed import before_secret
from authd.config.ldaprc import SETTINGS, LdapSettings, load_ldaprc
from authd.config.nearest import suggestion
from authd.config.problem import ConfigError, Problem
from authd.config.remarks import leftovers
from authd.config.watch import WatchedFile
from authd.modules.base import DELIVERY_SERVICE, Module, Surroundings, TemporaryFailure
from authd.modules.directory import Directory, Found
from authd.modules.entries import Attributes, Entries
from authd.modules.hints import address_hint, settings_hint
from authd.modules.inquiry import Ask, Inquiry
from authd.numbers import unsigned
from authd.outcome import Answer, Outcome, Reason, reject
from authd.passwords import hash_like


@dataclass(slots=True)
class DirectoryAccount(Account):
    """An account of a directory.

    :param dn: name of its entry.
    :param by_bind: whether the settings that it was found by have the server check its password.
    """

    dn: str = field(default="", kw_only=True)
    by_bind: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Bind:
    """The question whether a server takes a password for an entry."""

    dn: str
    password: bytes = field(repr=False)


class AuthLdap(Module):
    """Accounts that are entries of a directory.

    Passwords are compared with an attribute, or, with ``LDAP_AUTHBIND``, checked by the server, each on a connection of its own.
    """

    name = "authldap"
    login_tempfail = "fail"
    clear_first = True
    caches_lookups = True
    closes_for = frozenset({Reason.BAD_UID, Reason.BAD_GID})

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._file = WatchedFile(surroundings.sysconfdir / "authldaprc", load_ldaprc, self._report)
        self._use(self._file.value)

    @classmethod
    def remarks(cls, sysconfdir: Path) -> list[Problem]:
        file = sysconfdir / "authldaprc"
        try:
            lines = rcfile.parse(rcfile.read(file))
        except ConfigError:
            # Told by whoever loads the file.
            return []
        return leftovers(lines, SETTINGS, file)

    @property
    def has_cleartext(self) -> bool:
        return bool(self._settings.clear)

    def find(self, service: bytes, user: bytes) -> Account | None:
        [finding] = self.find_each([(service, user)])
        if isinstance(finding, TemporaryFailure):
            raise finding
        return finding

    def find_each(self, wanted: Sequence[tuple[bytes, bytes]]) -> list[Account | TemporaryFailure | None]:
        self._refresh()
        findings: list[Account | TemporaryFailure | None] = []
        most = self._surroundings.batch
        for start in range(0, len(wanted), most):
            some = wanted[start : start + most]
            try:
                entries = self._entries.of_each([user for _, user in some])
            except TemporaryFailure as failure:
                # Nobody waits for a server that is down once for every request.
                return findings + [failure] * (len(wanted) - start)
            findings += [self._finding(*one, found) for one, found in zip(some, entries, strict=True)]
        return findings

    def _finding(
        self, service: bytes, user: bytes, found: Sequence[Found] | TemporaryFailure
    ) -> Account | TemporaryFailure | None:
        if isinstance(found, TemporaryFailure):
            return found
        if len(found) != 1:
            if found:
                self._trace(f"{len(found)} entries for one login, which counts as none")
            return None
        try:
            return self._account_of(service, user, found[0])
        except TemporaryFailure as failure:
            return failure

    def _verify(self, account: DirectoryAccount | None, user: bytes, password: bytes) -> Inquiry[Answer]:
        # The lookup reads a file that was edited, so the account has what its settings say.
        by_bind = self._settings.checks_by_bind if account is None else account.by_bind
        return self._bind(account, password) if by_bind else super()._verify(account, user, password)

    def change_password(self, service: bytes, user: bytes, old: bytes, new: bytes) -> Inquiry[Answer]:
        account: DirectoryAccount | None = yield from self._find_for(service, user, old)
        answer = yield from self._verify(account, user, old)
        if answer.outcome is not Outcome.OK or account is None:
            return answer
        values = self._new_values(account, new)
        if account.by_bind:
            return replace(self._directory.change(account.dn, old, new, values), account=account)
        if not values:
            return reject(Reason.NOT_CHANGED, account, "the entry has neither password attribute")
        return replace(self._directory.replace(account.dn, values), account=account)

    def ask(self, question: Bind) -> Answer:
        return self._directory.bind(question.dn, question.password)

    def sample(self) -> Iterable[tuple[bytes | None, bytes | None]]:
        s = self._settings
        names = [name for name in (s.crypt, s.clear) if name]
        if s.checks_by_bind or not names:
            return []
        condition = f"(&{s.filter}({s.mail}=*))" if s.filter else f"({s.mail}=*)"
        entries = [Attributes(*found) for found in self._directory.some(s.base, condition, names)]
        return [(entry.first(s.crypt), entry.first(s.clear)) for entry in entries]

    def login_name(self, user: bytes) -> bytes:
        return self._entries.full_name(user)

    def enumerate(self) -> Iterator[Entry]:
        self._refresh()
        s = self._settings
        wanted = f"(&{s.enumerate_filter}({s.mail}=*))" if s.enumerate_filter else f"({s.mail}=*)"
        for dn, attributes in self._directory.pages(s.base, wanted, self._attributes()):
            entry = Attributes(dn, attributes)
            home = entry.first(s.home)
            if not home:
                continue
            uid, gid = self._ids(entry)
            for login in entry.all(s.mail):
                yield Entry(login, uid, gid, home, entry.first(s.maildir) or b"", self._options(entry) or b"")

    def needs(self) -> Iterator[tuple[Path, int]]:
        for name in ("LDAPTLS_CACERT", "LDAPTLS_CERT", "LDAPTLS_KEY"):
            if name in self._surroundings.ldap_options:
                yield Path(self._surroundings.ldap_options[name]), os.R_OK

    def check(self) -> Iterator[Problem]:
        settings = self._settings
        try:
            self.find(b"check", b"no-such-user@check.invalid")
            next(self.enumerate(), None)
        except TemporaryFailure as failure:
            lost = address_hint(settings.uris) if failure.reason is Reason.UNREACHABLE else ""
            mend = (
                lost
                or settings_hint(settings.file.name, failure.detail, {})
                or (
                    "start the server, or correct LDAP_URI and the TLS settings"
                    if failure.reason is Reason.UNREACHABLE
                    else "correct LDAP_BINDDN, LDAP_BINDPW, LDAP_BASEDN or the filter"
                )
            )
            yield Problem(settings.file, failure.detail or failure.reason.value, mend)
        else:
            yield from self._unknown_attributes()

    def _unknown_attributes(self) -> Iterator[Problem]:
        """Yield a remark for each attribute of the file that the server's schema lacks."""
        settings = self._settings
        known = self._directory.schema_attributes()
        folded = {name.casefold() for name in known}
        for setting, name in self._named_attributes():
            # Without its options (RFC 4512).
            plain = name.partition(";")[0]
            if known and setting in settings.lines and plain.casefold() not in folded:
                # A password may be where the attribute with passwords should be named.
                shown = "such attribute" if setting.endswith("PW") else f'attribute "{before_secret(name)}"'
                problem = f"the directory's schema has no {shown}, so that no entry has one"
                mend = f"{suggestion(plain, sorted(known))}correct the name"
                yield Problem(settings.file, problem, mend, settings.lines[setting], setting, fatal=False)

    def _named_attributes(self) -> Iterator[tuple[str, str]]:
        """Yield each setting that names an attribute, and the attribute."""
        s = self._settings
        names = {
            "LDAP_MAIL": s.mail,
            "LDAP_UID": s.uid_attribute,
            "LDAP_GID": s.gid_attribute,
            "LDAP_HOMEDIR": s.home,
            "LDAP_MAILDIR": s.maildir,
            "LDAP_DEFAULTDELIVERY": s.delivery,
            "LDAP_MAILDIRQUOTA": s.quota,
            "LDAP_FULLNAME": s.name,
            "LDAP_CLEARPW": s.clear,
            "LDAP_CRYPTPW": s.crypt,
            "LDAP_EMAILMAP_ATTRIBUTE": s.map_attribute,
            "LDAP_EMAILMAP_MAIL": s.map_mail,
        }
        yield from ((setting, name) for setting, name in names.items() if name)
        yield from (("LDAP_AUXOPTIONS", attribute) for attribute, _ in s.options)

    def close(self) -> None:
        self._directory.close()

    def _bind(self, account: DirectoryAccount | None, password: bytes) -> Inquiry[Answer]:
        """Have the server check `password`; for its cost, also where there is no account."""
        dn = f"cn=no-such-user,{self._settings.base}" if account is None else account.dn
        answer: Answer = yield Ask(self, Bind(dn, password))
        if account is None:
            # The search has told; how servers refuse an entry that they do not have differs.
            return reject(Reason.NO_SUCH_USER)
        ok = answer.outcome is Outcome.OK
        return replace(answer, account=account.with_clear(password) if ok else account)

    def _account_of(self, service: bytes, user: bytes, found: Found) -> DirectoryAccount:
        s = self._settings
        entry = Attributes(*found)
        uid, gid = self._ids(entry)
        if not uid:
            raise TemporaryFailure(Reason.BAD_UID, found[0])
        if not gid:
            raise TemporaryFailure(Reason.BAD_GID, found[0])
        home = entry.first(s.home) or b""
        if s.mail_root and until_end(home):
            home = s.mail_root.encode("utf-8", "surrogateescape") + b"/" + home
        maildir = entry.first(s.maildir)
        if service == DELIVERY_SERVICE:
            maildir = entry.first(s.delivery)
        return DirectoryAccount(
            user,
            uid,
            gid,
            home,
            name=entry.first(s.name) or b"",
            maildir=maildir,
            quota=entry.first(s.quota),
            options=self._options(entry),
            crypt=entry.first(s.crypt),
            clear=entry.first(s.clear),
            dn=entry.dn,
            by_bind=s.checks_by_bind,
        )

    def _ids(self, entry: Attributes) -> tuple[int, int]:
        s = self._settings
        uid, gid = entry.first(s.uid_attribute), entry.first(s.gid_attribute)
        return (
            (s.uid or 0) if uid is None else unsigned(uid),
            (s.gid or 0) if gid is None else unsigned(gid),
        )

    def _options(self, entry: Attributes) -> bytes | None:
        pairs = [(option, entry.first(attribute)) for attribute, option in self._settings.options]
        return b",".join(b"%b=%b" % (option.encode(), value) for option, value in pairs if value is not None) or None

    def _new_values(self, account: DirectoryAccount, new: bytes) -> dict[str, bytes]:
        s = self._settings
        values = {}
        if s.clear and account.clear is not None:
            values[s.clear] = new
        if s.crypt and account.crypt is not None:
            values[s.crypt] = hash_like(new, account.crypt)
        return values

    def _attributes(self) -> Sequence[str]:
        names = [name for setting, name in self._named_attributes() if not setting.startswith("LDAP_EMAILMAP")]
        return list(dict.fromkeys(names))

    def _refresh(self) -> None:
        if self._file.refresh():
            self._surroundings.notice(f"{self.name}: {self._settings.file} was edited and is in force")
            self.close()
            self._use(self._file.value)

    def _use(self, settings: LdapSettings) -> None:
        self._settings = settings
        # By a bind the server decides, which counts wrong passwords, and knows hours and days.
        self.caches_logins = not settings.checks_by_bind
        self._decoys.renew()
        surroundings = self._surroundings
        self._directory = Directory(settings, surroundings.ldap_options, surroundings.notice)
        self._entries = Entries(settings, self._directory, self._attributes(), self._trace)

    def _trace(self, message: str) -> None:
        if self._surroundings.trace is not None:
            self._surroundings.trace(message)
