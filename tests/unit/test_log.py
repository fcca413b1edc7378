"""The log: nothing that a client sends forges a line, and no password is in one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.server.log import printable, quoted
from tests.support.daemon import Authd
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
