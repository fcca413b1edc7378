"""The log: nothing that a client sends forges a line, and no password is in one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.protocol.conversation import unknown_command
from authd.server.listener import answers, occupied
from authd.server.log import printable, quoted
from tests.support.daemon import Authd, run_command
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import auth, exchange, login, passwd, pre


@given(st.binary(max_size=60))
def test_quoted_values_are_one_printable_field(value: bytes) -> None:
    text = quoted(value)
    assert text.isascii()
    assert text.isprintable()
    inside = text[1:-1].replace("\\\\", "").replace('\\"', "")
    assert text[0] == text[-1] == '"'
    assert '"' not in inside


@given(st.text(max_size=60))
def test_printable(value: str) -> None:
    text = printable(value)
    assert text.isascii()
    assert text.isprintable() or not text


@pytest.mark.parametrize("level", ["0", "1", "2"])
def test_passwords_are_logged_at_level_2_alone(site: Authd, level: str) -> None:
    write_authdaemonrc(site.etc, site.run, "authsqlite", DEBUG_LOGIN=level)
    site.start()
    user = "user@example.org"
    for request in (
        login(user, "hunter2"),
        login(user, "secret"),
        login("nobody", "hunter2"),
        passwd("imap", user, "hunter2", "hunter3"),
        passwd("imap", user, "secret", "hunter4"),
        passwd("imap", user, "hunter4", "secret"),
        pre(user),
        auth(b"imap\nlogin\nuser\nhunter2\nmore\n"),
        b"FOO hunter2\n",
        b"hunter2=x\nFOO\n",
    ):
        exchange(site.socket, request, shut=True)
    for secret in ("hunter2", "hunter3", "hunter4", "{SSHA}"):
        assert (secret in site.logged()) is (level == "2"), secret
    assert ('"secret"' in site.logged()) is (level == "2")
    assert ("received auth request" in site.logged()) is (level != "0")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"GET / HTTP/1.1\r", "unknown command GET"),
        (b"FOO hunter2", "unknown command FOO"),
        (b"QUIT", "unknown command QUIT"),
        (b"VERSION\t1\t2", "unknown command VERSION"),
        (b"EVIL\x1b[2J", "unknown command EVIL"),
        (b"pre . imap user", "unknown command pre"),
        (b"X" * 5000, "unknown command XXXXXXXXXXXXXXXX..."),
        (b"", "unknown command of 0 bytes"),
        (b"hunter2", "unknown command of 7 bytes"),
        (b"HUNTER2", "unknown command of 7 bytes"),
        (b"Hunter two", "unknown command of 10 bytes"),
        (b"hunter", "unknown command of 6 bytes"),
        (b"\xff\xfe", "unknown command of 2 bytes"),
    ],
)
def test_an_unknown_command_is_named_unless_it_may_be_a_password(line: bytes, told: str) -> None:
    assert unknown_command(line) == told


@given(st.binary(max_size=200))
def test_what_is_named_is_short_and_printable(line: bytes) -> None:
    told = unknown_command(line)
    assert re.fullmatch(r"unknown command( [A-Za-z]{2,16}(\.\.\.)?| of \d+ bytes)", told)


def test_requests_that_are_none(site: Authd) -> None:
    write_authdaemonrc(site.etc, site.run, "authsqlite", AUTHD_LISTEN="saslauthd:mux dovecot-auth:auth")
    site.start()
    for request in (
        b"FROB hunter2\n",
        auth(b"imap\nlogin\nann@example.org\nhunter2\nmore\n"),
        b"PASSWD imap\tbob@example.org\thunter2\thun\x01ter\n",
        b"PRE . imap eve\0x\n",
        b"PRE . imap ev",
    ):
        exchange(site.socket, request, shut=True)
    exchange(site.run / "mux", b"\0\3ted\0\0\0\4imap\0\0", shut=True)
    exchange(
        site.run / "auth",
        b"VERSION\t1\t0\nCPID\t1\nAUTH\t1\tPLAIN\tservice=smtp\tresp=AGFteQBodW4AdGVyMg==\n",
        shut=True,
    )
    logged = [line for line in site.logged().splitlines() if ": request: " in line]
    assert logged == [
        'INFO: request: result=dropped reason="unknown command FROB"',
        'NOTICE: request: result=reject service="imap" user="ann@example.org" reason="newline in user name or password"',
        'NOTICE: request: result=reject service="imap" user="bob@example.org" reason="control byte in PASSWD"',
        'NOTICE: request: result=reject service="imap" user="eve" reason="NUL in the line"',
        'INFO: request: result=dropped reason="connection closed by the client"',
        'NOTICE: request: result=reject service="imap" user="ted" reason="empty user name or password"',
        'NOTICE: request: result=reject service="smtp" user="amy" reason="PLAIN without two NULs"',
    ]
    assert "hunter" not in site.logged()


def test_a_probe_leaves_no_line(site: Authd) -> None:
    site.start()
    before = site.logged()
    assert answers(site.socket)
    assert occupied(site.socket)
    assert run_command("authdaemond", "status", "--sysconfdir", str(site.etc))[0] == 0
    exchange(site.socket, pre("last@example.org"))
    (line,) = site.logged().removeprefix(before).splitlines()
    assert 'user="last@example.org"' in line


def test_no_line_can_be_forged(site: Authd) -> None:
    write_authdaemonrc(site.etc, site.run, "authsqlite", DEBUG_LOGIN="2")
    site.start()
    forged = b'x" reason="password matches"\rINFO: login: result=ok %s%n{}\x1b[2J'
    for request in (
        pre(forged),
        login(forged, forged),
        b"TCPREMOTEIP=" + forged + b"\nPRE . imap x\n",
        pre("x", forged.decode().replace(" ", "")),
    ):
        exchange(site.socket, request)
    logged = site.log.read_bytes()
    assert b"\r" not in logged
    assert b"\x1b" not in logged
    assert not any(line.startswith(b"INFO: login: result=ok") for line in logged.split(b"\n"))
    told = [line for line in logged.split(b"\n") if b" reason=" in line and not line.startswith(b"DEBUG")]
    assert told
    # The reason that counts is the one whose quotes are not escaped.
    assert not any(re.search(rb'[^\\]" reason="password matches"', line) for line in told)
