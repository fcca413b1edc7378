"""Postfix checks passwords through Cyrus SASL at authd's socket, configured as our first users have it."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.daemon import Authd
from tests.support.mariadb import MariaDB
from tests.support.postfix import MASTER_PROGRAM, Postfix
from tests.support.site import make_mysql_site


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return opened(tmp_path_factory.mktemp("postfix"))


@pytest.fixture(scope="module")
def authd(extmail: MariaDB, base: Path) -> Iterator[Authd]:
    with make_mysql_site(base, extmail, AUTHD_LOGIN_TEMPFAIL="close") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def postfix(authd: Authd, base: Path) -> Iterator[Postfix]:
    require("postfix", MASTER_PROGRAM, "/usr/lib/x86_64-linux-gnu/sasl2/libplain.so")
    with Postfix(base / "postfix", authd.socket) as server:
        yield server


@pytest.fixture
def smtp(postfix: Postfix) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", postfix.port, "client.example.org", timeout=30) as connection:
        connection.ehlo()
        yield connection


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
def test_smtp_logins(smtp: smtplib.SMTP, mechanism: str, user: str, password: str, code: int) -> None:
    assert mechanism in smtp.esmtp_features["auth"].split()
    smtp.user, smtp.password = user, password
    method = smtp.auth_plain if mechanism == "PLAIN" else smtp.auth_login
    if code == 235:
        assert smtp.auth(mechanism, method)[0] == 235
    else:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            smtp.auth(mechanism, method)
        assert refusal.value.smtp_code == code


def test_a_failing_lookup_is_temporary(smtp: smtplib.SMTP) -> None:
    """With ``AUTHD_LOGIN_TEMPFAIL="close"``, an account whose uid is 0 is no wrong password."""
    with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
        smtp.login("nouid@example.org", "secret")
    assert refusal.value.smtp_code == 454
