"""Clients who send half a request and stay."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HALF_A_REQUEST = b"AUTH 40\nimap\nlogin\n"


@contextmanager
def stalled_clients(path: Path, count: int) -> Iterator[None]:
    """Have `count` of them connected to the socket `path`."""
    with ExitStack() as stack:
        for _ in range(count):
            stalled = stack.enter_context(socket.socket(socket.AF_UNIX))
            stalled.connect(str(path))
            stalled.sendall(HALF_A_REQUEST)
        yield
