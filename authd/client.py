"""Ask a running daemon."""

from __future__ import annotations

import socket
from pathlib import Path

SECONDS = 30.0
"""How long the daemon may take for the whole answer."""

READ_SIZE = 65536


def ask(path: Path, request: bytes, timeout: float = SECONDS) -> bytes:
    """Send `request` to the daemon at `path` and return its whole reply; empty where it closes without one.

    :param timeout: seconds.
    :raises OSError: if nobody listens there, or the answer takes too long.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.sendall(request)
        reply = bytearray()
        while piece := connection.recv(READ_SIZE):
            reply += piece
        return bytes(reply)
