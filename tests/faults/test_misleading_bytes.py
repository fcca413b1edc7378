"""Accounts with line feeds, tabs and control characters, by every socket of a running daemon and by the commands."""

from __future__ import annotations

import base64
import os
import pty
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import opened
from tests.support.accounts import FORGING_ROWS, TABBED_ROWS, fill_sqlite, row
from tests.support.daemon import Authd, command, run_command
from tests.support.sysconf import sqliterc, write_authdaemonrc
from tests.support.wire import exchange, login, pre

NAMES = [name for name, *_ in FORGING_ROWS]
HOMES = {"home@forge.example": "h"}
FIELDS = (b"UID", b"GID", b"HOME", b"ADDRESS", b"NAME", b"MAILDIR", b"QUOTA", b"PASSWD", b"PASSWD2", b"OPTIONS")
SEPARATORS = ["\0", "\n", "\t"]
LOUD = row("loud@example.org", name="x", homedir="h\x1b[2J\rme", maildir="\x9bm")


@pytest.fixture(scope="module", params=["", "60"], ids=["uncached", "cached"])
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authd]:
    root = opened(tmp_path_factory.mktemp("misleading"))
    names = [row(f"ann{separator}x@example.org") for separator in SEPARATORS if separator != "\0"]
    fill_sqlite(
        root / "accounts.db",
        [*FORGING_ROWS, *TABBED_ROWS, *names, row("ann@example.org"), row("ann@default.example"), LOUD],
    )
    cache = {"AUTHD_CACHE_TTL": request.param, "AUTHD_CACHE_NEGATIVE_TTL": request.param} if request.param else {}
    listen = "saslauthd:mux dovecot-auth:auth dovecot-userdb:userdb"
    write_authdaemonrc(root / "etc", root / "run", "authsqlite", daemons="1", AUTHD_LISTEN=listen, **cache)
    (root / "etc" / "authsqliterc").write_text(sqliterc(root / "accounts.db"))
    with Authd(root / "etc", root / "run") as authd:
        yield authd


def by_userdb(daemon: Authd, *lines: bytes) -> list[list[bytes]]:
    """Return the fields of the answers to requests of Dovecot's userdb protocol."""
    heard = exchange(daemon.run / "userdb", b"VERSION\t1\t1\n" + b"".join(lines), shut=True)
    return [line.split(b"\t") for line in heard.splitlines()[2:]]


def by_auth(daemon: Authd, user: bytes, password: bytes = b"secret") -> list[bytes]:
    response = base64.b64encode(b"\0%b\0%b" % (user, password))
    said = b"VERSION\t1\t2\nCPID\t1\nAUTH\t1\tPLAIN\tservice=imap\tresp=%b\n" % response
    (answer,) = [
        line
        for line in exchange(daemon.run / "auth", said, shut=True).splitlines()
        if line.startswith((b"OK", b"FAIL"))
    ]
    return answer.split(b"\t")


def by_saslauthd(daemon: Authd, user: bytes, password: bytes = b"secret") -> bytes:
    fields = (user, password, b"imap", b"")
    return exchange(daemon.run / "mux", b"".join(len(field).to_bytes(2, "big") + field for field in fields), shut=True)


@pytest.mark.parametrize("user", NAMES)
def test_no_reply_has_a_field_too_many(daemon: Authd, user: str) -> None:
    can_log_in = not user.startswith(("clear@", "crypt@"))
    for request in [pre(user)] * 3 + [login(user, "secret")] * (3 if can_log_in else 0):
        lines = exchange(daemon.socket, request).split(b"\n")
        assert lines[:2] == [b"UID=1000", b"GID=1001"]
        keys = [line.partition(b"=")[0] for line in lines]
        assert keys[-2:] == [b".", b""]
        assert len(keys) == len(set(keys))
        assert set(keys[:-2]) <= set(FIELDS)
    assert daemon.logged().count(f'WARN: cut: module=authsqlite user="{user}"') == 1


@pytest.mark.parametrize("user", NAMES)
def test_nor_has_dovecot_s(daemon: Authd, user: str) -> None:
    home = HOMES.get(user, "example.org/user").encode()
    maildir = b"m" if user.startswith("maildir@") else b"example.org/user/Maildir/"
    told = [
        b"USER",
        b"1",
        user.encode(),
        b"uid=1000",
        b"gid=1001",
        b"home=" + home,
        b"mail=maildir:" + home + b"/" + maildir,
    ]
    assert by_userdb(daemon, b"USER\t1\t%b\tservice=lmtp\n" % user.encode()) == [told]
    password = b"secret\nUID=0" if user.startswith("clear@") else b"secret"
    if not user.startswith("crypt@"):
        assert by_auth(daemon, user.encode(), password) == [b"OK", b"1", b"user=" + user.encode()]
        assert by_saslauthd(daemon, user.encode(), password) == b"\0\x02OK"


def test_a_line_feed_in_the_password_that_was_given_is_no_fault_of_the_account(daemon: Authd) -> None:
    assert by_auth(daemon, b"ann@example.org", b"x\ny") == [b"FAIL", b"1", b"user=ann@example.org"]
    assert 'cut: module=authsqlite user="ann@example.org"' not in daemon.logged()


@pytest.mark.parametrize("separator", SEPARATORS)
def test_no_such_user_by_any_socket(daemon: Authd, separator: str) -> None:
    user = f"ann{separator}x@example.org".encode()
    escaped = user.replace(b"\0", b"\x010").replace(b"\t", b"\x01t").replace(b"\n", b"\x01n")
    for _ in range(2):
        assert exchange(daemon.socket, pre(user)) == b"FAIL\n"
        assert exchange(daemon.socket, login(user, "secret")) in (b"FAIL\n", b"")
        assert by_saslauthd(daemon, user) == b"\0\x02NO"
        assert by_auth(daemon, user)[0] == b"FAIL"
        assert by_userdb(daemon, b"USER\t1\t%b\n" % escaped, b"PASS\t2\t%b\n" % escaped) == [
            [b"NOTFOUND", b"1"],
            [b"NOTFOUND", b"2"],
        ]
    # Those without are there.
    assert exchange(daemon.socket, pre("ann")).startswith(b"UID=")


def test_what_is_listed_is_one_line_an_account(daemon: Authd) -> None:
    status, told, _ = run_command("authenumerate", "-o", "--sysconfdir", str(daemon.etc))
    assert status == 0
    # NUL ends no line, and universal newlines are Python's.
    rows = [line.split("\t") for line in told.splitlines() if "forge" in line]
    assert {(len(row), row[1], row[2]) for row in rows} == {(6, "1000", "1001")}
    names = {answer[2] for answer in by_userdb(daemon, b"LIST\t1\n") if answer[0] == b"LIST"}
    assert {b"ann", b"tab", b"tabs@forge.example"} <= names
    assert not any(separator.encode() in name for name in names for separator in (*SEPARATORS, "\x01"))


@pytest.mark.parametrize("words", [["authtest", "loud@example.org"], ["authenumerate"]])
def test_on_a_terminal_control_characters_are_seen(daemon: Authd, words: list[str]) -> None:
    ours, theirs = pty.openpty()
    try:
        arguments = [command(words[0]), *(["--sysconfdir", str(daemon.etc)]), *words[1:]]
        subprocess.run(arguments, stdout=theirs, timeout=60, check=True)
    finally:
        os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # The end, as Linux has it.
    os.close(ours)
    assert rb"h\x1b[2J\x0dme" in shown
    assert rb"\xc2\x9bm" in shown
    assert b"\x1b" not in shown
    # As it is where it goes to a file.
    piped = subprocess.run(arguments, capture_output=True, timeout=60, check=True).stdout
    assert b"h\x1b[2J\rme" in piped
