"""Inquiries that are run together end as each does alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd import together
from authd.account import Account
from authd.modules.base import Module, TemporaryFailure
from authd.modules.inquiry import Inquiry
from authd.outcome import Answer, Outcome
from authd.passwords import Verdict, hash_password
from authd.together import Failure, Together, settle_one
from tests.support.stub import StubModule

CHEAP, DEAR = hash_password(b"secret", "ssha"), hash_password(b"secret", "bcrypt")


def account(user: bytes, crypt: bytes = CHEAP) -> Account:
    return Account(user, 1000, 1000, b"/home", crypt=crypt)


ACCOUNTS = [account(b"a"), account(b"b"), Account(b"c", 1, 1, b"/", clear=b"secret"), Account(b"d", 1, 1, b"/")]
requests = st.tuples(st.sampled_from([b"a", b"b", b"c", b"d", b"nobody"]), st.sampled_from([None, b"secret", b"x"]))


def inquiry(module: Module, user: bytes, password: bytes | None) -> Inquiry[Answer]:
    return module.lookup(b"s", user) if password is None else module.login(b"s", user, password)


def told(answer: Answer | Failure) -> tuple[Outcome, str, Account | None]:
    assert isinstance(answer, Answer)
    return answer.outcome, answer.describe(), answer.account


@given(st.lists(requests, max_size=20))
def test_together_as_alone(asked: list[tuple[bytes, bytes | None]]) -> None:
    module = StubModule(*ACCOUNTS)
    answers = dict(Together(lambda: None).settle([inquiry(module, *request) for request in asked]))
    assert sorted(answers) == list(range(len(asked)))
    for place, request in enumerate(asked):
        assert told(answers[place]) == told(settle_one(inquiry(module, *request)))


class Counting(StubModule):
    """Notes how many are looked up at once."""

    def find_each(self, wanted: Sequence[tuple[bytes, bytes]]) -> list[Account | TemporaryFailure | None]:
        self.stored.append((b"together", b"%d" % len(wanted)))
        return super().find_each(wanted)


def test_lookups_are_one_question_and_cheap_checks_come_first() -> None:
    module = Counting(account(b"cheap"), account(b"dear", DEAR))
    waits: list[str] = []
    running = Together(lambda: waits.append("held up"))
    for user in (b"cheap", b"dear"):
        list(running.settle([module.login(b"s", user, b"secret")]))
    waits.clear()
    module.stored.clear()
    inquiries = [
        module.login(b"s", b"dear", b"secret"),
        module.login(b"s", b"cheap", b"secret"),
        module.lookup(b"s", b"dear"),
    ]
    order = []
    for place, answer in running.settle(inquiries):
        assert told(answer)[0] is Outcome.OK
        order.append((place, len(waits)))
    # The dear one is last, and before it the others of the daemon are told.
    assert order == [(2, 0), (1, 0), (0, 1)]
    assert module.stored == [(b"together", b"3")]


def test_a_defect_costs_nobody_else_anything() -> None:
    module = StubModule(*ACCOUNTS)

    def defective() -> Inquiry[Answer]:
        yield from module.lookup(b"s", b"a")
        raise ZeroDivisionError

    answers = dict(Together(lambda: None).settle([defective(), module.lookup(b"s", b"a")]))
    assert isinstance(answers[0], Failure)
    assert isinstance(answers[0].error, ZeroDivisionError)
    assert told(answers[1])[0] is Outcome.OK


def test_a_defect_in_a_check_costs_nobody_else_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    def defective(password: bytes, stored: bytes) -> Verdict:
        if password == b"x":
            raise ZeroDivisionError
        return Verdict.MATCH

    monkeypatch.setattr(together, "verify", defective)
    module = StubModule(*ACCOUNTS)
    inquiries = [module.login(b"s", b"a", password) for password in (b"secret", b"x", b"secret")]
    answers = dict(Together(lambda: None).settle(inquiries))
    assert isinstance(answers[1], Failure)
    assert told(answers[0])[0] is told(answers[2])[0] is Outcome.OK


class Defective(StubModule):
    """Has a defect that one user brings to light."""

    def find(self, service: bytes, user: bytes) -> Account | None:
        if user == b"b":
            raise ZeroDivisionError
        return super().find(service, user)


def test_a_defect_in_a_lookup_costs_nobody_else_anything() -> None:
    module = Defective(*ACCOUNTS)
    inquiries = [module.lookup(b"s", user) for user in (b"a", b"b", b"a")]
    answers = dict(Together(lambda: None).settle(inquiries))
    assert isinstance(answers[1], Failure)
    assert told(answers[0])[0] is told(answers[2])[0] is Outcome.OK
