"""Which of a directory server's answers are a wrong password, which another refusal, and which say nothing of the user."""

from __future__ import annotations

from typing import Any

import pytest

ldap = pytest.importorskip("ldap")

from authd.modules.ldapverdict import refusal, success, unchanged  # noqa: E402 - as above
from authd.outcome import Outcome, Reason  # noqa: E402 - as above

CODES = {
    number: kind
    for kind in vars(ldap).values()
    if isinstance(kind, type)
    and issubclass(kind, ldap.LDAPError)
    and (number := getattr(kind, "errnum", None)) is not None
}
"""Exceptions of python-ldap by their result code."""

AD = "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {}, v1db1"
POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"
EXPIRED = "2.16.840.1.113730.3.4.4"


def error(kind: Any, info: str = "", *controls: tuple[str, bool, bytes]) -> Any:
    return kind({"desc": kind.__name__, "info": info, "ctrls": list(controls)})


def policy(number: int) -> tuple[str, bool, bytes]:
    """Return the response control with an error, as OpenLDAP encodes it."""
    return POLICY, False, bytes([0x30, 3, 0x81, 1, number])


REFUSALS: dict[Any, Reason] = {
    ldap.INVALID_CREDENTIALS: Reason.WRONG_PASSWORD,
    ldap.INAPPROPRIATE_AUTH: Reason.NO_PASSWORD,
    ldap.CONSTRAINT_VIOLATION: Reason.LOCKED,
}
MISCONFIGURED = {1: False, 2: True, 7: True, 8: True, 10: True, 13: True, 34: True, 50: True, 53: True}
"""Codes, and whether they are the configuration's fault."""


@pytest.mark.parametrize("kind", CODES.values(), ids=[kind.__name__ for kind in CODES.values()])
def test_only_invalid_credentials_are_a_wrong_password(kind: Any) -> None:
    answer = refusal(error(kind))
    expected = REFUSALS.get(kind)
    assert (answer.outcome is Outcome.REJECT) == (expected is not None)
    if expected is not None:
        assert answer.reason is expected
    else:
        assert answer.outcome is Outcome.TEMPFAIL
        wrong = MISCONFIGURED.get(kind.errnum)
        assert wrong is None or (answer.reason is Reason.MISCONFIGURED) == wrong
        assert answer.detail.startswith("bind: ")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("525", Reason.NO_SUCH_USER),
        ("52e", Reason.WRONG_PASSWORD),
        ("52E", Reason.WRONG_PASSWORD),
        ("52f", Reason.ACCESS_DENIED),
        ("530", Reason.ACCESS_DENIED),
        ("531", Reason.ACCESS_DENIED),
        ("532", Reason.PASSWORD_EXPIRED),
        ("533", Reason.ACCOUNT_DISABLED),
        ("534", Reason.ACCESS_DENIED),
        ("701", Reason.ACCOUNT_EXPIRED),
        ("773", Reason.MUST_CHANGE),
        ("775", Reason.LOCKED),
    ],
)
def test_active_directory_says_why(data: str, reason: Reason) -> None:
    answer = refusal(error(ldap.INVALID_CREDENTIALS, AD.format(data)))
    assert (answer.outcome, answer.reason) == (Outcome.REJECT, reason)
    # fail2ban bans for what has no detail.
    assert bool(answer.detail) == (reason is not Reason.WRONG_PASSWORD)


@pytest.mark.parametrize("data", ["51f", "0", "80090346"])
def test_what_active_directory_can_not_tell_is_no_wrong_password(data: str) -> None:
    assert refusal(error(ldap.INVALID_CREDENTIALS, AD.format(data))).outcome is Outcome.TEMPFAIL


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        (policy(0), Reason.PASSWORD_EXPIRED),
        (policy(1), Reason.LOCKED),
        (policy(2), Reason.MUST_CHANGE),
        ((EXPIRED, False, b"0"), Reason.PASSWORD_EXPIRED),
        ((POLICY, False, b"0\0"), Reason.WRONG_PASSWORD),
        ((POLICY, False, b"no BER"), Reason.WRONG_PASSWORD),
        (("1.2.3", False, b""), Reason.WRONG_PASSWORD),
    ],
)
def test_a_password_policy_says_why(control: tuple[str, bool, bytes], reason: Reason) -> None:
    answer = refusal(error(ldap.INVALID_CREDENTIALS, "", control))
    assert (answer.outcome, answer.reason) == (Outcome.REJECT, reason)


def test_an_inactivated_account_is_disabled() -> None:
    words = "Account inactivated. Contact system administrator."
    assert refusal(error(ldap.UNWILLING_TO_PERFORM, words)).reason is Reason.ACCOUNT_DISABLED
    assert refusal(error(ldap.UNWILLING_TO_PERFORM, "not now")).outcome is Outcome.TEMPFAIL


def test_a_server_that_wants_tls_says_so() -> None:
    for kind in (ldap.STRONG_AUTH_REQUIRED, ldap.CONFIDENTIALITY_REQUIRED):
        assert refusal(error(kind)).detail.endswith("; use ldaps:// in LDAP_URI, or LDAP_TLS 1")


REFUSED_CHANGES = {19, 53, 50, 49, 21, 16, 65, 2, 20, 17, 8, 13}


@pytest.mark.parametrize("kind", CODES.values(), ids=[kind.__name__ for kind in CODES.values()])
def test_a_change_that_failed_is_never_a_success(kind: Any) -> None:
    answer = unchanged(error(kind, "in the server's own words"), "modify")
    if kind.errnum in REFUSED_CHANGES:
        assert (answer.outcome, answer.reason) == (Outcome.REJECT, Reason.NOT_CHANGED)
    else:
        assert answer.outcome is Outcome.TEMPFAIL
    assert "in the server's own words" in answer.detail


def test_the_rules_of_a_new_password_are_named() -> None:
    detail = unchanged(error(ldap.CONSTRAINT_VIOLATION, "", policy(8)), "modify").detail
    assert detail == "modify: CONSTRAINT_VIOLATION (passwordInHistory)"
    detail = unchanged(error(ldap.CONSTRAINT_VIOLATION, "0000052D: AtrErr: DSID-03191083"), "modify").detail
    assert detail.endswith("(the domain's rules of length, complexity, history or age)")


def test_a_success_without_a_policy_has_no_detail() -> None:
    assert (success([]).outcome, success([]).detail) == (Outcome.OK, "")
