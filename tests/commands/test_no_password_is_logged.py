"""The search for passwords in every log that a test makes finds one where there is one."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from authd.server import log
from tests.support import passwords
from tests.support.daemon import Authd
from tests.support.site import GOOD, USER, make_site
from tests.support.wire import exchange, login, passwd


@pytest.fixture
def talkative(root: Path) -> Authd:
    """A daemon that logs passwords."""
    return make_site(root, DEBUG_LOGIN="2")


NEVER = re.compile(r"(?!)")


@pytest.mark.parametrize(
    "request_", [GOOD, login(USER, "not the right one"), passwd("imap", USER, "secret", "a new one")]
)
def test_a_password_in_a_daemons_log_fails_the_test(
    talkative: Authd, monkeypatch: pytest.MonkeyPatch, request_: bytes
) -> None:
    monkeypatch.setattr(passwords, "DEBUG_WITH_PASSWORDS", NEVER)
    talkative.start()
    exchange(talkative.socket, request_)
    with pytest.raises(AssertionError, match="a password is in"):
        talkative.stop()


def test_where_passwords_are_asked_for_it_does_not(talkative: Authd) -> None:
    talkative.start()
    exchange(talkative.socket, GOOD)
    assert "secret" in talkative.logged()
    talkative.stop()


def test_one_that_is_escaped_is_found(site: Authd) -> None:
    site.start()
    exchange(site.socket, login(USER, "grün und groß"))
    with site.log.open("a") as file:
        file.write('ERR: query failed: near "' + log.printable("grün und groß") + '"\n')
    with pytest.raises(AssertionError, match="a password is in"):
        site.stop()


@pytest.mark.logs_passwords
def test_the_tests_own_log_is_searched(capfd: pytest.CaptureFixture[str]) -> None:
    log.log_to_stderr(debug=False)
    log.LOGGER.log(logging.ERROR, "query failed: %s", "secret")
    assert passwords.found_in(capfd.readouterr().err)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('login: result=reject user="secret" reason="wrong password"', False),
        ("/var/mailbox/secret/new: no such directory", False),
        ("user@secret.example", False),
        ("password=secret", True),
        ("Access denied (using 'secret')", True),
        ("secret", True),
        ('login: user="secret" detail="secret"', True),
    ],
)
def test_what_counts(line: str, found: bool) -> None:
    assert bool(passwords.found_in(line, ["secret"])) is found
