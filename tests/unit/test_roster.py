"""Who of the workers takes clients."""

from __future__ import annotations

import os
from unittest import mock

import pytest

from authd.server import roster
from authd.server.roster import LADEN_SECONDS, PATIENCE_SECONDS, Roster


class Clock:
    """Stands for the module ``time``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(roster, "time", clock)
    return clock


def make(processors: int = 2, idle: int = 4) -> Roster:
    with mock.patch.object(os, "sched_getaffinity", return_value=set(range(processors))):
        made = Roster(4)
    for worker in range(idle):
        made.end(worker)
    return made


def needed(made: Roster, in_vain: bool = False) -> list[bool]:
    return [made.relief_of(worker, in_vain) is None for worker in range(4)]


def test_the_first_does_alone_what_is_little(clock: Clock) -> None:
    made = make()
    assert needed(made) == [True, False, False, False]
    made.begin(0)
    assert needed(made) == [True, False, False, False]


def test_as_many_as_there_are_processors_share_in_more(clock: Clock) -> None:
    made = make()
    made.laden(0)
    assert needed(made) == [True, True, False, False]
    made.laden(1)
    assert needed(made) == [True, True, False, False]
    clock.now += LADEN_SECONDS + 0.001
    assert needed(made) == [True, False, False, False]
    made = make(processors=3)
    made.laden(0)
    made.laden(1)
    assert needed(made) == [True, True, True, False]


def test_who_is_held_up_does_not_count(clock: Clock) -> None:
    made = make()
    made.held_up(0)
    assert needed(made) == [True, True, False, False]
    made.held_up(1)
    assert needed(made) == [True, True, True, False]
    made.end(0)
    assert needed(made) == [True, False, False, False]


def test_who_is_long_at_the_same_is_held_up(clock: Clock) -> None:
    made = make()
    made.begin(0)
    clock.now += PATIENCE_SECONDS + 0.001
    assert needed(made) == [True, True, False, False]


def test_who_is_not_there_does_not_count(clock: Clock) -> None:
    assert needed(make(idle=0)) == [True, True, True, True]


def test_who_sleeps_while_clients_wait_does_not_count(clock: Clock) -> None:
    made = make()
    clock.now += PATIENCE_SECONDS + 0.001
    assert needed(made) == [True, False, False, False]
    assert needed(made, in_vain=True) == [True, True, True, True]
    made.end(0)
    assert needed(made, in_vain=True) == [True, False, False, False]


def test_whom_to_call(clock: Clock) -> None:
    made = make()
    assert [made.relief_of(worker, False) for worker in range(4)] == [None, 0, 0, 0]
    made.laden(0)
    assert [made.relief_of(worker, False) for worker in range(4)] == [None, None, 1, 1]
    made.call(1)
    made.call(1)
    assert os.eventfd_read(made.bell_of(1)) == 2
    with pytest.raises(BlockingIOError):
        os.eventfd_read(made.bell_of(0))
    made.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(made.bell_of(0))
