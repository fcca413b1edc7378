"""authldap: the real Courier and authd give the same bytes for the same requests."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.conftest import opened, require
from tests.support.accounts import LDAP_ENTRIES
from tests.support.courier import DAEMON
from tests.support.pair import Pair, change_and_look, crumbs, whole
from tests.support.requests import hand_made
from tests.support.slapd import BASE, Entry, Slapd
from tests.support.sysconf import changed, edit, ldaprc, write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre

MORE: tuple[Entry, ...] = (
    {
        "login": b"plain@example.org",
        "userPassword": b"bind secret",
        "uidnum": b"7",
        "gidnum": b"8",
        "homedir": b"/plain",
    },
    {"login": b"ids@example.org", "clear": b"secret", "homedir": b"ids", "disableimap": b"1", "options": b"o"},
    {"login": b"zero@example.org", "clear": b"secret", "homedir": b"zero", "uidnum": b"0", "gidnum": b"8"},
    {
        "login": [b"one@example.org", b"two@example.org"],
        "clear": b"secret",
        "homedir": [b"a", b"b"],
        "options": [b"a", b"b"],
    },
    {"login": b"neither@example.org", "homedir": b"neither", "uidnum": b"7", "gidnum": b"8"},
    {"login": b"mapped", "handle": b"h1", "clear": b"secret", "homedir": b"mapped", "uidnum": b"7", "gidnum": b"8"},
    {"fullname": b"joe", "quota": b"example.org", "handle": b"h1"},
    {"fullname": b"jim", "quota": b"example.org", "handle": b"h2"},
    {"fullname": b"two", "quota": b"example.org", "handle": b"h1"},
    {"fullname": b"two", "quota": b"example.org", "handle": b"h3"},
    {"fullname": b"none", "quota": b"example.org"},
    {"fullname": b"a", "quota": b"b@example.org", "handle": b"h1"},
    {"fullname": b"a@b", "quota": b"example.org", "handle": b"h1"},
    {"fullname": b"j*(e)", "quota": b"ex\\ample.org", "handle": b"h1"},
)
"""Accounts, and handles of addresses."""


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    require("slapd", "slapadd", "ldapmodify")
    server = Slapd(opened(tmp_path_factory.mktemp("ldap")) / "server")
    server.make([*LDAP_ENTRIES, *MORE])
    with server:
        yield server


@pytest.fixture(scope="module")
def pair(slapd: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", "authldap")
    (etc / "authldaprc").write_text(ldaprc(slapd.uri))
    with Pair(root, etc, root / "authd") as both:
        yield both


@pytest.fixture
def rc(pair: Pair, slapd: Slapd) -> Iterator[str]:
    """The usual authldaprc, which is put back afterwards."""
    content = ldaprc(slapd.uri)
    yield content
    edit(pair.etc / "authldaprc", content)


def _is_comparable(request: bytes) -> bool:
    """Tell whether a request changes nothing, and its login is not one that Courier shows as it stood in the filter."""
    changes = request.startswith(b"PASSWD") and b"nullhome@" in request
    return not changes and not any(odd in request for odd in (b"\\", b"$(domain)"))


@pytest.mark.parametrize("feed", [whole, crumbs])
def test_replies_are_the_same(pair: Pair, feed: object) -> None:
    assert callable(feed)
    different = []
    for request in filter(_is_comparable, hand_made()):
        courier, authd = pair.ask(*feed(request))
        if courier != authd:
            different.append((request[:200], courier, authd))
    assert different == []


SETTINGS: dict[str, dict[str, str | None]] = {
    "as it is": {},
    "no domain": {"LDAP_DOMAIN": None},
    "filter": {"LDAP_FILTER": "(!(fullname=Jürgen*))"},
    "filter that fits few": {"LDAP_FILTER": "(homedir=/plain)"},
    "no mail root": {"LDAP_MAILROOT": None},
    "ids for all": {"LDAP_UID": None, "LDAP_GID": None, "LDAP_GLOB_UID": "2525", "LDAP_GLOB_GID": "2525"},
    "named ids for all": {"LDAP_UID": None, "LDAP_GID": None, "LDAP_GLOB_UID": "mail", "LDAP_GLOB_GID": "www-data"},
    "ids for some": {"LDAP_GLOB_UID": "2525", "LDAP_GLOB_GID": "2525"},
    "no ids": {"LDAP_UID": None, "LDAP_GID": None},
    "clear only": {"LDAP_CRYPTPW": None},
    "crypt only": {"LDAP_CLEARPW": None},
    "less": {"LDAP_FULLNAME": None, "LDAP_MAILDIR": None, "LDAP_MAILDIRQUOTA": None, "LDAP_AUXOPTIONS": None},
    "no delivery": {"LDAP_DEFAULTDELIVERY": None},
    "names in capitals": {"LDAP_HOMEDIR": "HomeDir", "LDAP_CLEARPW": "CLEAR", "LDAP_MAIL": "LOGIN"},
    "no such attribute": {"LDAP_MAILDIR": "nosuch", "LDAP_FULLNAME": "nosuch"},
    "by another attribute": {"LDAP_MAIL": "homedir", "LDAP_DOMAIN": None},
    "by server": {"LDAP_AUTHBIND": "1", "LDAP_CRYPTPW": None},
    "by server, without a bind": {
        "LDAP_AUTHBIND": "1",
        "LDAP_INITBIND": "0",
        "LDAP_CRYPTPW": None,
        "LDAP_CLEARPW": None,
    },
    "without a bind": {"LDAP_INITBIND": "0"},
    "aliases": {"LDAP_DEREF": "always"},
    "second server": {"LDAP_URI": "ldap://127.0.0.1:1, {uri}"},
    "enumerate filter": {"LDAP_ENUMERATE_FILTER": "(!(options=*))", "LDAP_FILTER": "(options=*)"},
    "map": {
        "LDAP_EMAILMAP": "(&(fullname=@user@)(quota=@realm@))",
        "LDAP_EMAILMAP_ATTRIBUTE": "handle",
        "LDAP_EMAILMAP_BASEDN": BASE,
        "LDAP_EMAILMAP_MAIL": "handle",
        "LDAP_FILTER": "(homedir=*)",
        "LDAP_DOMAIN": None,
    },
}

REQUESTS = (
    *(
        pre(user)
        for user in ("user@example.org", "user", "it's@example.org", "umläut@example.org", "nulls@example.org")
    ),
    *(
        pre(user)
        for user in ("nobody", "twice@example.org", "eightbit@example.org", "ids@example.org", "one@example.org")
    ),
    *(
        pre(user)
        for user in ("zero@example.org", "nohome@example.org", "/plain", "two@example.org", "plain@example.org")
    ),
    *(
        pre(user)
        for user in ("joe@example.org", "jim@example.org", "none@example.org", "joe", "", "*", "a@b@example.org")
    ),
    pre("postmaster@extmail.org", "courier"),
    pre("user@example.org", "courier"),
    login("user@example.org", "secret"),
    login("postmaster@extmail.org", "extmail"),
    login("both@example.org", "extmail"),
    login("both@example.org", "clear"),
    login("nohome@example.org", "secret"),
    login("plain@example.org", "bind secret"),
    login("plain@example.org", "wrong"),
    login("neither@example.org", "x"),
    login("nobody@example.org", "x"),
    login("joe@example.org", "secret"),
    b"ENUMERATE\n",
)


@pytest.mark.parametrize("value", ["homedir=*", "&(homedir=*)(login=*)", "(homedir=*"])
def test_a_filter_that_is_none_lets_nobody_in(pair: Pair, rc: str, value: str) -> None:
    """Deliberate difference: Courier rejects all; authd refuses the file, and the settings before stay in force."""
    logged = len(pair.authd.logged())
    edit(pair.etc / "authldaprc", changed(rc, LDAP_FILTER=value))
    courier, _ = pair.ask(pre("user@example.org"))
    assert courier == b"FAIL\n"
    assert re.search(
        r"ERR: authldap: \S*authldaprc:\d+: LDAP_FILTER: expected .*stay in force", pair.authd.logged()[logged:]
    )


@pytest.mark.parametrize("behind", [" # keeps them out", ";options=", " options=shared"])
def test_an_option_with_something_behind_it_keeps_nobody_out(pair: Pair, rc: str, behind: str) -> None:
    """Deliberate difference: Courier sends an option of another name; authd refuses the file."""
    logged = len(pair.authd.logged())
    edit(pair.etc / "authldaprc", changed(rc, LDAP_AUXOPTIONS=f"options=disableimap{behind}"))
    courier, _ = pair.ask(pre("postmaster@extmail.org"))
    assert f"\nOPTIONS=disableimap{behind}=".encode() in courier
    assert re.search(r"ERR: authldap: \S*authldaprc:\d+: LDAP_AUXOPTIONS: expected ", pair.authd.logged()[logged:])


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_mean_the_same(pair: Pair, slapd: Slapd, rc: str, settings: dict[str, str | None]) -> None:
    values = {name: value and value.format(uri=slapd.uri) for name, value in settings.items()}
    edit(pair.etc / "authldaprc", changed(rc, **values))
    different = []
    for request in REQUESTS:
        courier, authd = pair.ask(request)
        if courier != authd:
            different.append((request, courier, authd))
    assert different == []


@pytest.mark.parametrize(
    ("user", "old", "new", "restored"),
    [
        ("user@example.org", "secret", "n'ew", {"clear": "secret"}),
        ("both@example.org", "extmail", "new", None),
        ("both@example.org", "clear", "new", None),
        ("md5crypt@hash.example", "secret", "new", None),
        ("sha@hash.example", "secret", "new", None),
        ("user@example.org", "wrong", "new", None),
        ("nobody@example.org", "a", "b", None),
        ("neither@example.org", "a", "b", None),
        ("umläut@example.org", "secret", "näw", {"clear": "secret"}),
    ],
)
def test_password_changes_are_the_same(
    pair: Pair, slapd: Slapd, rc: str, user: str, old: str, new: str, restored: dict[str, str] | None
) -> None:
    original = next((entry for entry in LDAP_ENTRIES if entry["login"] == user.encode()), {})
    values = {name: original[name].decode() for name in ("crypt", "clear") if name in original}
    results = []
    for socket in (pair.courier.socket, pair.authd.socket):
        results.append(change_and_look(socket, user, old, new))
        if values:
            slapd.modify(user, **values)
    assert results[1] == results[0]


def _changed_by_bind(pair: Pair, slapd: Slapd, rc: str, binds: str) -> list[list[bytes]]:
    """Return what each daemon says to a change of a password that the server checks, and to logins afterwards."""
    settings = {"LDAP_AUTHBIND": "1", "LDAP_INITBIND": binds, "LDAP_CRYPTPW": "userPassword", "LDAP_CLEARPW": None}
    edit(pair.etc / "authldaprc", changed(rc, **settings))
    user = "plain@example.org"
    results = []
    for socket in (pair.courier.socket, pair.authd.socket):
        said = [
            exchange(socket, passwd("imap", user, "wrong", "new")),
            exchange(socket, passwd("imap", user, "bind secret", "new")),
        ]
        said += [exchange(socket, login(user, "new")), exchange(socket, login(user, "bind secret"))]
        results.append([reply.partition(b"PASSWD=")[0] for reply in said])
        slapd.modify(user, userPassword="bind secret")
    return results


def test_passwords_are_changed_under_the_users_own_name(pair: Pair, slapd: Slapd, rc: str) -> None:
    courier, authd = _changed_by_bind(pair, slapd, rc, "1")
    assert authd == courier
    assert authd[:2] == [b"FAIL\n", b"OK\n"]


class TestDeliberateDifferences:
    """Each of these is explained in docs/compatibility.md."""

    @pytest.mark.parametrize(
        ("user", "shown"),
        [("back\\slash@example.org", "back\\5cslash@"), ("$(domain)@example.org", "$\\28domain\\29@")],
    )
    def test_an_address_is_shown_as_it_is(self, pair: Pair, user: str, shown: str) -> None:
        """Courier shows what it wrote into the filter."""
        courier, authd = pair.ask(pre(user))
        assert f"\nADDRESS={shown}".encode() in courier
        assert f"\nADDRESS={user}\n".encode() in authd

    @pytest.mark.parametrize(
        ("uid", "gid", "theirs", "ours"),
        [
            ("2525", "2526", b"UID=2525\nGID=2525\n", b"UID=2525\nGID=2526\n"),
            ("2525", "mail", b"UID=2525\nGID=2525\n", b"UID=2525\nGID=8\n"),
        ],
    )
    def test_a_group_is_the_group_beside_a_numeric_user(
        self, pair: Pair, rc: str, uid: str, gid: str, theirs: bytes, ours: bytes
    ) -> None:
        """Courier takes the number of LDAP_GLOB_UID for it."""
        settings = {"LDAP_UID": None, "LDAP_GID": None, "LDAP_GLOB_UID": uid, "LDAP_GLOB_GID": gid}
        edit(pair.etc / "authldaprc", changed(rc, **settings))
        courier, authd = pair.ask(pre("user@example.org"))
        assert courier.startswith(theirs)
        assert authd.startswith(ours)

    @pytest.mark.parametrize("names", ["options =x", "disableimap=b, options=x"])
    def test_blanks_around_options_are_no_part_of_them(self, pair: Pair, rc: str, names: str) -> None:
        """Courier asks for an attribute whose name has a blank."""
        edit(pair.etc / "authldaprc", changed(rc, LDAP_AUXOPTIONS=names))
        courier, authd = pair.ask(pre("options@example.org"))
        assert b"\nOPTIONS=" not in courier
        assert b"\nOPTIONS=x=" in authd

    @pytest.mark.parametrize(
        "settings", [{"LDAP_BASEDN": "o=nosuch"}, {"LDAP_PROTOCOL_VERSION": "2"}, {"LDAP_BINDPW": "x"}]
    )
    def test_a_refused_search_is_no_unknown_user(self, pair: Pair, rc: str, settings: dict[str, str | None]) -> None:
        """Courier rejects; so that mail would bounce."""
        edit(pair.etc / "authldaprc", changed(rc, **settings))
        courier, authd = pair.ask(pre("user@example.org"))
        assert (courier, authd) == (b"FAIL\n", b"")
        assert pair.ask(login("user@example.org", "secret")) == (b"FAIL\n", b"FAIL\n")

    def test_a_password_that_can_not_be_read_is_changed(self, pair: Pair, slapd: Slapd, rc: str) -> None:
        """Courier replaces what it has read, and nothing else; the server's own operation (RFC 3062) needs no hash."""
        courier, authd = _changed_by_bind(pair, slapd, rc, "0")
        assert [reply[:5] for reply in courier] == [b"FAIL\n", b"FAIL\n", b"FAIL\n", b"UID=7"]
        assert [reply[:5] for reply in authd] == [b"FAIL\n", b"OK\n", b"UID=7", b"FAIL\n"]
