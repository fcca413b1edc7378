"""Courier's own commands, authtest and authenumerate, at authd's socket, and authd's own beside them."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.courier import DAEMON, Courier, in_namespace
from tests.support.daemon import Authd, command
from tests.support.mariadb import MariaDB
from tests.support.sysconf import changed, edit, mysqlrc, write_authdaemonrc
from tests.support.wire import exchange, passwd

Result = tuple[int, bytes, bytes]


class Site:
    """Courier's daemon and authd, each in a directory that Courier's clients can be pointed to."""

    def __init__(self, base: Path) -> None:
        self.etc = base / "etc"
        self.courier = Courier(base, self.etc)
        self.authd_run = base / "authd-run"
        (self.authd_run / "authdaemon").mkdir(parents=True)
        self.authd = Authd(self.etc, self.authd_run / "authdaemon")

    def clients_run(self, run: Path, *words: str) -> Result:
        """Run one of Courier's own commands on the daemon in `run`."""
        done = subprocess.run(in_namespace(self.etc, run, list(words)), capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def ours(self, name: str, *words: str) -> Result:
        """Run one of authd's commands on authd."""
        done = subprocess.run(
            [command(name), "--socket", str(self.authd.socket), *words], capture_output=True, timeout=60, check=False
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def site(extmail: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require("unshare", DAEMON, "/usr/sbin/authtest", "/usr/sbin/authenumerate")
    base = opened(tmp_path_factory.mktemp("site"))
    site = Site(base)
    write_authdaemonrc(site.etc, site.authd.run, DEFAULTOPTIONS="wbnodsn=1")
    (site.etc / "authmysqlrc").write_text(mysqlrc(extmail.socket))
    with site.courier, site.authd:
        yield site


AUTHTESTS = (
    (),
    ("postmaster@extmail.org",),
    ("postmaster@extmail.org", "extmail"),
    ("postmaster@extmail.org", "wrong"),
    ("-s", "imap", "postmaster@extmail.org", "extmail"),
    ("-simap", "postmaster@extmail.org"),
    ("-s", "courier", "user"),
    ("nobody@example.org",),
    ("nobody@example.org", "x"),
    ("nouid@example.org",),
    ("nouid@example.org", "secret"),
    ("nulls@example.org",),
    ("empties@example.org", "secret"),
    ("newline@example.org",),
    ("eightbit@example.org",),
    ("options@example.org", "secret"),
    ("commas@example.org",),
    ("negative@example.org",),
    ("huge@example.org",),
    ("long@example.org",),
    ("-x", "user"),
    ("-s",),
    ("-s", "imap"),
    ("",),
    ("user", ""),
    ("umläut@example.org", "secret"),
    ("user", "wrong", "new"),
    ("user", "secret", "n\tew"),
    ("user", "sec\nret"),
)


@pytest.mark.parametrize("words", AUTHTESTS, ids=map(repr, AUTHTESTS))
def test_authtest_is_the_same(site: Site, words: tuple[str, ...]) -> None:
    judge = site.clients_run(site.courier.run, "authtest", *words)
    assert site.clients_run(site.authd_run, "authtest", *words) == judge
    *same, complaint = site.ours("authtest", *words)
    assert (*same, re.sub(NO_ANSWER, rb"\1", complaint)) == judge


NO_ANSWER = rb"(Authentication FAILED: Input/output error\n)authtest: the daemon closed without an answer, [^\n]*\n$"
"""Courier's words for a temporary failure, and the line of our own that follows them."""

AUTHENUMERATES: tuple[tuple[str, ...], ...] = (
    (),
    ("-s",),
    ("-o",),
    ("-s", "-o"),
    ("-so",),
    ("-x",),
    ("word",),
    ("--",),
    ("-h",),
)


@pytest.mark.parametrize("words", AUTHENUMERATES, ids=map(repr, AUTHENUMERATES))
def test_authenumerate_is_the_same(site: Site, words: tuple[str, ...]) -> None:
    judge = site.clients_run(site.courier.run, "authenumerate", *words)
    assert site.clients_run(site.authd_run, "authenumerate", *words) == judge
    assert site.ours("authenumerate", *words) == judge


def test_authtest_without_an_address_is_the_same(site: Site, mariadb: MariaDB) -> None:
    rc = mysqlrc(mariadb.socket)
    edit(site.etc / "authmysqlrc", changed(rc, MYSQL_SELECT_CLAUSE="SELECT NULL,'','x',1,1,'/h'"))
    try:
        judge = site.clients_run(site.courier.run, "authtest", "user")
        assert site.clients_run(site.authd_run, "authtest", "user") == judge
        assert site.ours("authtest", "user") == judge
    finally:
        edit(site.etc / "authmysqlrc", rc)


def test_an_enumeration_that_is_cut_off_is_the_same(site: Site, mariadb: MariaDB) -> None:
    rc = mysqlrc(mariadb.socket)
    edit(site.etc / "authmysqlrc", changed(rc, MYSQL_ENUMERATE_CLAUSE="SELECT nosuch FROM mailbox"))
    try:
        judge = site.clients_run(site.courier.run, "authenumerate")
        assert judge == (1, b"", b"")
        assert site.clients_run(site.authd_run, "authenumerate") == judge
        *same, complaint = site.ours("authenumerate")
        assert (*same, b"") == judge
        assert complaint.startswith(b"authenumerate: the list was cut off: ")
    finally:
        edit(site.etc / "authmysqlrc", rc)


def test_authtest_changes_passwords(site: Site) -> None:
    for change in (("user", "secret", "new one"), ("user", "new one", "secret")):
        assert site.clients_run(site.authd_run, "authtest", *change) == (0, b"", b"Password change succeeded.\n")
    for change in (("user", "secret", "new one"), ("user", "new one", "secret")):
        assert site.ours("authtest", *change) == (0, b"", b"Password change succeeded.\n")


def test_nobody_there_is_the_same(site: Site, tmp_path: Path) -> None:
    """A socket that nobody listens on; a line of our own follows Courier's."""
    (tmp_path / "authdaemon").mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "authdaemon" / "socket"))
    for name, words in (
        ("authtest", ["user"]),
        ("authtest", ["user", "x"]),
        ("authtest", ["user", "x", "y"]),
        ("authenumerate", []),
    ):
        judge = site.clients_run(tmp_path, name, *words)
        done = subprocess.run(
            [command(name), "--socket", str(tmp_path / "authdaemon" / "socket"), *words],
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == judge[:2]
        same, _, hint = done.stderr.partition(f"{name}: {tmp_path}/authdaemon/socket: ".encode())
        assert same == judge[2]
        assert (
            hint
            == b"Connection refused; no daemon listens there; start it: authdaemond start, or systemctl start authd\n"
        )


def test_a_word_too_many(site: Site) -> None:
    """Courier takes the third word for the new password, and ignores what follows a blank in it; authd refuses."""
    words = ("user", "wrong", "b", "c")
    assert site.clients_run(site.courier.run, "authtest", *words) == site.clients_run(
        site.courier.run, "authtest", *words[:3]
    )
    usage = site.clients_run(site.courier.run, "authtest")
    assert site.ours("authtest", *words) == usage


def test_an_empty_new_password(site: Site) -> None:
    """Courier's daemon takes one, and so does authd's; authd's command sends none."""
    for run in (site.courier.run, site.authd_run):
        assert site.clients_run(run, "authtest", "user", "secret", "")[::2] == (0, b"Password change succeeded.\n")
        assert site.clients_run(run, "authtest", "user", "")[0] == 1
        assert exchange(run / "authdaemon" / "socket", passwd("imap", "user", "", "secret")) == b"OK\n"
    refused = b"authtest: the new password is empty, and no client could send it; nothing was changed\n"
    assert site.ours("authtest", "user", "secret", "") == (1, b"", refused)
    assert site.ours("authtest", "user", "secret")[0] == 0
