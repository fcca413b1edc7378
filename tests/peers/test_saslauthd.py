"""Cyrus SASL's own testsaslauthd asks authd in saslauthd's place."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.daemon import Authd
from tests.support.howto import block, setting
from tests.support.mariadb import MariaDB
from tests.support.postfix import MASTER_PROGRAM, Postfix
from tests.support.site import make_mysql_site
from tests.support.smtp import login_code
from tests.support.sysconf import changed, edit, mysqlrc


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return opened(tmp_path_factory.mktemp("saslauthd"))


@pytest.fixture(scope="module")
def authd(extmail: MariaDB, base: Path) -> Iterator[Authd]:
    require("testsaslauthd")
    (base / "mux").mkdir()
    listen = setting("saslauthd", "AUTHD_LISTEN", saslauthd=base / "mux")
    with make_mysql_site(base, extmail, AUTHD_LISTEN=listen) as daemon:
        yield daemon


def ask(authd: Authd, user: str, password: str, *words: str) -> tuple[int, str]:
    mux = authd.run.parent / "mux" / "mux"
    command = ["testsaslauthd", "-f", str(mux), "-u", user, "-p", password, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def test_the_socket_is_open_to_all_and_its_directory_decides(authd: Authd) -> None:
    assert (authd.run.parent / "mux" / "mux").stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize(
    ("user", "password", "words", "status"),
    [
        ("user", "secret", ("-s", "imap"), 0),
        ("postmaster@extmail.org", "extmail", (), 0),
        ("postmaster", "extmail", ("-r", "extmail.org"), 0),
        ("postmaster", "extmail", ("-r", "elsewhere.org"), 255),
        ("user", "wrong", (), 255),
        ("nobody@example.org", "secret", (), 255),
        ("nouid@example.org", "secret", (), 255),
    ],
)
def test_questions(authd: Authd, user: str, password: str, words: tuple[str, ...], status: int) -> None:
    returned, said = ask(authd, user, password, *words)
    assert returned == status
    assert ("Success" in said) is (status == 0)
    if "nouid" not in user:
        assert ("authentication failed" in said) is (status != 0)


def test_options_are_enforced(authd: Authd, mariadb: MariaDB) -> None:
    rc = mysqlrc(mariadb.socket)
    edit(authd.etc / "authmysqlrc", changed(rc, MYSQL_AUXOPTIONS_FIELD="'disableimap=1,disableinsecurepop3=1'"))
    try:
        assert ask(authd, "user", "secret", "-s", "imap")[0] == 255
        assert ask(authd, "user", "secret", "-s", "pop3")[0] == 0
        assert ask(authd, "user", "secret", "-s", "smtp")[0] == 0
        assert "disabled for this service by the account's options" in authd.logged()
    finally:
        edit(authd.etc / "authmysqlrc", rc)


def test_options_are_enforced_whatever_a_service_is_called(authd: Authd, mariadb: MariaDB) -> None:
    """Cyrus pop3d says ``pop``."""
    rc = mysqlrc(mariadb.socket)
    edit(authd.etc / "authmysqlrc", changed(rc, MYSQL_AUXOPTIONS_FIELD="'disablepop3=1,disablesmtp=1,disablesieve=1'"))
    try:
        for service in ("pop", "pop3", "POP3", "pop3s", "esmtp", "smtp", "submission", "smtps", "managesieve"):
            assert ask(authd, "user", "secret", "-s", service)[0] == 255, service
        for service in ("imap", "imaps", "nntp", "http", "csync", "popper"):
            assert ask(authd, "user", "secret", "-s", service)[0] == 0, service
    finally:
        edit(authd.etc / "authmysqlrc", rc)


def test_postfix_by_saslauthd(authd: Authd, base: Path, mariadb: MariaDB) -> None:
    """What has ``pwcheck_method: saslauthd`` works; an outage is no wrong password."""
    require("postfix", MASTER_PROGRAM)
    smtpd = f"pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\nsaslauthd_path: {base}/mux/mux\n"
    main = block("postfix", "/etc/postfix/main.cf")
    with Postfix(base / "postfix", main, files={"sasl/smtpd.conf": smtpd}) as postfix:
        assert login_code(postfix.port, "PLAIN", "postmaster@extmail.org", "extmail") == 235
        assert login_code(postfix.port, "LOGIN", "postmaster@extmail.org", "wrong") == 535
        mariadb.stop()
        try:
            assert login_code(postfix.port, "PLAIN", "postmaster@extmail.org", "extmail") == 454
        finally:
            mariadb.start()
