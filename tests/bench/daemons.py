"""What is measured of a daemon as a whole: its memory, its start, and what it does with a database that is far away."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.load import Exchange, Tools
from tests.support.daemon import Authd
from tests.support.processes import end, unix_socket_answers, wait_until
from tests.support.wire import exchange

FAR_MILLISECONDS = 5


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


def memory(daemon: Authd) -> float:
    """Return the memory that a daemon's processes use, each page divided by those that share it, in MiB."""
    assert daemon.process is not None
    kilobytes = 0
    for pid in (daemon.process.pid, *daemon.workers()):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def seconds_to_answer(daemon: Authd, wanted: Exchange) -> float:
    """Start `daemon`, and return the seconds to its first right answer; it is stopped afterwards."""

    def answers() -> bool:
        try:
            return exchange(daemon.socket, wanted.request) == wanted.reply
        except OSError:
            return False

    began = time.monotonic()
    daemon.launch()
    try:
        wait_until(answers, "the first right answer")
        return time.monotonic() - began
    finally:
        daemon.stop()
