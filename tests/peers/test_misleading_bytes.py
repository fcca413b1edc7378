"""NUL, line feed and tab, in what a client asks and in what the accounts have: what Courier makes of them, and what authd does.

Every test is of a deliberate difference, which docs/compatibility.md lists.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import opened, require
from tests.support.accounts import FORGING_ROWS, INSERT, ROWS, TABBED_ROWS, fill, fill_sqlite, row
from tests.support.courier import DAEMON
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair, whole
from tests.support.requests import GOOD, GOOD_PASSWORD, misleading
from tests.support.sysconf import changed, mysqlrc, sqliterc, write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre

FIELDS = (b"UID", b"GID", b"HOME", b"ADDRESS", b"NAME", b"MAILDIR", b"QUOTA", b"PASSWD", b"PASSWD2", b"OPTIONS")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = opened(tmp_path_factory.mktemp("sqlite"))
    directory.chmod(0o777)
    file = directory / "accounts.db"
    fill_sqlite(file, [*ROWS, *FORGING_ROWS, *TABBED_ROWS])
    file.chmod(0o666)
    return file


@pytest.fixture(scope="module")
def pair(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    write_authdaemonrc(root / "etc", root / "authd", "authsqlite", daemons="1", DEFAULTOPTIONS="z=9")
    (root / "etc" / "authsqliterc").write_text(sqliterc(database))
    with Pair(root, root / "etc", root / "authd") as both:
        yield both


def lines(reply: bytes) -> list[bytes]:
    """Return the names of the lines of a reply, which must end as one ends."""
    assert reply.endswith(b"\n.\n")
    return [line.partition(b"=")[0] for line in reply[:-3].split(b"\n")]


@pytest.mark.parametrize("user", [row[0] for row in FORGING_ROWS])
def test_a_value_ends_at_a_line_feed(pair: Pair, user: str) -> None:
    courier, authd = pair.ask(pre(user))
    assert b"UID=0" in courier or b"\n/root" in courier or b"\nHOME=/root" in courier
    told = lines(authd)
    assert told == [name for name in FIELDS if name in told]
    assert b"\nUID=1000\n" in b"\n" + authd
    assert authd.startswith(b"UID=1000\nGID=1001\n")
    if not user.startswith("end"):
        # Nothing is lost but what followed the line feed.
        assert set(authd.split(b"\n")) <= set(courier.split(b"\n")) | {b"OPTIONS=a=1,z=9"}
    assert f'WARN: cut: module=authsqlite user="{user}" fields=' in pair.authd.logged()


def test_the_options_of_all_are_not_cut_off(pair: Pair) -> None:
    courier, authd = pair.ask(pre("options@forge.example"))
    assert courier.endswith(b"OPTIONS=a=1\nUID=0,b=2,z=9\n.\n")
    assert authd.endswith(b"OPTIONS=a=1,z=9\n.\n")


def test_the_log_warns_once_and_tells_no_value(pair: Pair) -> None:
    for request in (pre("clear@forge.example"), pre("clear@forge.example"), login("clear@forge.example", "secret")):
        exchange(pair.authd.socket, request)
    told = [line for line in pair.authd.logged().splitlines() if "WARN: cut:" in line and "clear@forge" in line]
    assert told == ['WARN: cut: module=authsqlite user="clear@forge.example" fields=PASSWD2 reason="NUL or line feed"']


def test_a_value_of_an_enumeration_ends_at_a_tab_too(pair: Pair) -> None:
    courier, authd = pair.ask(b"ENUMERATE\n")
    assert courier.endswith(b"\n.\n")
    head, *rows, end = authd[:-1].split(b"\n")
    assert (head, rows.pop(0), end) == (b"# authsqlite", b"", b".")
    assert {row.count(b"\t") for row in rows} == {5}
    assert {tuple(row.split(b"\t")[1:3]) for row in rows if b"forge.example" in row} == {(b"1000", b"1001")}
    assert b"tabs@forge.example\t1000\t1001\th\tm\ta=1,z=9" in rows
    assert b"home@forge.example\t1000\t1001\th\texample.org/user/Maildir/\tz=9" in rows
    assert b"tab\t1000\t1001\texample.org/user\texample.org/user/Maildir/\tz=9" in rows
    # What needs no cut is listed as Courier does.
    assert [row for row in courier.split(b"\n") if b"@example.org\t" in row] == [
        row for row in rows if b"@example.org\t" in row
    ]
    assert re.search(r'WARN: cut: module=authsqlite user="tab" fields=ADDRESS reason', pair.authd.logged())


@pytest.mark.parametrize("request_", misleading())
def test_such_a_name_or_password_finds_nobody(pair: Pair, request_: bytes) -> None:
    courier, authd = pair.ask(*whole(request_))
    assert courier.startswith(b"UID=1000\n")
    assert authd == b"FAIL\n"


def test_no_password_is_changed_to_a_part_of_what_was_given(pair: Pair, database: Path) -> None:
    user = "user@example.org"
    for request in (
        b"PASSWD imap\t%b\tsecret\tne\0w\n" % user.encode(),
        b"PASSWD imap\t%b\tsecret\tne\tw\n" % user.encode(),
        b"PASSWD imap\t%b\tsecret\tne\nw\n" % user.encode(),
    ):
        assert exchange(pair.authd.socket, request) == b"FAIL\n"
        assert exchange(pair.authd.socket, login(user, "secret")).startswith(b"UID=")
        assert exchange(pair.courier.socket, request) == b"OK\n"
        assert exchange(pair.courier.socket, login(user, "ne")).startswith(b"UID=")
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("UPDATE mailbox SET clearpwd='secret', password='' WHERE username=?", (user,))
            connection.commit()
    assert exchange(pair.authd.socket, passwd("imap", user, "secret", "secret")) == b"OK\n"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("\0\n\t", min_size=1, max_size=3), st.text("x\0\n\t. =", max_size=4), st.sampled_from(["pre", "login"]))
def test_no_ending_of_a_name_is_passed_over(pair: Pair, separator: str, more: str, kind: str) -> None:
    """Line feeds alone behind a whole request are what some clients add to it."""
    name = GOOD.decode() + separator + more
    if not name.strip("\n").removeprefix(GOOD.decode()):
        return
    request = pre(name) if kind == "pre" else login(name, GOOD_PASSWORD)
    assert exchange(pair.authd.socket, request, shut=True) in (b"FAIL\n", b"")


def test_a_home_that_is_cut_to_nothing_is_empty(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without the rule the account would have no home, which authmysql never answers with."""
    require("unshare", DAEMON)
    fill(mariadb)
    with mariadb.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.executemany(INSERT, [row("lf@forge.example", homedir="\nx"), row("nul@forge.example", homedir="\0x")])
        connection.commit()
    root = opened(tmp_path_factory.mktemp("homeless"))
    write_authdaemonrc(root / "etc", root / "authd")
    (root / "etc" / "authmysqlrc").write_text(changed(mysqlrc(mariadb.socket), MYSQL_HOME_FIELD="homedir"))
    with Pair(root, root / "etc", root / "authd") as both:
        for user in ("lf@forge.example", "nul@forge.example"):
            courier, authd = both.ask(pre(user))
            assert b"\nHOME=\n" in courier
            assert authd == b""
    fill(mariadb)
