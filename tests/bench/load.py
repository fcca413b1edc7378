"""The load: exchanges with their right replies, given to the generator in load.c."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

WARMUP_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and the one reply to it that is right."""

    request: bytes
    reply: bytes


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run of a load came to.

    :param rate: right replies per second.
    :param p50, p99, p999: seconds that so many in a hundred, or thousand, took at most.
    :param wrong: replies that were not right.
    """

    rate: float
    p50: float
    p99: float
    p999: float
    wrong: int


class Tools:
    """The programs of the benchmark, compiled in `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for name in ("load", "far"):
            subprocess.run(["cc", "-O2", "-o", root / name, HERE / f"{name}.c"], check=True)

    @property
    def far(self) -> Path:
        """The proxy before a database that is far away."""
        return self._root / "far"

    def load(
        self, socket: Path, exchanges: Sequence[Exchange], clients: int, seconds: float, most: int = 2**62
    ) -> Measurement:
        """Ask `exchanges` in turn by so many clients at a time for `seconds`, or for `most` replies."""
        records = self._root / "exchanges"
        with records.open("wb") as file:
            for exchange in exchanges:
                for part in (exchange.request, exchange.reply):
                    file.write(struct.pack("=I", len(part)) + part)
        words: list[str | Path] = [
            self._root / "load",
            socket,
            records,
            str(clients),
            str(WARMUP_SECONDS),
            str(seconds),
            str(most),
        ]
        done = subprocess.run(words, check=True, capture_output=True, timeout=seconds + 120)
        figures = json.loads(done.stdout)
        p50, p99, p999 = (figures[name] / 1e6 for name in ("p50", "p99", "p999"))
        return Measurement(figures["requests"] / figures["seconds"], p50, p99, p999, figures["wrong"])
