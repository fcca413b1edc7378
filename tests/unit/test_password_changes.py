"""Where a password change ends, over several modules."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from authd.account import Account
from authd.chain import Chain
from authd.modules.base import TemporaryFailure
from authd.modules.inquiry import Inquiry
from authd.outcome import Answer, Outcome, Reason, reject
from authd.passwords import hash_password
from authd.protocol.request import ChangePassword
from authd.together import settle_one
from tests.support.stub import StubModule

REQUEST = ChangePassword(b"imap", b"ann", b"right", b"new")


class Trusting(StubModule):
    """Changes a password whatever the old one was, as a program may that trusts what is before it."""

    def change_password(self, service: bytes, user: bytes, old: bytes, new: bytes) -> Inquiry[Answer]:
        yield from ()
        self.stored.append((new, b""))
        return Answer(Outcome.OK, Reason.PASSWORD_CHANGED)


class Terse(StubModule):
    """Says no more than no, as authpipe's programs do."""

    def change_password(self, service: bytes, user: bytes, old: bytes, new: bytes) -> Inquiry[Answer]:
        yield from ()
        return reject(Reason.REFUSED)


class HalfDown(Terse):
    """Rejects a change, and can't tell whether it knows the user."""

    def find(self, service: bytes, user: bytes) -> Account | None:
        raise TemporaryFailure(Reason.UNREACHABLE, "down")


def account(password: str = "right") -> Account:
    return Account(b"ann", 1, 1, b"/h", crypt=hash_password(password.encode(), "ssha"))


FIRST: dict[str, tuple[Callable[[], StubModule], bool]] = {
    # what is first, and whether a change ends there with "stop"
    "knows the user, wrong old password": (lambda: StubModule(account("another")), True),
    "has no password of the user": (lambda: StubModule(Account(b"ann", 1, 1, b"/h")), True),
    "does not know the user": (StubModule, False),
    "can't tell": (lambda: StubModule(down=True), True),
    "says no, and knows the user": (lambda: Terse(account()), True),
    "says no, and does not know the user": (Terse, False),
    "says no, and can't tell of the user": (HalfDown, True),
}


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("first", FIRST)
def test_where_a_change_ends(first: str, stop: bool) -> None:
    make, ends = FIRST[first]
    last = Trusting(name="last")
    decision = settle_one(Chain([make(), last], None, None, stops_changes=stop).ask(REQUEST))
    stops = ends and stop
    assert (last.stored == []) == stops
    assert (decision.outcome is Outcome.OK) == (not stops)
    assert len(decision.steps) == (1 if stops else 2)


@pytest.mark.parametrize("stop", [False, True])
def test_the_module_that_has_the_user_changes_it(stop: bool) -> None:
    modules = [StubModule(name="a"), Terse(name="b"), StubModule(account(), name="c"), Trusting(name="d")]
    decision = settle_one(Chain(modules, None, None, stops_changes=stop).ask(REQUEST))
    assert [step.module for step in decision.steps] == ["a", "b", "c"]
    assert decision.outcome is Outcome.OK
    assert modules[2].stored


def test_the_trace_says_where_it_ended() -> None:
    lines: list[str] = []
    chain = Chain([StubModule(account("another")), Trusting()], None, lines.append, stops_changes=True)
    settle_one(chain.ask(REQUEST))
    assert lines[-1] == "authstub: REJECT - no more modules will be tried (wrong password)"
