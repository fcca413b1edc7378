"""Meanings of a directory server's result codes, for a bind that checks a password and for a change of one.

A code that says nothing of the user is a temporary failure.  What the code alone leaves open, the response control of password
policies (draft-behera-ldap-password-policy) and the words of Active Directory tell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import ldap
from ldap.controls import DecodeControlTuples
from ldap.controls.ppolicy import PasswordPolicyControl, PasswordPolicyError
from ldap.controls.pwdpolicy import PasswordExpiredControl

from authd.outcome import Answer, Outcome, Reason, reject, tempfail

_POLICY_ERRORS = {0: Reason.PASSWORD_EXPIRED, 1: Reason.LOCKED, 2: Reason.MUST_CHANGE}
"""Of the password policy control, at a bind."""

_AD_DATA = {
    "525": Reason.NO_SUCH_USER,
    "52e": Reason.WRONG_PASSWORD,
    "52f": Reason.ACCESS_DENIED,
    "530": Reason.ACCESS_DENIED,
    "531": Reason.ACCESS_DENIED,
    "532": Reason.PASSWORD_EXPIRED,
    "533": Reason.ACCOUNT_DISABLED,
    "534": Reason.ACCESS_DENIED,
    "568": Reason.ACCESS_DENIED,
    "569": Reason.ACCESS_DENIED,
    "701": Reason.ACCOUNT_EXPIRED,
    "773": Reason.MUST_CHANGE,
    "775": Reason.LOCKED,
}
"""Windows' error numbers, in hexadecimal: what Active Directory means by ``invalidCredentials``."""

_AD_WORDS = {
    "52f": "account restriction",
    "530": "not at this hour",
    "531": "not from this workstation",
    "534": "logon type not granted",
    "568": "member of too many groups",
    "569": "logon type not granted",
}

_MISCONFIGURED = (
    ldap.STRONG_AUTH_REQUIRED,
    ldap.CONFIDENTIALITY_REQUIRED,
    ldap.AUTH_METHOD_NOT_SUPPORTED,
    ldap.STRONG_AUTH_NOT_SUPPORTED,
    ldap.INAPPROPRIATE_MATCHING,
    ldap.INSUFFICIENT_ACCESS,
    ldap.INVALID_DN_SYNTAX,
    ldap.PROTOCOL_ERROR,
    ldap.REFERRAL,
    ldap.UNWILLING_TO_PERFORM,
)
"""Result codes that a server gives to all users alike."""

_WANTS_TLS = (ldap.STRONG_AUTH_REQUIRED, ldap.CONFIDENTIALITY_REQUIRED)

_NOT_CHANGED = (
    ldap.CONSTRAINT_VIOLATION,
    ldap.UNWILLING_TO_PERFORM,
    ldap.INSUFFICIENT_ACCESS,
    ldap.INVALID_CREDENTIALS,
    ldap.INVALID_SYNTAX,
    ldap.NO_SUCH_ATTRIBUTE,
    ldap.OBJECT_CLASS_VIOLATION,
    ldap.PROTOCOL_ERROR,
    ldap.TYPE_OR_VALUE_EXISTS,
    ldap.UNDEFINED_TYPE,
    *_WANTS_TLS,
)
"""Result codes for a new password that a server does not take, or does not take from this user or in this way."""

TLS_HINT = "use ldaps:// in LDAP_URI, or LDAP_TLS 1"


def described(error: ldap.LDAPError) -> str:
    """Return what the library and the server say of an error, in one line."""
    said = _dictionary(error)
    parts = [str(said[name]) for name in ("desc", "info") if said.get(name)]
    if parts[1:] == ["(unknown error code)"]:
        # GnuTLS has no name for the outcome of a certificate's verification.
        parts[1] = "the server's certificate was not accepted"
    if parts[1:] == [os.strerror(said.get("errno", 0))]:
        # The library's guess, which is wrong where no connection came about.
        del parts[1]
    return " ".join((": ".join(parts) or type(error).__name__).split())


def success(controls: Sequence[Any]) -> Answer:
    """Return the answer to a bind that the server accepted; the detail has what its password policy adds."""
    return Answer(Outcome.OK, Reason.PASSWORD_MATCHES, detail=_warning(controls))


def refusal(error: ldap.LDAPError) -> Answer:
    """Return the answer to a bind that the server refused."""
    controls = _controls(error)
    policy = _policy_error(controls)
    said = described(error)
    if policy in _POLICY_ERRORS:
        return reject(_POLICY_ERRORS[policy], detail=said)
    if any(isinstance(control, PasswordExpiredControl) for control in controls):
        return reject(Reason.PASSWORD_EXPIRED, detail=said)
    match error:
        case ldap.INVALID_CREDENTIALS():
            return _invalid_credentials(said)
        case ldap.INAPPROPRIATE_AUTH():
            return reject(Reason.NO_PASSWORD, detail=said)
        case ldap.CONSTRAINT_VIOLATION():
            # 389 Directory Server, after too many wrong passwords.
            return reject(Reason.LOCKED, detail=said)
        case ldap.UNWILLING_TO_PERFORM() if "inactivated" in said.lower():
            # 389 Directory Server, with nsAccountLock.
            return reject(Reason.ACCOUNT_DISABLED, detail=said)
    if isinstance(error, _MISCONFIGURED):
        return tempfail(Reason.MISCONFIGURED, f"bind: {said}{_hint(error)}")
    return tempfail(Reason.QUERY_FAILED, f"bind: {said}")


def unchanged(error: ldap.LDAPError, what: str) -> Answer:
    """Return the answer to a change of a password that failed.

    :param what: the operation, for the administrator.
    """
    policy = _policy_error(_controls(error))
    said = described(error)
    named = "" if policy is None else f" ({_name_of(policy)})"
    if re.search(r"\b0000052D\b", said, re.IGNORECASE):
        named = " (the domain's rules of length, complexity, history or age)"
    detail = f"{what}: {said}{named}{_hint(error)}"
    if policy is not None or isinstance(error, _NOT_CHANGED):
        return reject(Reason.NOT_CHANGED, detail=detail)
    return tempfail(Reason.QUERY_FAILED, detail)


def _invalid_credentials(said: str) -> Answer:
    data = re.search(r"AcceptSecurityContext error, data ([0-9a-f]+)", said, re.IGNORECASE)
    if data is None:
        return reject(Reason.WRONG_PASSWORD)
    number = data[1].lower()
    reason = _AD_DATA.get(number)
    if reason is None:
        # Such as 51f, no domain controller that could tell.
        return tempfail(Reason.QUERY_FAILED, f"bind: {said}")
    if reason is Reason.WRONG_PASSWORD:
        return reject(reason)
    words = f"{_AD_WORDS[number]}: " if number in _AD_WORDS else ""
    return reject(reason, detail=f"{words}{said}")


def _hint(error: ldap.LDAPError) -> str:
    return f"; {TLS_HINT}" if isinstance(error, _WANTS_TLS) else ""


def _dictionary(error: ldap.LDAPError) -> dict[str, Any]:
    return error.args[0] if error.args and isinstance(error.args[0], dict) else {}


def _controls(error: ldap.LDAPError) -> Sequence[Any]:
    controls: Sequence[Any] = DecodeControlTuples(_dictionary(error).get("ctrls"))
    return controls


def _policy(controls: Sequence[Any]) -> PasswordPolicyControl | None:
    return next((control for control in controls if isinstance(control, PasswordPolicyControl)), None)


def _policy_error(controls: Sequence[Any]) -> int | None:
    policy = _policy(controls)
    return None if policy is None else policy.error


def _name_of(error: int) -> str:
    return next((str(name) for name, number in PasswordPolicyError.namedValues.items() if number == error), str(error))


def _warning(controls: Sequence[Any]) -> str:
    policy = _policy(controls)
    if policy is None:
        return ""
    parts = []
    if policy.error == 2:
        parts.append(Reason.MUST_CHANGE.value)
    if policy.graceAuthNsRemaining is not None:
        parts.append(f"{Reason.PASSWORD_EXPIRED.value}, {policy.graceAuthNsRemaining} more logins are granted")
    if policy.timeBeforeExpiration is not None:
        parts.append(f"password expires in {policy.timeBeforeExpiration} s")
    return ", ".join(parts)
