"""LDAP_AUTHBIND with Active Directory, as Samba serves it: its reasons are told apart, and passwords are changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import opened, require
from tests.support.courier import DAEMON
from tests.support.logged import asked
from tests.support.pair import Pair
from tests.support.samba import BASE, PASSWORD, Samba
from tests.support.sysconf import edit, write_authdaemonrc
from tests.support.wire import exchange, login, passwd


@pytest.fixture(scope="module")
def samba(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samba]:
    require("samba", "samba-tool", "/usr/share/samba/setup/provision.ldif")
    server = Samba(opened(tmp_path_factory.mktemp("ad")) / "domain")
    server.make()
    for user in ("lookups", "ann", "changer", "disabled", "expired", "locked"):
        server.add(user)
    server.add("mustchange", "--must-change-at-next-login")
    server.tool("user", "disable", "disabled")
    server.tool("user", "setexpiry", "expired", "--days=0")
    server.tool("domain", "passwordsettings", "set", "--account-lockout-threshold=3", "--min-pwd-age=0")
    with server:
        yield server


def ldaprc(samba: Samba, uri: str = "ldaps") -> str:
    lines = {
        "LDAP_URI": f"{uri}://{samba.address}",
        "LDAP_PROTOCOL_VERSION": "3",
        "LDAP_BASEDN": BASE,
        "LDAP_BINDDN": samba.dn("lookups"),
        "LDAP_BINDPW": PASSWORD,
        "LDAP_INITBIND": "1",
        "LDAP_TIMEOUT": "10",
        "LDAP_AUTHBIND": "1",
        "LDAP_MAIL": "mail",
        "LDAP_HOMEDIR": "unixHomeDirectory",
        "LDAP_UID": "uidNumber",
        "LDAP_GID": "gidNumber",
        "LDAP_DEREF": "never",
        "LDAP_TLS": "0",
    }
    return "".join(f"{name}\t{value}\n" for name, value in lines.items()) + "##NAME: MARKER:0\n"


@pytest.fixture(scope="module")
def pair(samba: Samba, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    write_authdaemonrc(root / "etc", root / "authd", "authldap", LDAPTLS_REQCERT="never")
    (root / "etc" / "authldaprc").write_text(ldaprc(samba))
    with Pair(root, root / "etc", root / "authd") as both:
        yield both


LOGINS = [
    ("ann", PASSWORD, "ok password matches", ""),
    ("ann", "wrong", "reject wrong password", ""),
    ("nosuch", "wrong", "reject no such user", ""),
    ("disabled", PASSWORD, "reject account is disabled", "data 533"),
    ("disabled", "wrong", "reject wrong password", ""),
    ("expired", PASSWORD, "reject account has expired", "data 701"),
    ("mustchange", PASSWORD, "reject password must be changed", "data 773"),
]


@pytest.mark.parametrize(("user", "password", "said", "part"), LOGINS, ids=[" ".join(row[:2]) for row in LOGINS])
def test_each_state_has_its_reason(pair: Pair, user: str, password: str, said: str, part: str) -> None:
    request = login(f"{user}@ad.example.org", password)
    reply, found, detail = asked(pair.authd, request)
    assert (found, reply) == (said, exchange(pair.courier.socket, request)), detail
    assert part in detail if part else detail == ""


def test_who_guesses_is_locked_out(pair: Pair) -> None:
    requests = [login("locked@ad.example.org", password) for password in ["wrong"] * 3 + [PASSWORD, "wrong"]]
    assert [asked(pair.authd, request)[1] for request in requests] == ["reject wrong password"] * 3 + [
        "reject account is locked"
    ] * 2


def test_a_password_is_changed(pair: Pair) -> None:
    """Each of the refusals names the domain's rules in the server's own words, and changes nothing."""
    user, new = "changer@ad.example.org", "Sömething.New9"
    assert asked(pair.authd, passwd("imap", user, "wrong", new))[:2] == (b"FAIL\n", "reject wrong password")
    for refused, words in (("short", "too short"), (PASSWORD, "already used")):
        reply, found, detail = asked(pair.authd, passwd("imap", user, PASSWORD, refused))
        assert (reply, found) == (b"FAIL\n", "reject password not changed")
        assert words in detail
        assert detail.endswith("(the domain's rules of length, complexity, history or age)")
        assert exchange(pair.authd.socket, login(user, PASSWORD)).endswith(b"\n.\n")
    assert asked(pair.authd, passwd("imap", user, PASSWORD, new))[:2] == (b"OK\n", "ok password changed")
    assert exchange(pair.authd.socket, login(user, new)).endswith(b"\n.\n")
    assert exchange(pair.courier.socket, login(user, new)).endswith(b"\n.\n")
    assert exchange(pair.authd.socket, login(user, PASSWORD)) == b"FAIL\n"


def test_without_tls_the_log_says_what_is_missing(pair: Pair, samba: Samba) -> None:
    edit(pair.etc / "authldaprc", ldaprc(samba, "ldap"))
    try:
        reply, found, detail = asked(pair.authd, login("ann@ad.example.org", PASSWORD))
        assert (reply, found.split()[0]) == (b"FAIL\n", "tempfail")
        assert "Transport encryption required" in detail
    finally:
        edit(pair.etc / "authldaprc", ldaprc(samba))
