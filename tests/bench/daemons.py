"""What is measured of a daemon as a whole: its memory, its start, and what it does with a database that is far away."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.load import Exchange, Tools
from tests.support.processes import Service, end, unix_socket_answers, wait_until
from tests.support.wire import exchange

FAR_MILLISECONDS = 5

ANSWER_LIMIT_SECONDS = 30.0


@contextmanager
def far_socket(tools: Tools, root: Path, server: Path) -> Iterator[Path]:
    """Yield a socket by which the database at `server` is `FAR_MILLISECONDS` away."""
    socket = root / "far.sock"
    process = subprocess.Popen([tools.far, socket, server, str(FAR_MILLISECONDS)])
    try:
        wait_until(lambda: unix_socket_answers(socket), "the far database's proxy listens")
        yield socket
    finally:
        end(process)


def memory(pids: list[int]) -> float:
    """Return the memory that the processes use, each page divided by those that share it, in MiB."""
    kilobytes = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(descendant for child in children for descendant in family(int(child)))]


def seconds_to_answer(prepared: Service, begin: Callable[[], None], socket: Path, wanted: Exchange) -> float:
    """Return the seconds from `begin` to the first right answer on `socket`; `prepared` is stopped afterwards."""
    began = time.monotonic()
    begin()
    try:
        while True:
            try:
                if exchange(socket, wanted.request) == wanted.reply:
                    return time.monotonic() - began
            except OSError:
                pass
            if time.monotonic() - began > ANSWER_LIMIT_SECONDS:
                raise AssertionError(f"no answer within {ANSWER_LIMIT_SECONDS:g} s")
            time.sleep(0.001)
    finally:
        prepared.stop()
