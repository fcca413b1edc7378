"""``AUTHD_LISTEN`` and ``AUTHD_USER`` in authdaemonrc, and what the options of accounts keep them out of."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.account import disables
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.config.listening import DEFAULT_MODES, ListenerSettings, listeners
from authd.config.problem import ConfigError
from authd.server.privileges import PrivilegeError, become
from authd.server.speaker import PROTOCOLS

FILE = Path("/etc/authdaemonrc")


def parse(value: str) -> DaemonSettings:
    content = f'authmodulelist="authmysql"\ndaemons=5\nauthdaemonvar=/run/a\nAUTHD_LISTEN="{value}"\n'
    return authdaemonrc.parse(content, FILE)


def test_every_protocol_can_be_spoken() -> None:
    assert PROTOCOLS.keys() == DEFAULT_MODES.keys()


def test_without_it_there_is_courier_s_socket() -> None:
    assert parse("").listeners == (ListenerSettings("authdaemond", Path("/run/a/socket"), 0o777),)


def test_listeners() -> None:
    settings = parse(
        " dovecot-auth:/var/spool/postfix/private/auth,mode=0600,owner=postfix,group=mail  "
        "authdaemond:socket,passwords=no saslauthd:mux\tdovecot-userdb:userdb,mode=666 "
    )
    assert settings.listeners == (
        ListenerSettings("authdaemond", Path("/run/a/socket"), 0o777, passwords=False),
        ListenerSettings("dovecot-auth", Path("/var/spool/postfix/private/auth"), 0o600, "postfix", "mail"),
        ListenerSettings("saslauthd", Path("/run/a/mux"), 0o777),
        ListenerSettings("dovecot-userdb", Path("/run/a/userdb"), 0o666),
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("/run/x", "expected protocol:path with one of the protocols authdaemond, control, dovecot-auth"),
        ("smtp:/run/x", "expected protocol:path"),
        ("saslauthd:", "expected protocol:path"),
        ("saslauthd:x,mode=8", "expected mode=0660"),
        ("saslauthd:x,mode=1777", "expected mode=0660"),
        ("saslauthd:x,owner=", "expected the name of a user or group"),
        ("saslauthd:x,passwords=maybe", "expected passwords=yes or passwords=no"),
        ("saslauthd:x,color=red", "expected mode, owner, group, passwords behind the path of saslauthd"),
        ("saslauthd:x dovecot-auth:x", "expected each path once, and /run/a/x is there twice"),
        ("saslauthd:x dovecot-auth:/run/a/x", "expected each path once"),
        ("saslauthd:x dovecot-auth:../a/x", "expected each path once"),
        ("saslauthd:../a/socket", "expected authdaemond at /run/a/socket, which is Courier's socket"),
        ("saslauthd:../a/pid", "expected another path than /run/a/pid"),
        ("saslauthd:../a/control", "expected control at /run/a/control"),
        ("saslauthd:/", "expected the path of a socket for saslauthd, and / is a directory's"),
        ("saslauthd:mux/", "expected the path of a socket for saslauthd"),
        ("saslauthd:socket", "expected authdaemond at /run/a/socket, which is Courier's socket"),
        ("saslauthd:pid", "expected another path than /run/a/pid, which is the pid file's"),
        ("saslauthd:control", "expected control at /run/a/control, which is the control socket's path"),
        (" ".join(f"saslauthd:{n}" for n in range(33)), "expected at most 32 listeners"),
    ],
)
def test_listeners_that_can_not_be(value: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"authdaemonrc.*AUTHD_LISTEN: {problem}"):
        parse(value)


def test_couriers_socket_in_other_words_is_couriers_socket() -> None:
    [only] = parse("authdaemond:../a/socket,mode=0660").listeners
    assert (only.path, only.mode) == (Path("/run/a/socket"), 0o660)


@given(st.text(alphabet=" :,=/abcdemnorsu-hltid067", max_size=60))
def test_any_value_is_listeners_or_a_clear_error(value: str) -> None:
    try:
        found = listeners(value)
    except ValueError as error:
        assert "expected " in str(error)
    else:
        assert len(found) == len(value.split())


@pytest.mark.parametrize(
    ("options", "service", "secured", "out"),
    [
        (b"disableimap=1", b"imap", True, True),
        (b"disableimap=1", b"imap", False, True),
        (b"disableimap=1", b"pop3", False, False),
        (b"disableimap=0", b"imap", False, False),
        (b"disableimap=", b"imap", False, False),
        (b"disableimap", b"imap", False, False),
        (b"a=b,disablepop3=1,c=d", b"pop3", True, True),
        (b"disableinsecureimap=1", b"imap", False, True),
        (b"disableinsecureimap=1", b"imap", True, False),
        (None, b"imap", False, False),
        (b"", b"", False, False),
    ],
)
def test_disabled_services(options: bytes | None, service: bytes, secured: bool, out: bool) -> None:
    assert disables(options, service, secured) is out


def test_becoming_nobody_else() -> None:
    before = (os.getresuid(), os.getresgid(), os.getgroups())
    become("")
    become(pwd.getpwuid(os.geteuid()).pw_name)
    with pytest.raises(PrivilegeError, match="AUTHD_USER: there is no user nobody-at-all; create it, or name another"):
        become("nobody-at-all")
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("dovecot-aut:x", "did you mean dovecot-auth?"),
        ("Authdaemond:x", "did you mean authdaemond?"),
        ("saslauthd:x,owener=root", "did you mean owner?"),
    ],
)
def test_the_nearest_name_is_told(value: str, meant: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        authdaemonrc.parse(f'authmodulelist="authmysql"\nAUTHD_LISTEN="{value}"\n', FILE)
    assert meant in str(refusal.value)
