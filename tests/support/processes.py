"""Start and end the private services of a test.

Every service is kept as the ``Popen`` that started it and is ended by that process id; nothing here
looks a process up by name.  Waiting is always for an event and always has a limit.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

LIMIT_SECONDS = 30.0
"""How long a service may take to start or to end before the test that wants it fails."""


class Service(ABC):
    """What a test starts and ends; as a context it is started at the beginning and ended at the end."""

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until clients are served."""

    @abstractmethod
    def stop(self) -> None:
        """End what `start` started; nothing if that was not called."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Server(Service):
    """A service that is one process, kept as `_process`."""

    _process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End the server by the process id that `start` kept."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def kill(self) -> None:
        """End the server as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Keep processes from going on, all their threads."""

    def stand_still() -> bool:
        stats = [stat for pid in pids for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
        return all(") T " in stat.read_text() for stat in stats)

    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(stand_still, "the processes stand still")
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def asleep(pid: int) -> bool:
    """Tell whether a process waits for something, by its state in proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def wait_until(event: Callable[[], bool], what: str, limit: float = LIMIT_SECONDS) -> None:
    """Poll `event` until it is true; fail the test with `what` after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not event():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit:g} s: {what}")
        time.sleep(0.005)


def unix_socket_answers(path: Path) -> bool:
    """Tell whether somebody accepts connections on the Unix socket `path`."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def tcp_port_answers(port: int) -> bool:
    """Tell whether somebody accepts connections on a TCP port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def free_tcp_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def end(process: subprocess.Popen[bytes], limit: float = LIMIT_SECONDS) -> int:
    """Terminate `process`, wait for it, kill it after `limit` seconds; return its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode
