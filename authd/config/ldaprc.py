"""``authldaprc``."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authd.config.problem import ConfigError, Problem
from authd.config.setting import OPTION_NAME, Setting, leading_number, text
from authd.config.values import Values, values_of

DEREFERENCING = ("never", "searching", "finding", "always")


def _flag(value: str) -> bool:
    return leading_number(value) != 0


def _uris(value: str) -> tuple[str, ...]:
    uris = tuple(re.split(r"[\s,]+", value.strip(" ,\t")))
    for uri in uris:
        if not re.match(r"ldap[is]?://", uri):
            raise ValueError("expected addresses such as ldap://localhost or ldaps://ldap.example.com")
        if "@" in re.split("[/?]", uri)[2]:
            # The library can't parse it, and messages would show it.
            raise ValueError("expected no user and password in an address, which LDAP_BINDDN and LDAP_BINDPW have")
    return uris


def _dereferencing(value: str) -> str:
    if value.lower() not in DEREFERENCING:
        raise ValueError(f"expected one of {', '.join(DEREFERENCING)}")
    return value.lower()


def _filter(value: str) -> str:
    """Return a filter; Courier puts it into another as it is, and finds no user if that makes no filter."""
    if not value.startswith("("):
        raise ValueError("expected a filter in parentheses, without quotes, such as (objectClass=mailbox)")
    return _balanced(value)


def _enumerate_filter(value: str) -> str:
    return _balanced(value if value.startswith("(") else f"({value})")


def _balanced(value: str) -> str:
    depth = 0
    for character in value:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    if depth != 0:
        raise ValueError(r"expected as many ) as (, and \28 and \29 for those within a value")
    return value


def _options(value: str) -> tuple[tuple[str, str], ...]:
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    if not all(attribute.strip() and OPTION_NAME.fullmatch(option.strip()) for attribute, _, option in pairs):
        # An option of another name, such as one with a remark behind it, keeps nobody out.
        raise ValueError("expected attribute=option pairs, separated by commas")
    return tuple((attribute.strip(), option.strip()) for attribute, _, option in pairs)


def _number_or_name(kind: str, number_of: Callable[[str], int]) -> Callable[[str], int]:
    """Return a parser of ids that also takes the name of a `kind`."""

    def parse(value: str) -> int:
        try:
            return int(value) if value.isdecimal() else number_of(value)
        except KeyError:
            raise ValueError(f"expected the number or name of a {kind}") from None

    return parse


_user = _number_or_name("user", lambda name: pwd.getpwnam(name).pw_uid)
_group = _number_or_name("group", lambda name: grp.getgrnam(name).gr_gid)

SETTINGS = (
    Setting(
        "LDAP_URI",
        _uris,
        (),
        "Addresses of the servers, separated by commas or blanks and tried in turn: `ldap://`, `ldaps://` or `ldapi://`; needed.",
    ),
    Setting("LDAP_PROTOCOL_VERSION", leading_number, 3, "Version of the protocol: 2 or 3."),
    Setting("LDAP_BASEDN", text, "", "Where in the directory the accounts are; needed."),
    Setting("LDAP_BINDDN", text, "", "Name to bind as for lookups."),
    Setting("LDAP_BINDPW", text, "", "Its password.", secret=True),
    Setting("LDAP_INITBIND", _flag, False, "1 binds as LDAP_BINDDN before lookups; 0 looks up without a bind."),
    Setting("LDAP_TIMEOUT", leading_number, 5, "Seconds that a server may take to connect or to answer."),
    Setting(
        "LDAP_AUTHBIND",
        _flag,
        False,
        "1 has the server check passwords, by a bind as the account on a connection of its own; passwords are then changed "
        "under the account's own name, also where their attributes can't be read (RFC 3062; `unicodePwd` in Active Directory).",
    ),
    Setting("LDAP_MAIL", text, "mail", "Attribute with the login."),
    Setting("LDAP_FILTER", _filter, "", "Filter that every account must meet.", restricts=True),
    Setting("LDAP_DOMAIN", text, "", "Domain that is appended to a login that has no `@`."),
    Setting("LDAP_GLOB_UID", _user, None, "User id, or name of a user, for accounts without one of their own."),
    Setting("LDAP_GLOB_GID", _group, None, "Group id, or name of a group, for accounts without one of their own."),
    Setting("LDAP_UID", text, "", "Attribute with the numeric user id."),
    Setting("LDAP_GID", text, "", "Attribute with the numeric group id."),
    Setting("LDAP_HOMEDIR", text, "homeDirectory", "Attribute with the home directory."),
    Setting("LDAP_MAILROOT", text, "", "Directory that all home directories begin in."),
    Setting("LDAP_MAILDIR", text, "", "Attribute with the maildir."),
    Setting(
        "LDAP_DEFAULTDELIVERY",
        text,
        "",
        "Attribute that takes the maildir's place for the service `courier`, where it is there.",
    ),
    Setting("LDAP_MAILDIRQUOTA", text, "", "Attribute with the maildir quota."),
    Setting("LDAP_FULLNAME", text, "", "Attribute with the full name."),
    Setting("LDAP_CLEARPW", text, "", "Attribute with the cleartext password, which CRAM needs."),
    Setting("LDAP_CRYPTPW", text, "", "Attribute with the hashed password."),
    Setting(
        "LDAP_AUXOPTIONS",
        _options,
        (),
        "`attribute=option` pairs, separated by commas: an attribute that is there becomes an option of that name.",
        restricts=True,
    ),
    Setting(
        "LDAP_ENUMERATE_FILTER",
        _enumerate_filter,
        "",
        "Filter for listing accounts, in place of LDAP_FILTER.",
        restricts=True,
    ),
    Setting(
        "LDAP_DEREF", _dereferencing, "never", "When aliases are followed: `never`, `searching`, `finding`, `always`."
    ),
    Setting(
        "LDAP_TLS",
        _flag,
        False,
        "1 changes a connection of `ldap://` to TLS before anything is said on it. "
        "Without this line, so does a file or cipher of LDAPTLS in authdaemonrc.",
    ),
    Setting(
        "LDAP_EMAILMAP",
        text,
        "",
        "Filter that finds a handle first, such as `(&(userid=@user@)(realm=@realm@))`; which finds the account.",
    ),
    Setting("LDAP_EMAILMAP_BASEDN", text, "", "Where in the directory handles are; empty for LDAP_BASEDN."),
    Setting("LDAP_EMAILMAP_ATTRIBUTE", text, "", "Attribute with the handle."),
    Setting("LDAP_EMAILMAP_MAIL", text, "", "Attribute of accounts that has the handle; empty for LDAP_MAIL."),
)


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """The settings of one authldaprc; see `SETTINGS` for the meaning of each."""

    file: Path
    uris: tuple[str, ...]
    protocol_version: int
    base: str
    bind_dn: str
    bind_password: str = field(repr=False)
    binds: bool
    timeout: int
    checks_by_bind: bool
    dereferencing: str
    starts_tls: bool
    mail: str
    filter: str
    enumerate_filter: str
    domain: str
    uid: int | None
    gid: int | None
    uid_attribute: str
    gid_attribute: str
    home: str
    mail_root: str
    maildir: str
    delivery: str
    quota: str
    name: str
    clear: str
    crypt: str
    options: tuple[tuple[str, str], ...]
    map_filter: str
    map_base: str
    map_attribute: str
    map_mail: str
    lines: dict[str, int] = field(default_factory=dict, repr=False)


def load_ldaprc(file: Path) -> LdapSettings:
    """Read and parse an authldaprc.

    :raises ConfigError: if it can't be used.
    """
    read = values_of(file, SETTINGS)
    problems = list(_missing(read, file))
    if problems:
        raise ConfigError(*problems)
    values = read.values
    return LdapSettings(
        file=file,
        uris=values["LDAP_URI"],
        protocol_version=values["LDAP_PROTOCOL_VERSION"],
        base=values["LDAP_BASEDN"],
        bind_dn=values["LDAP_BINDDN"],
        bind_password=values["LDAP_BINDPW"],
        binds=values["LDAP_INITBIND"] and bool(values["LDAP_BINDDN"]),
        timeout=values["LDAP_TIMEOUT"],
        checks_by_bind=values["LDAP_AUTHBIND"],
        dereferencing=values["LDAP_DEREF"],
        starts_tls=values["LDAP_TLS"],
        mail=values["LDAP_MAIL"],
        filter=values["LDAP_FILTER"],
        enumerate_filter=values["LDAP_ENUMERATE_FILTER"] or values["LDAP_FILTER"],
        domain=values["LDAP_DOMAIN"],
        uid=values["LDAP_GLOB_UID"],
        gid=values["LDAP_GLOB_GID"],
        uid_attribute=values["LDAP_UID"],
        gid_attribute=values["LDAP_GID"],
        home=values["LDAP_HOMEDIR"],
        mail_root=values["LDAP_MAILROOT"],
        maildir=values["LDAP_MAILDIR"],
        delivery=values["LDAP_DEFAULTDELIVERY"],
        quota=values["LDAP_MAILDIRQUOTA"],
        name=values["LDAP_FULLNAME"],
        clear=values["LDAP_CLEARPW"],
        crypt=values["LDAP_CRYPTPW"],
        options=values["LDAP_AUXOPTIONS"],
        map_filter=values["LDAP_EMAILMAP"],
        map_base=values["LDAP_EMAILMAP_BASEDN"] or values["LDAP_BASEDN"],
        map_attribute=values["LDAP_EMAILMAP_ATTRIBUTE"],
        map_mail=values["LDAP_EMAILMAP_MAIL"] or values["LDAP_MAIL"],
        lines=read.lines,
    )


def _missing(read: Values, file: Path) -> list[Problem]:
    def problem(setting: str, what: str, mend: str) -> Problem:
        return Problem(file, what, mend, read.lines.get(setting), setting)

    values: dict[str, Any] = read.values
    wanted: list[tuple[str, Callable[[], bool], str, str]] = [
        ("LDAP_URI", lambda: bool(values["LDAP_URI"]), "not set", "name the server, such as ldap://localhost"),
        (
            "LDAP_BASEDN",
            lambda: bool(values["LDAP_BASEDN"]),
            "not set",
            "name where the accounts are, such as dc=example,dc=com",
        ),
        ("LDAP_TIMEOUT", lambda: values["LDAP_TIMEOUT"] > 0, "not a number of seconds", "use 1 or more"),
        ("LDAP_PROTOCOL_VERSION", lambda: values["LDAP_PROTOCOL_VERSION"] in (2, 3), "no such version", "use 3"),
        (
            "LDAP_CRYPTPW",
            lambda: bool(values["LDAP_CRYPTPW"] or values["LDAP_CLEARPW"] or values["LDAP_AUTHBIND"]),
            "neither this nor LDAP_CLEARPW nor LDAP_AUTHBIND is set",
            "name the attribute with the passwords, or set LDAP_AUTHBIND to 1",
        ),
        (
            "LDAP_EMAILMAP_ATTRIBUTE",
            lambda: bool(values["LDAP_EMAILMAP_ATTRIBUTE"] or not values["LDAP_EMAILMAP"]),
            "not set, which LDAP_EMAILMAP needs",
            "name the attribute with the handle",
        ),
    ]
    return [problem(setting, what, mend) for setting, is_right, what, mend in wanted if not is_right()]
