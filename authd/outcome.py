"""The three things that a question to a module can end in, and why it did.

`Outcome` decides what happens next and what goes on the wire; `Reason` is for the administrator alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from authd.account import Account


class Outcome(Enum):
    """What becomes of a request."""

    OK = "ok"
    REJECT = "reject"
    """This module does not vouch for the user; the next one is asked."""
    TEMPFAIL = "tempfail"
    """The module can't tell now; nobody else is asked and nothing is decided."""


class Reason(Enum):
    """Why; the text is what the log and ``--explain`` show."""

    FOUND = "found"
    PASSWORD_MATCHES = "password matches"
    PASSWORD_CHANGED = "password changed"
    NO_SUCH_USER = "no such user"
    WRONG_PASSWORD = "wrong password"
    NO_PASSWORD = "no password stored"
    NO_CLEARTEXT = "no cleartext password stored, which CRAM needs"
    UNUSABLE_HASH = "stored hash can't be used"
    LOCKED = "account is locked"
    ACCOUNT_DISABLED = "account is disabled"
    ACCOUNT_EXPIRED = "account has expired"
    PASSWORD_EXPIRED = "password has expired"
    MUST_CHANGE = "password must be changed"
    TOO_MANY_TRIES = "too many tries"
    ACCESS_DENIED = "access denied"
    NOT_CHANGED = "password not changed"
    NO_MODULE = "no such module in authmodulelist"
    NOT_ASKED = "no module configured"
    BAD_UID = "uid is 0 or not a number"
    BAD_GID = "gid is 0 or not a number"
    NO_HOME = "home is empty"
    INCOMPLETE_ROW = "query returned too few columns"
    INCOMPLETE_RECORD = "record lacks home, uid or gid"
    SEVERAL_ROWS = "query returned several rows"
    UNREACHABLE = "database unreachable"
    PAM_FAILED = "PAM can't tell"
    NO_RIGHT = "no right to check passwords"
    QUERY_FAILED = "query failed"
    MISCONFIGURED = "module's configuration is broken"
    DISABLED = "disabled for this service by the account's options"
    REFUSED = "request refused"
    FLUSHED = "cache flushed"


@dataclass(slots=True)
class Answer:
    """What one module said to one question.

    :param outcome: see `Outcome`.
    :param reason: see `Reason`.
    :param account: the account, where it was found; also with a wrong password, so that the log can name it.
    :param detail: more for the administrator, such as the database server's own message; never a secret.
    :param max_age: seconds after which the clock alone may change it, such as by an account's last day.
    """

    outcome: Outcome
    reason: Reason
    account: Account | None = None
    detail: str = ""
    max_age: float = math.inf

    @property
    def disabled(self) -> bool:
        """Whether the password was right, and the account's options keep it out all the same."""
        return self.reason is Reason.DISABLED

    def describe(self) -> str:
        """Return reason and detail as one phrase."""
        return phrase(self.reason, self.detail)


def phrase(reason: Reason, detail: str) -> str:
    """Return `reason`, and `detail` where there is one, as the administrator reads them."""
    return f"{reason.value}: {detail}" if detail else reason.value


def reject(reason: Reason, account: Account | None = None, detail: str = "") -> Answer:
    """Return a rejecting answer."""
    return Answer(Outcome.REJECT, reason, account, detail)


def tempfail(reason: Reason, detail: str = "") -> Answer:
    """Return the answer of a module that can't tell now."""
    return Answer(Outcome.TEMPFAIL, reason, None, detail)
