"""Measure authd beside the real Courier, on the same files and database: ``make bench``.

Both are asked the same in turn, A B A B, by a load generator in C; the figures are ratios of runs that followed each other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.accounts import fill, kinds, logins, lookups, wrong_logins
from tests.bench.arena import DRIVERS, Arena
from tests.bench.daemons import far_socket, memory, seconds_to_answer
from tests.bench.load import Exchange, Measurement, Tools
from tests.conftest import SBIN, opened
from tests.support.mariadb import MariaDB
from tests.support.wire import connected

DAEMONS = 10
STALLED = 10 * DAEMONS
CLIENTS = (1, 4, 32, 256)
FAR_DAEMONS = 5
MEMORY_REQUESTS = 100_000

HALF_A_REQUEST = b"AUTH 40\nimap\nlogin\n"


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, and by how many."""

    name: str
    clients: int
    exchanges: Sequence[Exchange] = field(repr=False)


def main() -> None:
    """Run the benchmark, print a table, and write what it came to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run (2)")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is measured in turn (5)")
    parser.add_argument("--cases", default="", help="names of the cases, separated by commas (all)")
    parser.add_argument("--clients", default="", help="numbers of clients, separated by commas (1,4,32,256)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *SBIN])
    with tempfile.TemporaryDirectory(prefix="authd-bench-") as directory, ExitStack() as stack:
        root = opened(Path(directory))
        tools = Tools(root)
        server = stack.enter_context(MariaDB(root / "mariadb"))
        fill(server)
        sockets = stack.enter_context(Arena(root / "arena", server.socket, DAEMONS)).start()
        wanted = [int(number) for number in options.clients.split(",") if number] or CLIENTS
        names = [name for name in options.cases.split(",") if name]
        cases = [case for case in _cases(wanted) if not names or case.name in names]
        results = []
        for number, case in enumerate(cases):
            _progress(f"{number + 1} of {len(cases)}: {case.name}, {case.clients} clients")
            results.append(_measure(tools, sockets, case, options.pairs, options.seconds))
            _progress("")
            _print(results[-1])
        if not names or "stalled" in names:
            _progress("stalled clients")
            case = Case("stalled", 4, logins(kinds()["md5-crypt"]))
            results.append(_measure_stalled(tools, sockets, case, options.pairs, options.seconds))
            _progress("")
            _print(results[-1])
        if not names or "far" in names:
            with (
                far_socket(tools, root, server.socket) as far,
                Arena(root / "distant", far, FAR_DAEMONS) as distant,
            ):
                case = Case("far", 256, lookups(kinds()["md5-crypt"]))
                results.append(_measure(tools, distant.start(), case, options.pairs, options.seconds))
            _print(results[-1])
        whole = _measure_whole(tools, root, server.socket) if not names or "whole" in names else {}
    if whole:
        print(json.dumps(whole))
    if options.json:
        options.json.write_text(json.dumps(_about() | {"results": results, "whole": whole}, indent=1) + "\n")


def _cases(clients: Sequence[int]) -> Iterator[Case]:
    known = kinds()
    asked = {"pre": lookups(known["md5-crypt"])}
    asked |= {name: logins(kind) for name, kind in known.items()}
    asked["wrong"] = wrong_logins(known["md5-crypt"])
    for name, exchanges in asked.items():
        for number in clients:
            yield Case(name, number, exchanges)


Result = dict[str, object]


def _measure(tools: Tools, sockets: dict[str, Path], case: Case, pairs: int, seconds: float) -> Result:
    runs: dict[str, list[Measurement]] = {name: [] for name in sockets}
    for _ in range(pairs):
        for name, socket in sockets.items():
            runs[name].append(tools.load(socket, case.exchanges, case.clients, seconds))
    courier = runs["courier"]
    ratios = {name: _ratios([m.rate for m in of], [m.rate for m in courier]) for name, of in runs.items()}
    p99s = {name: _ratios([m.p99 for m in of], [m.p99 for m in courier]) for name, of in runs.items()}
    return _result(case, runs, ratios, p99s)


def _measure_stalled(tools: Tools, sockets: dict[str, Path], case: Case, pairs: int, seconds: float) -> Result:
    """Measure what is left of authd's own throughput; Courier serves nobody meanwhile, and is left out."""
    runs: dict[str, list[Measurement]] = {}
    ratios, p99s = {}, {}
    for name, socket in sockets.items():
        if name == "courier":
            continue
        alone, beside = [], []
        for _ in range(pairs):
            alone.append(tools.load(socket, case.exchanges, case.clients, seconds))
            with ExitStack() as stack:
                for _ in range(STALLED):
                    connected(stack, socket, HALF_A_REQUEST)
                beside.append(tools.load(socket, case.exchanges, case.clients, seconds))
        runs[name] = beside
        ratios[name] = _ratios([m.rate for m in beside], [m.rate for m in alone])
        p99s[name] = _ratios([m.p99 for m in beside], [m.p99 for m in alone])
    return _result(case, runs, ratios, p99s)


def _measure_whole(tools: Tools, root: Path, database: Path) -> Result:
    """Measure memory in MiB and the seconds from the start to the first answer."""
    asked = lookups(kinds()["md5-crypt"])
    figures: Result = {}
    with Arena(root / "whole", database, DAEMONS) as arena:
        for driver in DRIVERS:
            daemon = arena.authd(driver)
            first = seconds_to_answer(daemon, asked[0])
            with daemon:
                idle = memory(daemon)
                tools.load(daemon.socket, asked, 32, 600, most=MEMORY_REQUESTS)
                used = memory(daemon)
                tools.load(daemon.socket, asked, 32, 600, most=MEMORY_REQUESTS)
                later = memory(daemon)
            figures[driver] = {
                "seconds to the first answer": round(first, 3),
                "MiB idle": round(idle, 1),
                f"MiB after {MEMORY_REQUESTS} requests": round(used, 1),
                "MiB after as many again": round(later, 1),
            }
    return figures


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return sorted(a / b for a, b in zip(ours, theirs, strict=True) if b)


def _result(
    case: Case, runs: dict[str, list[Measurement]], ratios: dict[str, list[float]], p99s: dict[str, list[float]]
) -> Result:
    return {
        "case": case.name,
        "clients": case.clients,
        "daemons": {
            name: {
                "ratio": ratios[name],
                "p99 ratio": p99s[name],
                "runs": [asdict(measurement) for measurement in measurements],
            }
            for name, measurements in runs.items()
        },
    }


def _print(result: Result) -> None:
    daemons = result["daemons"]
    assert isinstance(daemons, dict)
    for name, figures in daemons.items():
        runs, ratio = figures["runs"], figures["ratio"]
        rate, p50, p99, p999 = (statistics.median(run[key] for run in runs) for key in ("rate", "p50", "p99", "p999"))
        spread = f"{ratio[0]:.2f} {statistics.median(ratio):.2f} {ratio[-1]:.2f}" if ratio else "-"
        later = f"{statistics.median(figures['p99 ratio']):.2f}" if figures["p99 ratio"] else "-"
        print(
            f"{result['case']:>12} {result['clients']:>4} {name:12} {rate:>8.0f}/s  ratio min/median/max {spread}  "
            f"p50 {p50 * 1e3:.2f} p99 {p99 * 1e3:.2f} p99.9 {p999 * 1e3:.2f} ms  p99 ratio {later}  "
            f"wrong {sum(run['wrong'] for run in runs)}",
            flush=True,
        )


def _progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{what:60}\r", end="", flush=True, file=sys.stderr)


def _about() -> Result:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": f"{platform.python_version()} ({' '.join(platform.python_build())})",
        "daemons": DAEMONS,
    }


if __name__ == "__main__":
    main()
