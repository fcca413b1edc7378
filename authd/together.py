"""Runs inquiries together: what they look up goes into few statements, and who needs little waits for nobody who needs much."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, TypeVar

from authd.account import Account
from authd.modules.base import Module
from authd.modules.inquiry import Ask, Check, Find, Inquiry
from authd.passwords import Verdict, form_of, verify

T = TypeVar("T")
N = TypeVar("N", Find, Ask)

SLOW_CHECK_SECONDS = 0.02
"""Checks that take longer than this in all hold up whoever waits behind them."""

SLOW_FIND_SECONDS = 0.003
"""A back end that takes longer than this to answer holds up whoever waits behind it."""

TOGETHER_SECONDS = 0.004
"""Checks that take no longer than this in all are made one after the other, and those who wanted them go on together."""

UNKNOWN_CHECK_SECONDS = 0.1
"""What a check against a hash of a form not met yet is taken to cost."""

WEIGHT = 0.125
"""Of the newest of the costs in their average."""

RISE = 0.01
"""Of the newest measurement where it is more than what was learned."""

MOST_FORMS = 256
"""Forms of hashes whose cost is remembered."""


@dataclass(slots=True)
class Failure:
    """An inquiry that ended in a defect.

    :param error: what was raised.
    """

    error: Exception


class Together:
    """Runs inquiries, and learns what they cost.

    :param held_up: called before something that takes long.
    :param pause: called before anything that takes time, so that it need not keep who has an answer waiting.
    """

    def __init__(self, held_up: Callable[[], None], pause: Callable[[], None] = lambda: None) -> None:
        self._held_up = held_up
        self._pause = pause
        self._cost_of_form: dict[bytes, float] = {}
        self._wait_of_module: dict[Module, float | None] = {}
        self.check_seconds = UNKNOWN_CHECK_SECONDS
        """What a check costs on average, in seconds."""

    def settle(  # noqa: PLR0912 - one branch for each kind of need
        self, inquiries: Sequence[Inquiry[T]]
    ) -> Iterator[tuple[int, T | Failure]]:
        """Yield every inquiry's place and answer, each as soon as it has one."""
        finds: list[tuple[int, Find]] = []
        asks: list[tuple[int, Ask]] = []
        checks: list[tuple[float, int, Check, bytes]] = []
        findings: Iterable[tuple[int, Any]] = ((place, None) for place in range(len(inquiries)))
        while True:
            for place, finding in findings:
                inquiry = inquiries[place]
                try:
                    need = inquiry.throw(finding) if isinstance(finding, Exception) else inquiry.send(finding)
                except StopIteration as end:
                    yield place, end.value
                except Exception as error:
                    yield place, Failure(error)
                else:
                    match need:
                        case Find():
                            finds.append((place, need))
                        case Ask():
                            asks.append((place, need))
                        case Check():
                            form = form_of(need.stored)
                            heappush(checks, (self._cost_of_form.get(form, UNKNOWN_CHECK_SECONDS), place, need, form))
            if finds:
                findings = self._find(finds)
                finds = []
            elif asks:
                # Another's check of a password is as slow as that other likes it.
                self._held_up()
                findings = self._ask(asks)
                asks = []
            elif checks:
                if checks[0][0] * len(checks) > SLOW_CHECK_SECONDS:
                    self._held_up()
                findings = self._check(checks)
            else:
                return

    def _find(self, wanted: Sequence[tuple[int, Find]]) -> Iterator[tuple[int, Account | Exception | None]]:
        """Yield the findings, asking each module once about all that it is wanted for."""
        for module, finds in _by_module(wanted):
            # The first question, which connects, is no measure of the others.
            first, wait = module not in self._wait_of_module, self._wait_of_module.get(module)
            if wait is not None and wait > SLOW_FIND_SECONDS:
                self._held_up()
            self._pause()
            began = time.monotonic()
            findings = _found([find for _, find in finds])
            self._wait_of_module[module] = None if first else _learned(wait, time.monotonic() - began)
            for (place, _), finding in zip(finds, findings, strict=True):
                yield place, finding

    def _ask(self, wanted: Sequence[tuple[int, Ask]]) -> Iterator[tuple[int, Any]]:
        """Yield what the back ends say, asking each module once about all that it is asked."""
        for module, asks in _by_module(wanted):
            self._pause()
            began = time.monotonic()
            try:
                said = module.ask_each([ask.question for _, ask in asks])
            except Exception as error:
                said = [error] * len(asks)
            if module.asks_at_once:
                # Who is taken along costs nobody time.
                self.check_seconds = 0.0
            else:
                self._learn_check((time.monotonic() - began) / len(asks))
            for (place, _), finding in zip(asks, said, strict=True):
                yield place, finding

    def _check(self, checks: list[tuple[float, int, Check, bytes]]) -> list[tuple[int, Verdict | Exception]]:
        """Make the cheapest of `checks`, and those that are as good as cheap beside them; return the verdicts."""
        self._pause()
        verdicts: list[tuple[int, Verdict | Exception]] = []
        seconds = checks[0][0]
        while True:
            _, place, check, form = heappop(checks)
            verdicts.append((place, self._verdict(check, form)))
            if not checks:
                return verdicts
            seconds += checks[0][0]
            if seconds > TOGETHER_SECONDS:
                return verdicts

    def _verdict(self, check: Check, form: bytes) -> Verdict | Exception:
        began = time.monotonic()
        try:
            verdict = verify(check.password, check.stored)
        except Exception as error:
            return error
        if len(self._cost_of_form) >= MOST_FORMS:
            self._cost_of_form.clear()
        cost = _learned(self._cost_of_form.get(form), time.monotonic() - began)
        self._cost_of_form[form] = cost
        self._learn_check(cost)
        return verdict

    def _learn_check(self, seconds: float) -> None:
        self.check_seconds += WEIGHT * (seconds - self.check_seconds)


def _by_module(wanted: Sequence[tuple[int, N]]) -> Iterable[tuple[Module, list[tuple[int, N]]]]:
    """Return each module with what it is asked, in the order in which it was first."""
    by_module: dict[Module, list[tuple[int, N]]] = {}
    for place, need in wanted:
        by_module.setdefault(need.module, []).append((place, need))
    return by_module.items()


def _found(finds: Sequence[Find]) -> Sequence[Account | Exception | None]:
    """Return what one module has to say to `finds`; where a defect ends that, it is asked again one by one."""
    try:
        return finds[0].module.find_each([(find.service, find.user) for find in finds])
    except Exception as error:
        if len(finds) == 1:
            return [error]
        return [finding for find in finds for finding in _found([find])]


def _learned(before: float | None, seconds: float) -> float:
    """Return what something costs by itself, given what it took: longer where others had the processor, but never shorter."""
    return seconds if before is None or seconds < before else before + RISE * (seconds - before)


def settle_one(inquiry: Inquiry[T]) -> T:
    """Run one inquiry by itself and return its answer."""
    [(_, answer)] = Together(lambda: None).settle([inquiry])
    if isinstance(answer, Failure):
        raise answer.error
    return answer
