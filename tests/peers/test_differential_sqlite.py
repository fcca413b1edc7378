"""authsqlite: the real Courier and authd give the same bytes for the same requests."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.accounts import COLUMNS, ROWS, fill_sqlite, row
from tests.support.courier import DAEMON
from tests.support.pair import Pair, change_and_look, crumbs, whole
from tests.support.requests import cram, hand_made
from tests.support.sysconf import changed, edit, sqliterc, write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre

TYPED_ROWS = (
    row("integers@example.org", uidnumber=1000, gidnumber=0),
    row("reals@example.org", uidnumber=1001.0, gidnumber=7.9, quota=1.5, name=1e20, options=-0.25),
    row("blobs@example.org", homedir=b"h", clearpwd=b"secret", name=b"n\xe4"),
    row("wide@example.org", uidnumber=99999999999999, gidnumber=-99999999999999),
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = opened(tmp_path_factory.mktemp("sqlite"))
    directory.chmod(0o777)
    database = directory / "accounts.db"
    fill_sqlite(database, [*ROWS, *TYPED_ROWS])
    database.chmod(0o666)
    return database


@pytest.fixture(scope="module")
def pair(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", "authsqlite")
    (etc / "authsqliterc").write_text(sqliterc(database))
    with Pair(root, etc, root / "authd") as both:
        yield both


@pytest.fixture
def rc(pair: Pair, database: Path) -> Iterator[str]:
    """The usual authsqliterc, which is put back afterwards."""
    content = sqliterc(database)
    yield content
    edit(pair.etc / "authsqliterc", content)


def _is_comparable(request: bytes) -> bool:
    """Tell whether a request is not valid UTF-8, opens what should be closed, or changes something in one daemon's turn."""
    try:
        request.decode()
    except UnicodeDecodeError:
        return False
    changes = request.startswith(b"PASSWD") and any(name in request for name in (b"nouid@", b"nogid@", b"nullhome@"))
    return not changes and request not in EMPTY_CRAMS


EMPTY_CRAMS = [
    cram(user, b"") for user in (b"nopassword@example.org", b"emptypassword@example.org", b"md5crypt@hash.example")
]


@pytest.mark.parametrize("feed", [whole, crumbs])
def test_replies_are_the_same(pair: Pair, feed: object) -> None:
    assert callable(feed)
    more = [
        request for (user, *_) in TYPED_ROWS for request in (pre(user), login(user, "secret"), login(user, "wrong"))
    ]
    different = []
    for request in [*filter(_is_comparable, hand_made()), *more]:
        courier, authd = pair.ask(*feed(request))
        if courier != authd:
            different.append((request[:200], courier, authd))
    assert different == []


LITERALS = {
    "hexadecimal": "X'69' = X'69' AND '$(service)' <> ''",
    "double quotes": '"$(service)" <> \'x\' AND "it\'s ""$(service)" <> \'\'',
    "names": "[username] <> '$(service)' AND `username` <> '$(service)' AND \"username\" <> 'x'",
    "marks of drivers": "'%s :x ? @y $z' <> '$(service)' AND 7 % 2 = 1",
    "no blanks": "'$(service)'LIKE'%'AND'x$(service)'LIKE'x%'",
    "comment": "1 --it's $(domain)",
    "comment without an end": "1 /* it's $(domain)",
    "comment in a comment": "1 /* /* $(domain) */ AND 1",
    "made number": "uidnumber < '99$(service)'",
    "backslash": "'\\$(service)' LIKE '\\%'",
}
SETTINGS: dict[str, dict[str, str | None]] = {
    "concatenation": {"SQLITE_HOME_FIELD": "'/var/mailbox/'||homedir"},
    "literal ids": {"SQLITE_UID_FIELD": "2525", "SQLITE_GID_FIELD": "0"},
    "only clear": {"SQLITE_CRYPT_PWFIELD": None},
    "only crypt": {"SQLITE_CLEAR_PWFIELD": None},
    "no optional ones": {
        "SQLITE_NAME_FIELD": None,
        "SQLITE_MAILDIR_FIELD": None,
        "SQLITE_QUOTA_FIELD": None,
        "SQLITE_AUXOPTIONS_FIELD": None,
        "SQLITE_DEFAULTDELIVERY": None,
    },
    "delivery under another name": {"SQLITE_DEFAULTDELIVERY": None, "SQLITE_DEFAULTDELIVERY_FIELD": "delivery"},
    "where": {"SQLITE_WHERE_CLAUSE": "uidnumber='1000'"},
    "no default domain": {"DEFAULT_DOMAIN": None},
    "unknown column": {"SQLITE_QUOTA_FIELD": "nosuch"},
    "select": {
        "SQLITE_SELECT_CLAUSE": f"SELECT {','.join(COLUMNS[:3])},uidnumber,gidnumber,homedir,maildir,quota,name,options "
        "FROM mailbox WHERE username='$(local_part)@$(domain)' AND '$(service)'<>'it''s'"
    },
    "select six columns": {
        "SQLITE_SELECT_CLAUSE": "SELECT username,password,clearpwd,uidnumber,gidnumber,homedir FROM mailbox "
        "WHERE username='$(local_part)@$(domain)'"
    },
    "select five columns": {
        "SQLITE_SELECT_CLAUSE": "SELECT username,password,clearpwd,uidnumber,gidnumber FROM mailbox "
        "WHERE username='$(local_part)@$(domain)'"
    },
    "no file": {"SQLITE_DATABASE": "/nonexistent/accounts.db"},
}


@pytest.mark.parametrize("name", LITERALS)
def test_literals_find_the_same(pair: Pair, rc: str, name: str) -> None:
    columns = "username,password,clearpwd,uidnumber,gidnumber,homedir"
    clause = f"SELECT {columns} FROM mailbox WHERE username='$(local_part)@$(domain)' AND {LITERALS[name]}"
    edit(pair.etc / "authsqliterc", changed(rc, SQLITE_SELECT_CLAUSE=clause))
    for user in ("user@example.org", "it's@example.org", "back\\slash@example.org", "umläut@example.org", "nobody"):
        courier, authd = pair.ask(pre(user))
        assert authd == courier, user
    assert exchange(pair.authd.socket, pre("user@example.org")).startswith(b"UID=")


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_mean_the_same(pair: Pair, rc: str, settings: dict[str, str | None]) -> None:
    edit(pair.etc / "authsqliterc", changed(rc, **settings))
    for request in (
        pre("user@example.org"),
        pre("user"),
        pre("it's@example.org"),
        pre("nulls@example.org"),
        pre("nobody"),
        pre("postmaster@extmail.org", "courier"),
        login("user@example.org", "secret"),
        login("both@example.org", "extmail"),
        login("both@example.org", "clear"),
        pre("twice@example.org"),
        login("nohome@example.org", "secret"),
    ):
        courier, authd = pair.ask(request)
        assert authd == courier, request


@pytest.mark.parametrize(
    "clause",
    [
        None,
        "SELECT username,uidnumber,gidnumber,homedir,maildir,options FROM mailbox WHERE username LIKE 'n%'",
        "SELECT username,uidnumber,gidnumber FROM mailbox WHERE username LIKE 'n%'",
    ],
)
def test_enumerations_list_the_same(pair: Pair, rc: str, clause: str | None) -> None:
    edit(pair.etc / "authsqliterc", changed(rc, SQLITE_ENUMERATE_CLAUSE=clause))
    courier, authd = pair.ask(b"ENUMERATE\n")
    assert authd == courier


CHANGE = (
    "UPDATE mailbox SET clearpwd='$(newpass)', password='$(newpass_crypt)' WHERE username='$(local_part)@$(domain)'"
    " AND '$(service)'=''"
)


@pytest.mark.parametrize("clause", [None, CHANGE, CHANGE + " AND 0"])
@pytest.mark.parametrize(
    ("user", "old", "new"),
    [
        ("user@example.org", "secret", "n'ew"),
        ("md5crypt@hash.example", "secret", "new"),
        ("sha@hash.example", "secret", "new"),
        ("user@example.org", "wrong", "new"),
        ("nobody@example.org", "a", "b"),
        ("twice@example.org", "first", "b"),
    ],
)
def test_password_changes_are_the_same(
    pair: Pair, rc: str, database: Path, clause: str | None, user: str, old: str, new: str
) -> None:
    edit(pair.etc / "authsqliterc", changed(rc, SQLITE_CHPASS_CLAUSE=clause))
    results = []
    for socket in (pair.courier.socket, pair.authd.socket):
        results.append(change_and_look(socket, user, old, new))
        with sqlite3.connect(database) as connection:
            original = next((row for row in ROWS if row[0] == user), (user, None, None))
            connection.execute("UPDATE mailbox SET password=?, clearpwd=? WHERE username=?", (*original[1:3], user))
        connection.close()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE mailbox SET clearpwd=homedir WHERE username='twice@example.org'")
    connection.close()
    assert results[1] == results[0]


class TestDeliberateDifferences:
    """Each of these is explained in docs/compatibility.md."""

    @pytest.mark.parametrize(
        "condition",
        ["X'$(domain)' = 1", "[$(domain)] = 1", "? IS NULL", ":x IS NULL", "@x IS NULL", "$x = 1", "#x = 1"],
    )
    def test_what_can_not_be_bound_is_refused(self, pair: Pair, rc: str, condition: str) -> None:
        before = exchange(pair.authd.socket, pre("user@example.org"))
        logged = len(pair.authd.logged())
        clause = f"SELECT username,'','',1,2,homedir FROM mailbox WHERE username='$(local_part)' AND {condition}"
        edit(pair.etc / "authsqliterc", changed(rc, SQLITE_SELECT_CLAUSE=clause))
        assert exchange(pair.authd.socket, pre("user@example.org")) == before
        assert "SQLITE_SELECT_CLAUSE: " in pair.authd.logged()[logged:]

    @pytest.mark.parametrize("condition", ["?1 <> 'x'", ":user <> 'x'", "#user <> 'x'"])
    def test_no_value_of_ours_becomes_a_setting_s_parameter(self, pair: Pair, rc: str, condition: str) -> None:
        before = exchange(pair.authd.socket, pre("user@example.org"))
        logged = len(pair.authd.logged())
        edit(pair.etc / "authsqliterc", changed(rc, SQLITE_WHERE_CLAUSE=condition))
        assert exchange(pair.authd.socket, pre("user@example.org")) == before
        assert f"SQLITE_WHERE_CLAUSE: {condition[0]} stands for a parameter" in pair.authd.logged()[logged:]

    def test_concat_works(self, pair: Pair, rc: str) -> None:
        edit(pair.etc / "authsqliterc", changed(rc, SQLITE_HOME_FIELD="concat('/var/mailbox/',homedir)"))
        courier, authd = pair.ask(pre("user@example.org"))
        assert courier == b""
        assert b"\nHOME=/var/mailbox/example.org/user\n" in authd

    def test_concat_of_null_is_null(self, pair: Pair, rc: str) -> None:
        edit(
            pair.etc / "authsqliterc",
            changed(rc, SQLITE_QUOTA_FIELD="concat('x', NULL, 1)", SQLITE_AUXOPTIONS_FIELD="concat('x=', 1, '.', 2.5)"),
        )
        reply = exchange(pair.authd.socket, pre("user@example.org"))
        assert b"QUOTA" not in reply
        assert b"OPTIONS=x=1.2.5\n" in reply

    def test_a_failing_enumeration_is_not_finished(self, pair: Pair, rc: str) -> None:
        edit(pair.etc / "authsqliterc", changed(rc, SQLITE_ENUMERATE_CLAUSE="SELECT nosuch FROM mailbox"))
        courier, authd = pair.ask(b"ENUMERATE\n")
        assert courier == b"# authsqlite\n\n.\n"
        assert authd == b"# authsqlite\n\n"

    @pytest.mark.parametrize("request_", EMPTY_CRAMS)
    def test_an_account_without_cleartext_is_not_open_to_cram(self, pair: Pair, request_: bytes) -> None:
        """Courier's authsqlite takes the empty field for an empty password, and lets everybody in."""
        courier, authd = pair.ask(request_)
        assert courier.startswith(b"UID=")
        assert authd == b"FAIL\n"

    def test_change_clauses_are_bound(self, pair: Pair, rc: str) -> None:
        """Courier pastes the login into this clause as it is."""
        edit(pair.etc / "authsqliterc", changed(rc, SQLITE_CHPASS_CLAUSE=CHANGE))
        for socket, expected in ((pair.courier.socket, b"FAIL\n"), (pair.authd.socket, b"OK\n")):
            assert exchange(socket, passwd("imap", "it's@example.org", "secret", "secret")) == expected

    def test_logins_are_utf8(self, pair: Pair) -> None:
        courier, authd = pair.ask(pre(b"\xff@example.org"))
        assert (courier, authd) == (b"FAIL\n", b"FAIL\n")
