"""Postfix checks passwords at authd, through Cyrus SASL and without it, chrooted or not, as the how-tos say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.daemon import Authd
from tests.support.howto import block, setting
from tests.support.mariadb import MariaDB
from tests.support.postfix import MASTER_PROGRAM, Postfix
from tests.support.site import make_mysql_site
from tests.support.smtp import connect, login_code, try_login

PLUGIN = "/usr/lib/x86_64-linux-gnu/sasl2/libplain.so"
MAIN = "/etc/postfix/main.cf"


@dataclass
class Mail:
    """authd and a Postfix that asks it."""

    authd: Authd
    postfix: Postfix


def through_cyrus(base: Path, server: MariaDB) -> Mail:
    site = make_mysql_site(base, server, AUTHD_LOGIN_TEMPFAIL="close")
    smtpd = block("postfix", "/etc/postfix/sasl/smtpd.conf", run=site.run)
    return Mail(site, Postfix(base / "postfix", block("postfix", MAIN), files={"sasl/smtpd.conf": smtpd}))


def through_cyrus_in_a_chroot(base: Path, server: MariaDB) -> Mail:
    """The second socket is inside; all that smtpd can reach is the queue directory."""
    smtpd = block("postfix", "/etc/postfix/sasl/smtpd.conf").replace(
        "authdaemond_path: /run/courier/authdaemon/socket", "authdaemond_path: /private/authdaemond"
    )
    postfix = Postfix(base / "postfix", block("postfix", MAIN), files={"sasl/smtpd.conf": smtpd}, chroot=True)
    postfix.lay_out()
    listen = setting("postfix", "AUTHD_LISTEN", queue=postfix.queue)
    return Mail(make_mysql_site(base, server, AUTHD_LOGIN_TEMPFAIL="close", AUTHD_LISTEN=listen), postfix)


def without_cyrus(base: Path, server: MariaDB) -> Mail:
    postfix = Postfix(base / "postfix", block("postfix-dovecot", MAIN), chroot=True)
    postfix.lay_out()
    listen = setting("postfix-dovecot", "AUTHD_LISTEN", queue=postfix.queue)
    return Mail(make_mysql_site(base, server, AUTHD_LISTEN=listen), postfix)


@pytest.fixture(scope="module", params=[through_cyrus, through_cyrus_in_a_chroot, without_cyrus])
def mail(request: pytest.FixtureRequest, extmail: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mail]:
    require("postfix", MASTER_PROGRAM, PLUGIN)
    both: Mail = request.param(opened(tmp_path_factory.mktemp("postfix")), extmail)
    with both.authd, both.postfix:
        yield both


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(
    ("user", "password", "code"),
    [
        ("postmaster@extmail.org", "extmail", 235),
        ("postmaster@extmail.org", "wrong", 535),
        ("nobody@example.org", "extmail", 535),
        ("user", "secret", 235),
        ("sha512crypt@hash.example", "secret", 235),
        ("yescrypt@hash.example", "secret", 235),
        ("locked@hash.example", "!", 535),
    ],
)
def test_logins(mail: Mail, mechanism: str, user: str, password: str, code: int) -> None:
    assert login_code(mail.postfix.port, mechanism, user, password) == code


def test_a_session_goes_on_after_failures(mail: Mail) -> None:
    with connect(mail.postfix.port) as session:
        for _ in range(3):
            assert try_login(session, "PLAIN", "user", "wrong") == 535
        assert try_login(session, "LOGIN", "user", "secret") == 235
        assert session.mail("user@example.org")[0] == 250
        assert session.rcpt("somebody@elsewhere.example")[0] == 250


def test_a_failing_lookup_is_temporary(mail: Mail) -> None:
    """An account whose uid is 0 is no wrong password; and the next login is not the worse for it."""
    with connect(mail.postfix.port) as session:
        assert try_login(session, "PLAIN", "nouid@example.org", "secret") == 454
        assert try_login(session, "PLAIN", "user", "secret") == 235


def test_a_database_that_is_down_is_temporary(mail: Mail, mariadb: MariaDB) -> None:
    assert login_code(mail.postfix.port, "PLAIN", "user", "secret") == 235
    mariadb.stop()
    try:
        assert login_code(mail.postfix.port, "LOGIN", "user", "secret") == 454
        assert login_code(mail.postfix.port, "PLAIN", "user", "wrong") == 454
    finally:
        mariadb.start()
    assert login_code(mail.postfix.port, "PLAIN", "user", "secret") == 235


def test_a_reload_in_the_middle_of_a_session(mail: Mail) -> None:
    """The worker that has Postfix's connection retires; Postfix asks another one."""
    with connect(mail.postfix.port) as session:
        assert try_login(session, "PLAIN", "user", "wrong") == 535
        mail.authd.reload()
        assert try_login(session, "PLAIN", "user", "secret") == 235


def test_without_cyrus_the_address_is_told_and_cram_is_offered(mail: Mail) -> None:
    if "dovecot" not in mail.postfix.main:
        assert 'ip="' not in mail.authd.logged()
        return
    assert login_code(mail.postfix.port, "CRAM-MD5", "user", "secret") == 235
    assert login_code(mail.postfix.port, "CRAM-MD5", "user", "wrong") == 535
    assert 'cram-md5: result=ok module=authmysql service="smtp" user="user" ip="127.0.0.1"' in mail.authd.logged()
