"""A password change over several modules, one of them a program that trusts what comes before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.courier import DAEMON
from tests.support.pair import Pair
from tests.support.sysconf import write_authdaemonrc
from tests.support.userdb import HASH, compile_with_courier, write
from tests.support.wire import exchange, login, passwd, pre

PROGRAM = """#!/bin/sh
# Knows users of example.net, and changes every password that it is asked to.
while read command rest; do
    case "$command $rest" in
    PASSWD*) echo "$rest" >>{log}; echo OK;;
    PRE*@example.net) printf 'UID=1\\nGID=2\\nHOME=/u\\n.\\n';;
    AUTH*) dd bs=1 count="$rest" of=/dev/null 2>/dev/null; echo FAIL;;
    *) echo FAIL;;
    esac
done
"""
IN_BOTH, ELSEWHERE, STRANGER = "user@example.org", "user@example.net", "nosuch@example.com"


@pytest.fixture(params=["next", "stop"])
def setting(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair(setting: str, root: Path) -> Iterator[Pair]:
    require("unshare", DAEMON)
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", "authuserdb authpipe", AUTHD_PASSWD_REJECT=setting)
    program = etc / "authProg"
    program.write_text(PROGRAM.format(log=root / "changes"))
    program.chmod(0o755)
    write(etc, f"{IN_BOTH}\thome=/u|uid=1|gid=2|systempw={HASH}\n")
    compile_with_courier(root, etc)
    with Pair(root, etc, root / "authd") as both:
        yield both


def test_a_wrong_old_password_and_the_next_module(pair: Pair, setting: str, root: Path) -> None:
    """Courier asks it, and so does authd unless it is told not to."""
    changes = root / "changes"
    courier, authd = pair.ask(passwd("imap", IN_BOTH, "wrong", "stolen"))
    assert (courier, authd) == (b"OK\n", b"FAIL\n" if setting == "stop" else b"OK\n")
    assert len(changes.read_text().splitlines()) == (1 if setting == "stop" else 2)
    assert exchange(pair.authd.socket, login(IN_BOTH, "secret")).endswith(b"\n.\n")


@pytest.mark.parametrize("user", [ELSEWHERE, STRANGER])
def test_users_of_the_next_module_are_changed_there(pair: Pair, user: str) -> None:
    assert pair.ask(passwd("imap", user, "old", "new")) == (b"OK\n", b"OK\n")


def test_a_program_s_no_may_be_of_a_user_it_knows(setting: str, root: Path) -> None:
    """authpipe before authuserdb: the program is looked at again, by a lookup."""
    require("unshare", DAEMON)
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", "authpipe authuserdb", AUTHD_PASSWD_REJECT=setting)
    program = etc / "authProg"
    program.write_text(PROGRAM.format(log=root / "changes").replace("echo OK", "echo FAIL"))
    program.chmod(0o755)
    lines = [f"{user}\thome=/u|uid=1|gid=2|systempw={HASH}\n" for user in (IN_BOTH, ELSEWHERE)]
    write(etc, "".join(lines))
    compile_with_courier(root, etc)
    with Pair(root, etc, root / "authd") as pair:
        assert exchange(pair.authd.socket, pre(ELSEWHERE)).endswith(b"\n.\n")
        courier, authd = pair.ask(passwd("imap", ELSEWHERE, "secret", "secret"))
        assert (courier, authd) == (b"OK\n", b"FAIL\n" if setting == "stop" else b"OK\n")
        assert pair.ask(passwd("imap", IN_BOTH, "secret", "secret")) == (b"OK\n", b"OK\n")
