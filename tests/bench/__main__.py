"""Measure authd beside the real Courier, on the same files and database: ``make bench``.

What clients who send half a request and stay cost the others: md5-crypt logins by four clients, without and with ten times as
many such clients as ``daemons``, both daemons in turn.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import socket
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.conftest import SBIN, opened
from tests.support.extmail import EXTMAIL_PASSWORD, fill_extmail, seed_files
from tests.support.load import Measurement, measure
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair
from tests.support.wire import login

ACCOUNTS = 10_000
DAEMONS = 10
STALLED = 10 * DAEMONS
CLIENTS = 4

HALF_A_REQUEST = b"AUTH 40\nimap\nlogin\n"


def main() -> None:
    """Run the benchmark, print a table, and write what it came to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run (3)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured in turn (3)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *SBIN])
    with tempfile.TemporaryDirectory(prefix="authd-bench-") as directory, ExitStack() as stack:
        root = opened(Path(directory))
        server = stack.enter_context(MariaDB(root / "mariadb"))
        fill_extmail(server, ACCOUNTS)
        seed_files(root / "etc", root / "authd", server, daemons=DAEMONS)
        pair = stack.enter_context(Pair(root, root / "etc", root / "authd"))
        results = _measure(pair, options.rounds, options.seconds)
    _print(results)
    if options.json:
        options.json.write_text(json.dumps(_figures(results), indent=2) + "\n")


Results = dict[str, dict[str, list[Measurement]]]


def _measure(pair: Pair, rounds: int, seconds: float) -> Results:
    requests = [login(f"user{number}@example.org", EXTMAIL_PASSWORD, "smtp") for number in range(1000)]
    sockets = {"Courier": pair.courier.socket, "authd": pair.authd.socket}
    results: Results = {name: {"alone": [], "stalled": []} for name in sockets}
    for turn in range(rounds):
        for name, path in sockets.items():
            if sys.stderr.isatty():
                print(f"\rround {turn + 1} of {rounds}: {name:8}", end="", flush=True, file=sys.stderr)
            results[name]["alone"].append(measure(path, requests, CLIENTS, seconds))
            with ExitStack() as stack:
                for _ in range(STALLED):
                    stalled = stack.enter_context(socket.socket(socket.AF_UNIX))
                    stalled.connect(str(path))
                    stalled.sendall(HALF_A_REQUEST)
                results[name]["stalled"].append(measure(path, requests, CLIENTS, seconds))
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", flush=True, file=sys.stderr)
    return results


def _median(measurements: list[Measurement], name: str) -> float:
    return float(statistics.median(getattr(measurement, name) for measurement in measurements))


def _p99(measurements: list[Measurement]) -> str:
    seconds = _median(measurements, "p99")
    return f"{seconds:.4f}s" if math.isfinite(seconds) else "no answer"


def _print(results: Results) -> None:
    print(f"md5-crypt logins by {CLIENTS} clients, daemons={DAEMONS}, {ACCOUNTS} accounts; medians of the rounds")
    print(
        f"{'':8} {'alone':>10} {f'{STALLED} stalled':>12} {'ratio':>8} {'p99 alone':>10} {'p99 stalled':>12} {'wrong':>6}"
    )
    for name, cases in results.items():
        alone, stalled = _median(cases["alone"], "rate"), _median(cases["stalled"], "rate")
        wrong = sum(measurement.wrong for case in cases.values() for measurement in case)
        print(
            f"{name:8} {alone:>8.0f}/s {stalled:>10.0f}/s {stalled / alone:>8.4f} {_p99(cases['alone']):>10} "
            f"{_p99(cases['stalled']):>12} {wrong:>6}"
        )


def _figures(results: Results) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "daemons": DAEMONS,
        "stalled": STALLED,
        "accounts": ACCOUNTS,
        "results": {
            name: {case: [asdict(measurement) for measurement in list_] for case, list_ in cases.items()}
            for name, cases in results.items()
        },
    }


if __name__ == "__main__":
    main()
