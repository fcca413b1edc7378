"""Measure authd beside the real Courier, on the same files and database: ``make bench``.

Both are asked the same in turn, A B A B, by a load generator in C; the figures are ratios of runs that followed each other.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from tests.bench.accounts import fill, fill_many, kinds, logins, lookups, wrong_logins
from tests.bench.arena import DRIVERS, Arena
from tests.bench.daemons import far_socket, memory, seconds_to_answer
from tests.bench.duel import HALF_A_REQUEST, Case, Duels, Score, crowd
from tests.bench.load import Exchange, Tools
from tests.bench.report import about, line_of, publish
from tests.conftest import SBIN, opened
from tests.support.mariadb import MariaDB

DAEMONS = 10
STALLED = 10 * DAEMONS
IDLE = 10_000
CLIENTS = (1, 4, 32, 256)
FAR_DAEMONS = 5
MEMORY_REQUESTS = 100_000
TABLES = (1_000, 100_000, 1_000_000)

CACHE = {"AUTHD_CACHE_TTL": 3600, "AUTHD_CACHE_NEGATIVE_TTL": 3600}
CACHED_ACCOUNTS = 100
"""Accounts that are asked for with the cache on; every worker has to have met each before it is warm."""

DOCUMENTS = Path(__file__).parents[2] / "docs" / "performance"


def goal_of(name: str, clients: int) -> dict[str, float]:
    """Return what authd is to reach in a case, as a ratio to Courier, by driver."""
    either = {("md5-crypt", 4): 0.9, ("md5-crypt", 32): 1.1, ("sha512-crypt", 32): 1.0, ("bcrypt", 32): 1.0}
    goals: dict[tuple[str, int], tuple[float, float]] = {
        **{("pre", 4): (0.8, 1.0), ("pre", 32): (1.25, 1.5), ("pre", 256): (1.5, 1.8), ("far", 256): (5, 5)},
        **{("stalled", 4): (0.95, 0.95), ("idle", 4): (0.95, 0.95)},
        **{(f"{name} cached", 32): (goal, goal) for name, goal in CACHED_GOALS.items()},
        **{case: (goal, goal) for case, goal in either.items()},
    }
    return dict(zip(DRIVERS, goals.get((name, clients), ()), strict=False))


CACHED_GOALS = {"pre": 2.5, "md5-crypt": 6.0, "sha512-crypt": 30.0, "bcrypt": 500.0}


class Bench:
    """The whole benchmark.

    :param clients: how many, for the cases that are measured with several numbers of them.
    :param names: of the cases that are wanted; empty for all.
    """

    def __init__(self, root: Path, server: MariaDB, duels: Duels, clients: Sequence[int], names: Sequence[str]) -> None:
        self._root = root
        self._server = server
        self._duels = duels
        self._clients = clients
        self._names = names

    def count(self) -> int:
        """Return the number of runs."""
        pairs, daemons = self._duels.pairs, 1 + len(DRIVERS)
        wide = sum(self._wants(name) for name in self._asked()) * len(self._clients) * daemons
        crowds = sum(map(self._wants, ("stalled", "idle"))) * 2 * len(DRIVERS)
        tables = self._wants("tables") * len(TABLES) * daemons
        return pairs * (
            wide + crowds + tables + self._wants("far") * daemons + self._wants("cached") * 2 * len(CACHED_GOALS)
        )

    def scores(self) -> Iterator[Score]:
        """Measure, and yield what each daemon came to in each case."""
        server, duels = self._server, self._duels
        known = kinds()
        fill(server)
        with Arena(self._root / "near", server.socket, DAEMONS) as near:
            sockets = near.start()
            for name, exchanges in self._asked().items():
                for clients in self._clients if self._wants(name) else ():
                    yield from duels.against_courier(sockets, Case(name, clients, exchanges, goal_of(name, clients)))
            for name, others in (
                ("stalled", partial(crowd, count=STALLED, sent=HALF_A_REQUEST)),
                ("idle", partial(crowd, count=IDLE, sent=b"")),
            ):
                if self._wants(name):
                    yield from duels.beside(
                        sockets, Case(name, 4, logins(known["md5-crypt"]), goal_of(name, 4)), others
                    )
        if self._wants("cached"):
            with Arena(self._root / "cached", server.socket, DAEMONS, DRIVERS[:1], CACHE) as cached:
                yield from self._cached(cached.start())
        if self._wants("far"):
            with (
                far_socket(duels.tools, self._root, server.socket) as far,
                Arena(self._root / "distant", far, FAR_DAEMONS) as distant,
            ):
                case = Case("far", 256, lookups(known["md5-crypt"]), goal_of("far", 256))
                yield from duels.against_courier(distant.start(), case)
        for size in TABLES if self._wants("tables") else ():
            kind = replace(known["md5-crypt"], count=size)
            fill_many(server, kind)
            with Arena(self._root / f"of-{size}", server.socket, DAEMONS) as large:
                case = Case(f"pre of {size:,}", 32, lookups(kind))
                yield from duels.against_courier(large.start(), case)

    def whole(self) -> dict[str, dict[str, float]]:
        """Return the memory in MiB and the seconds from the start to the first answer, by driver."""
        if not self._wants("whole"):
            return {}
        fill(self._server)
        asked = lookups(kinds()["md5-crypt"])
        figures = {}
        with Arena(self._root / "whole", self._server.socket, DAEMONS) as arena:
            for driver in DRIVERS:
                daemon = arena.authd(driver)
                first = seconds_to_answer(daemon, asked[0])
                with daemon:
                    idle = memory(daemon)
                    self._duels.tools.load(daemon.socket, asked, 32, 600, most=MEMORY_REQUESTS)
                    used = memory(daemon)
                    self._duels.tools.load(daemon.socket, asked, 32, 600, most=MEMORY_REQUESTS)
                    later = memory(daemon)
                figures[driver] = {
                    "seconds to the first answer": round(first, 3),
                    "MiB (PSS of all processes) idle": round(idle, 1),
                    f"MiB after {MEMORY_REQUESTS:,} lookups": round(used, 1),
                    "MiB after as many again": round(later, 1),
                }
        return figures

    def _asked(self) -> dict[str, list[Exchange]]:
        known = kinds()
        return {
            "pre": lookups(known["md5-crypt"]),
            **{name: logins(kind) for name, kind in known.items()},
            "wrong": wrong_logins(known["md5-crypt"]),
        }

    def _cached(self, sockets: dict[str, Path]) -> Iterator[Score]:
        known = kinds()
        for name in CACHED_GOALS:
            exchanges = (
                lookups(known["md5-crypt"], CACHED_ACCOUNTS) if name == "pre" else logins(known[name], CACHED_ACCOUNTS)
            )
            full = f"{name} cached"
            case = Case(full, 32, exchanges, goal_of(full, 32))
            self._duels.warm_up(sockets[DRIVERS[0]], case)
            yield from self._duels.against_courier(sockets, case)

    def _wants(self, name: str) -> bool:
        return not self._names or name in self._names


def main() -> int:
    """Run the benchmark, print a table, and write what it came to; return 1 if a reply was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run (2)")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is measured in turn (5)")
    parser.add_argument("--cases", default="", help="names of the cases, separated by commas (all)")
    parser.add_argument("--clients", default="", help="numbers of clients, separated by commas (1,4,32,256)")
    parser.add_argument("--output", type=Path, help="directory for the results (docs/performance if all are measured)")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *SBIN])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    clients = [int(number) for number in options.clients.split(",") if number]
    names = [name for name in options.cases.split(",") if name]
    output = options.output or (None if names or clients else DOCUMENTS)
    with tempfile.TemporaryDirectory(prefix="authd-bench-") as directory, ExitStack() as stack:
        root = opened(Path(directory))
        server = stack.enter_context(MariaDB(root / "mariadb"))
        bar = stack.enter_context(tqdm(unit="run", dynamic_ncols=True))

        def tick(what: str) -> None:
            bar.set_description(what)
            bar.update()

        bench = Bench(root, server, Duels(Tools(root), options.pairs, options.seconds, tick), clients or CLIENTS, names)
        bar.reset(bench.count())
        scores = []
        for score in bench.scores():
            scores.append(score)
            bar.write(line_of(score))
        whole = bench.whole()
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            [[server_version]] = cursor.fetchall()
    if whole:
        print(json.dumps(whole, indent=1))
    if output is not None:
        publish(output, about(server_version), scores, whole)
    return 1 if any(score.wrong for score in scores) else 0


if __name__ == "__main__":
    sys.exit(main())
