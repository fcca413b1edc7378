"""LDAP_AUTHBIND with OpenLDAP's password policies: each refusal has its reason, and passwords are changed by RFC 3062."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import opened, require
from tests.support.courier import DAEMON
from tests.support.logged import asked
from tests.support.pair import Pair
from tests.support.slapd import BASE, Entry, Slapd
from tests.support.sysconf import changed, edit, ldaprc, write_authdaemonrc
from tests.support.wire import exchange, login, passwd

SECRET = "bind secret"
LONG_AGO = b"20200101000000Z"


def policy(name: str, *lines: str) -> str:
    """Return the entry of a password policy."""
    head = [f"dn: cn={name},{BASE}", "objectClass: device", "objectClass: pwdPolicy", f"cn: {name}"]
    return "\n".join([*head, "pwdAttribute: userPassword", *lines]) + "\n"


POLICIES = (
    policy(
        "usual",
        "pwdLockout: TRUE",
        "pwdCheckQuality: 2",
        "pwdMinLength: 8",
        "pwdInHistory: 3",
        "pwdMustChange: TRUE",
        "pwdSafeModify: TRUE",
    ),
    policy("strict", "pwdLockout: TRUE", "pwdMaxFailure: 3"),
    policy("old", "pwdMaxAge: 86400"),
    policy("grace", "pwdMaxAge: 86400", "pwdGraceAuthNLimit: 5"),
    policy("soon", "pwdMaxAge: 2000000000", "pwdExpireWarning: 1999999999"),
    policy("young", "pwdMinAge: 2000000000"),
    policy("fixed", "pwdAllowUserChange: FALSE"),
)


def account(name: str, **more: bytes) -> Entry:
    return {
        "login": f"{name}@example.org".encode(),
        "userPassword": SECRET.encode(),
        "uidnum": b"7",
        "gidnum": b"8",
        "homedir": f"/{name}".encode(),
        **more,
    }


def under(name: str, **more: bytes) -> Entry:
    """Return an account of the policy with that name, under which its password was set long ago."""
    return account(name, pwdPolicySubentry=f"cn={name},{BASE}".encode(), pwdChangedTime=LONG_AGO, **more)


ACCOUNTS = (
    *(account(name) for name in ("ann", "changer", "stubborn", "other")),
    account("locked", pwdAccountLockedTime=b"000001010000Z"),
    account("reset", pwdReset=b"TRUE"),
    *(under(name) for name in ("old", "grace", "soon", "fixed")),
    {**under("strict"), "login": b"guessed@example.org"},
    {**under("young"), "pwdChangedTime": b"20250101000000Z"},
    {name: value for name, value in account("bare").items() if name != "userPassword"},
)


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    require("slapd", "slapadd", "/usr/lib/ldap/ppolicy.so")
    overlay = ["overlay ppolicy", f"ppolicy_default cn=usual,{BASE}", "ppolicy_use_lockout"]
    server = Slapd(opened(tmp_path_factory.mktemp("ldap")) / "server", "moduleload ppolicy", overlays=overlay)
    server.more = POLICIES
    server.make(ACCOUNTS)
    with server:
        yield server


@pytest.fixture(scope="module")
def pair(slapd: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    write_authdaemonrc(root / "etc", root / "authd", "authldap")
    (root / "etc" / "authldaprc").write_text(by_bind(slapd))
    with Pair(root, root / "etc", root / "authd") as both:
        yield both


def by_bind(slapd: Slapd, **more: str | None) -> str:
    """Return an authldaprc by which the server checks passwords, whose hashes authd does not ask for."""
    return changed(ldaprc(slapd.uri), LDAP_AUTHBIND="1", LDAP_CRYPTPW=None, LDAP_CLEARPW=None, **more)


LOGINS = [
    # user, password, reason, a part of the detail
    ("ann", SECRET, "ok password matches", ""),
    ("ann", "wrong", "reject wrong password", ""),
    ("nosuch", "wrong", "reject no such user", ""),
    ("locked", SECRET, "reject account is locked", "Invalid credentials"),
    ("old", SECRET, "reject password has expired", "Invalid credentials"),
    ("grace", SECRET, "ok password matches", "password has expired, 4 more logins are granted"),
    ("soon", SECRET, "ok password matches", "password expires in "),
    # As with Courier: the server lets the user in, to do nothing there but change it.
    ("reset", SECRET, "ok password matches", "password must be changed"),
    ("reset", "wrong", "reject wrong password", ""),
]


@pytest.mark.parametrize(("user", "password", "said", "part"), LOGINS, ids=[" ".join(row[:2]) for row in LOGINS])
def test_each_state_has_its_reason(pair: Pair, user: str, password: str, said: str, part: str) -> None:
    request = login(f"{user}@example.org", password)
    reply, found, detail = asked(pair.authd, request)
    assert (found, reply) == (said, exchange(pair.courier.socket, request)), detail
    assert part in detail if part else detail == ""


def test_who_guesses_is_locked_out(pair: Pair) -> None:
    """The server counts; from then on the right password is refused too, and neither is a wrong password any more."""
    tries = [asked(pair.authd, login("guessed@example.org", password))[1] for password in ["wrong"] * 3 + [SECRET, "x"]]
    assert tries == ["reject wrong password"] * 3 + ["reject account is locked"] * 2


REFUSED = [
    ("stubborn", SECRET, "short", "passwordTooShort"),
    ("stubborn", SECRET, SECRET, "passwordInHistory"),
    ("young", SECRET, "another secret", "passwordTooYoung"),
    ("fixed", SECRET, "another secret", "passwordModNotAllowed"),
]


@pytest.mark.parametrize(("user", "old", "new", "why"), REFUSED, ids=[row[3] for row in REFUSED])
def test_a_new_password_that_the_policy_refuses(pair: Pair, user: str, old: str, new: str, why: str) -> None:
    reply, found, detail = asked(pair.authd, passwd("imap", f"{user}@example.org", old, new))
    assert (reply, found) == (b"FAIL\n", "reject password not changed")
    assert detail.startswith(
        "password modify: Constraint violation: " if why != "passwordModNotAllowed" else "password "
    )
    assert f"({why})" in detail
    assert exchange(pair.authd.socket, login(f"{user}@example.org", old)).endswith(b"\n.\n")


def test_a_password_is_changed_by_rfc_3062(pair: Pair) -> None:
    user = "changer@example.org"
    assert asked(pair.authd, passwd("imap", user, "wrong", "the new secret"))[:2] == (
        b"FAIL\n",
        "reject wrong password",
    )
    assert exchange(pair.authd.socket, passwd("imap", user, SECRET, "the new secret")) == b"OK\n"
    for socket in (pair.authd.socket, pair.courier.socket):
        assert exchange(socket, login(user, "the new secret")).endswith(b"\n.\n")
        assert exchange(socket, login(user, SECRET)) == b"FAIL\n"


def test_who_must_change_a_password_can(pair: Pair) -> None:
    user = "reset@example.org"
    assert exchange(pair.authd.socket, passwd("imap", user, SECRET, "chosen by myself")) == b"OK\n"
    assert asked(pair.authd, login(user, "chosen by myself"))[1:] == ("ok password matches", "")


def test_who_has_expired_can_not(pair: Pair) -> None:
    found = asked(pair.authd, passwd("imap", "old@example.org", SECRET, "chosen by myself"))[:2]
    assert found == (b"FAIL\n", "reject password has expired")


def test_the_attributes_are_written_where_they_can_be_read(pair: Pair, slapd: Slapd) -> None:
    """Courier's way; what the policy refuses is no outage there either."""
    edit(pair.etc / "authldaprc", changed(by_bind(slapd), LDAP_CRYPTPW="userPassword"))
    try:
        reply, found, detail = asked(pair.authd, passwd("imap", "young@example.org", SECRET, "another secret"))
        assert (reply, found) == (b"FAIL\n", "reject password not changed")
        assert detail.startswith("modify: ")
    finally:
        edit(pair.etc / "authldaprc", by_bind(slapd))


def test_a_policy_is_no_outage_without_a_bind_either(pair: Pair, slapd: Slapd) -> None:
    rc = changed(
        ldaprc(slapd.uri), LDAP_CRYPTPW=None, LDAP_CLEARPW="userPassword", LDAP_BINDDN=slapd.dn("other@example.org")
    )
    edit(pair.etc / "authldaprc", changed(rc, LDAP_BINDPW=SECRET))
    try:
        reply = asked(pair.authd, passwd("imap", "other@example.org", SECRET, "short"))[:2]
        assert reply == (b"FAIL\n", "reject password not changed")
    finally:
        edit(pair.etc / "authldaprc", by_bind(slapd))
