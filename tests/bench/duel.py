"""One case, measured in turn on every daemon: the figures are ratios of runs that followed each other."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench.arena import COURIER
from tests.bench.load import Exchange, Measurement, Tools
from tests.support.wire import connected

HALF_A_REQUEST = b"AUTH 40\nimap\nlogin\n"

WARM = 1.05
"""A daemon is warm when it does no better than so many times what it did before."""

WARM_P99_SECONDS = 0.01

WARMING_SECONDS = 1.0
MOST_WARMING_RUNS = 60


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, and by how many.

    :param goal: the ratio to Courier that authd is to reach, by driver.
    """

    name: str
    clients: int
    exchanges: Sequence[Exchange] = field(repr=False)
    goal: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """What one daemon came to in a case.

    :param ratios: of its throughput to what it is compared with, one for each pair of runs, in ascending order.
    :param p99_ratios: of the time that 99 of a hundred requests took at most, likewise.
    :param wrong: replies that were not right, in all runs.
    """

    case: str
    clients: int
    daemon: str
    compared_with: str
    goal: float | None
    ratios: list[float]
    p99_ratios: list[float]
    wrong: int
    runs: list[Measurement]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def p99_ratio(self) -> float:
        """The median of the ratios of the p99."""
        return statistics.median(self.p99_ratios)

    def of_runs(self, name: str) -> float:
        """Return the median of one of the figures of `Measurement` over all runs."""
        figures: list[float] = [getattr(run, name) for run in self.runs]
        return statistics.median(figures)

    def as_dict(self) -> dict[str, object]:
        """Return all figures, for JSON."""
        return {**asdict(self), "ratio": self.ratio, "p99_ratio": self.p99_ratio}


class Duels:
    """Measures cases.

    :param pairs: how often each is measured.
    :param seconds: the length of a run.
    :param tick: is called after each run with what it was.
    """

    def __init__(self, tools: Tools, pairs: int, seconds: float, tick: Callable[[str], None]) -> None:
        self.tools = tools
        self.pairs = pairs
        self._seconds = seconds
        self._tick = tick

    def run(self, socket: Path, case: Case) -> Measurement:
        """Measure one daemon once."""
        measured = self.tools.load(socket, case.exchanges, case.clients, self._seconds)
        self._tick(f"{case.name}, {case.clients} clients")
        return measured

    def against_courier(self, sockets: Mapping[str, Path], case: Case) -> list[Score]:
        """Measure all daemons in turn, A B A B; Courier's own score is the first."""
        runs: dict[str, list[Measurement]] = {name: [] for name in sockets}
        for _ in range(self.pairs):
            for name, socket in sockets.items():
                runs[name].append(self.run(socket, case))
        return [_score(case, name, COURIER, runs[name], runs[COURIER]) for name in sockets]

    def beside(
        self, sockets: Mapping[str, Path], case: Case, others: Callable[[Path], AbstractContextManager[object]]
    ) -> list[Score]:
        """Measure what is left of each authd's throughput while `others` are there.

        Courier is left out: where these are clients that stall, it serves nobody.
        """
        scores = []
        for name, socket in sockets.items():
            alone, beside = [], []
            for _ in range(self.pairs if name != COURIER else 0):
                alone.append(self.run(socket, case))
                with others(socket):
                    beside.append(self.run(socket, case))
            if beside:
                scores.append(_score(case, name, "itself alone", beside, alone))
        return scores

    def warm_up(self, socket: Path, case: Case) -> None:
        """Ask until the daemon does not get any faster, and hardly anybody has to wait for a hash any more."""
        before = 0.0
        for _ in range(MOST_WARMING_RUNS):
            run = self.tools.load(socket, case.exchanges, case.clients, WARMING_SECONDS)
            if run.rate < WARM * before and run.p99 < WARM_P99_SECONDS:
                return
            before = max(run.rate, before)


def _score(case: Case, name: str, against: str, ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> Score:
    pairs = list(zip(ours, theirs, strict=True))
    return Score(
        case.name,
        case.clients,
        name,
        against,
        case.goal.get(name),
        sorted(a.rate / b.rate if b.rate else 0.0 for a, b in pairs),
        sorted(a.p99 / b.p99 if b.p99 else 0.0 for a, b in pairs),
        sum(run.wrong for run in ours),
        list(ours),
    )


@contextmanager
def crowd(socket: Path, count: int, sent: bytes) -> Iterator[None]:
    """Keep `count` clients connected who have said `sent` and say no more."""
    with ExitStack() as stack:
        for _ in range(count):
            connected(stack, socket, sent)
        yield
