"""Compare how long rejected logins take: ``make bench-timing``.

Each case is a ratio to a wrong password of a user who is there: of the medians of the worker's processor time, which other
load on the machine hardly changes, and of the time until the reply.  A ratio far from 1 shows a client which users there are.
The exit status is 1 if one of processor time is not between `LEAST` and `MOST`.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from authd.passwords.crypt3 import crypt, gensalt
from tests.bench.accounts import DOMAIN, SERVICE
from tests.conftest import SBIN, opened
from tests.support.daemon import Authd
from tests.support.extmail import fill_with, seed_files
from tests.support.mariadb import MariaDB
from tests.support.wire import exchange, login

LEAST, MOST = 0.8, 1.25

USERS = 200

MIXED_USERS = 800

METHODS = {"md5-crypt": (b"$1$", 0), "sha512-crypt": (b"$6$", 0), "bcrypt": (b"$2b$", 10), "cheap bcrypt": (b"$2b$", 8)}

TABLES = {"md5-crypt": (1, 0, 0, 0), "sha512-crypt": (0, 1, 0, 0), "bcrypt": (0, 0, 1, 0), "mixed": (5, 3, 0, 2)}
"""Of each table the shares of `METHODS`."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user without a usable hash: what stands in its place, and the case's name."""

    user: str
    case: str
    stored: Callable[[str], str | None]


EMPTY = "an empty password"

ODD = (
    Account("locked", "a locked hash", lambda hashed: "!" + hashed),
    Account("starred", "a hash behind *", lambda hashed: "*" + hashed),
    Account("cut", "a hash that is cut off", lambda hashed: hashed[:-5]),
    Account("star", "* alone", lambda hashed: "*"),
    Account("letter", "x alone", lambda hashed: "x"),
    Account("empty", "an empty hash", lambda hashed: ""),
    Account("null", "NULL", lambda hashed: None),
    Account("scheme", "an unknown scheme", lambda hashed: "{FOO}bar"),
    Account("name", "a scheme's name alone", lambda hashed: "{SSHA}"),
)


def hashes(shares: Sequence[int], users: int) -> list[str]:
    """Return the hashes of a table's users, all of one password."""
    made = []
    for (prefix, cost), share in zip(METHODS.values(), shares, strict=True):
        hashed = crypt(b"right", gensalt(prefix, cost))
        assert hashed is not None
        made += [hashed.decode()] * share
    return [made[number % len(made)] for number in range(users)]


def fill(server: MariaDB, shares: Sequence[int], count: int) -> None:
    """Make the first users' database anew, with users of these hashes, and those who have no usable one."""
    users = hashes(shares, count)
    fill_with(server, ((f"user{number}", DOMAIN, hashed) for number, hashed in enumerate(users)))
    with server.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE mailbox MODIFY password varchar(255) NULL")
        for odd in ODD:
            cursor.execute(
                "INSERT INTO mailbox (username, password, domain) VALUES (%s, %s, %s)",
                (f"{odd.user}@{DOMAIN}", odd.stored(users[-1]), DOMAIN),
            )


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of rejected logins, in seconds.

    :param processor: of the worker.
    :param reply: until the reply.
    """

    processor: float
    reply: float

    def __truediv__(self, other: Cost) -> Cost:
        return Cost(self.processor / other.processor, self.reply / other.reply)


def cost(daemon: Authd, user: str, password: str = "wrong") -> Cost:
    """Return what a rejected login costs a daemon of one worker."""
    [worker] = daemon.workers()
    before = processor_seconds(worker)
    began = time.perf_counter()
    reply = exchange(daemon.socket, login(f"{user}@{DOMAIN}", password, SERVICE))
    took = time.perf_counter() - began
    if reply != b"FAIL\n":
        raise AssertionError(f"{user}: {reply!r}")
    return Cost(processor_seconds(worker) - before, took)


def processor_seconds(worker: int) -> float:
    """Return the processor time that a worker has used when it has nothing more to do."""
    process = Path(f"/proc/{worker}")
    while (process / "stat").read_text().rpartition(")")[2].split()[0] != "S":
        time.sleep(0.0005)
    return int((process / "schedstat").read_text().split()[0]) / 1e9


def median_of(costs: Sequence[Cost]) -> Cost:
    """Return the median of each part."""
    return Cost(median(one.processor for one in costs), median(one.reply for one in costs))


def mean_of(costs: Sequence[Cost]) -> Cost:
    """Return the mean of each part."""
    return Cost(mean(one.processor for one in costs), mean(one.reply for one in costs))


@contextmanager
def serving(root: Path) -> Iterator[Authd]:
    """Run a daemon of one worker."""
    daemon = Authd(root / "etc", root / "run")
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def odd_cases(daemon: Authd, rounds: int) -> dict[str, Cost]:
    """Return the ratio of each case in a table of one kind of hash: medians of logins that were made in turn."""
    took: dict[str, list[Cost]] = {}
    for number in range(rounds):
        known = f"user{number % USERS}"
        asked = {
            "": (known, "wrong"),
            EMPTY: (known, ""),
            "an unknown user": (f"nobody{number}", "wrong"),
            "an unknown user, an empty password": (f"nobody{number}", ""),
            **{odd.case: (odd.user, "wrong") for odd in ODD},
        }
        for case, (user, password) in random.sample(sorted(asked.items()), len(asked)):
            took.setdefault(case, []).append(cost(daemon, user, password))
    # An empty password is refused at once, whoever's it is.
    wrong, empty = median_of(took.pop("")), median_of(took.pop(EMPTY))
    return {case: median_of(some) / (empty if EMPTY in case else wrong) for case, some in took.items()}


def mixed_cases(daemon: Authd) -> dict[str, Cost]:
    """Return the ratio of unknown to known users in a table of several kinds of hash: means over many names."""
    known, unknown = [], []
    for number in range(MIXED_USERS):
        known.append(cost(daemon, f"user{number}"))
        unknown.append(cost(daemon, f"nobody{number}"))
    return {"unknown users, on the mean": mean_of(unknown) / mean_of(known)}


def first_cases(root: Path, starts: int) -> dict[str, Cost]:
    """Return the ratio for the first login of a daemon that has just started."""
    took: dict[str, list[Cost]] = {}
    # The file system's caches are filled by one that does not count.
    for number in range(-1, starts):
        cases = [("", "user0"), ("the first login, of an unknown user", f"nobody{number}")]
        for case, user in random.sample(cases, len(cases)):
            with serving(root) as daemon:
                first = cost(daemon, user)
            if number >= 0:
                took.setdefault(case, []).append(first)
    wrong = median_of(took.pop(""))
    return {case: median_of(some) / wrong for case, some in took.items()}


def measure(root: Path, server: MariaDB, table: str, rounds: int, starts: int) -> Mapping[str, Cost]:
    """Return the ratios of one table."""
    fill(server, TABLES[table], MIXED_USERS if table == "mixed" else USERS)
    seed_files(root / "etc", root / "run", server.socket, daemons=1)
    with serving(root) as daemon:
        ratios = mixed_cases(daemon) if table == "mixed" else odd_cases(daemon, rounds)
    return ratios if table == "mixed" else {**ratios, **first_cases(root, starts)}


def main() -> int:
    """Run the benchmark and print the ratios; return 1 if one is out of bounds."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.timing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="logins of each case (100)")
    parser.add_argument("--starts", type=int, default=9, help="starts of the daemon for each first login (9)")
    parser.add_argument("--tables", default="", help=f"names of tables, separated by commas (all: {','.join(TABLES)})")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *SBIN])
    outside = 0
    with tempfile.TemporaryDirectory(prefix="authd-bench-") as directory, ExitStack() as stack:
        root = opened(Path(directory))
        server = stack.enter_context(MariaDB(root / "mariadb"))
        print(f"{'table':12}  {'case':40} processor     reply")
        for table in [name for name in options.tables.split(",") if name] or TABLES:
            for case, ratio in measure(root, server, table, options.rounds, options.starts).items():
                within = LEAST <= ratio.processor <= MOST
                outside += not within
                figures = f"{ratio.processor:9.2f} {ratio.reply:9.2f}"
                print(f"{table:12}  {case:40} {figures}{'' if within else '  out of bounds'}", flush=True)
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
