"""What answering a request needs, told step by step, so that many can be answered together.

An inquiry is a generator.  It yields what it needs to know, is sent the finding, and returns its answer::

    account = yield Find(module, service, user)
    verdict = yield Check(password, account.crypt)
    return Answer(...)

Whoever runs it decides when: lookups of many inquiries go into one statement, cheap checks go before expensive ones.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from authd.modules.base import Module

T = TypeVar("T")


@dataclass(slots=True)
class Find:
    """Needs the account of a user: an `Account`, or ``None`` if there is none.

    What is thrown into the inquiry in place of it is a `TemporaryFailure`.
    """

    module: Module
    service: bytes
    user: bytes


@dataclass(slots=True)
class Check:
    """Needs the `Verdict` on a password.

    :param stored: the hash that it is checked against.
    """

    password: bytes = field(repr=False)
    stored: bytes = field(repr=False)


@dataclass(slots=True)
class Ask:
    """Needs the back end of a module itself to say something: whether a password is right, for one that tells nobody its hash.

    What is thrown into the inquiry in place of it is a `TemporaryFailure`.

    :param question: as the module's `Module.ask_each` takes it; may be a secret.
    """

    module: Module
    question: Any = field(repr=False)


Inquiry = Generator[Find | Ask | Check, Any, T]
"""Returns its answer, a ``T``."""
