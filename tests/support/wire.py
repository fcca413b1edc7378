"""Raw bytes in, raw bytes out, on a daemon's socket."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.support import passwords

REPLY_SECONDS = 20.0


def exchange(path: Path, *pieces: bytes, shut: bool = False) -> bytes:
    """Send `pieces` one `send` each, then return all that comes until the peer closes.

    With `shut` the writing side is closed after the last piece.  A peer that closes early is not an error: its
    answer is what it sent.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(REPLY_SECONDS)
        connection.connect(str(path))
        send_all(connection, pieces)
        if shut:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def connected(stack: ExitStack, path: Path, sent: bytes = b"", seconds: float = REPLY_SECONDS) -> socket.socket:
    """Return a client that has said `sent` and stays until `stack` is closed."""
    connection = stack.enter_context(socket.socket(socket.AF_UNIX))
    connection.settimeout(seconds)
    connection.connect(str(path))
    if sent:
        connection.sendall(sent)
    return connection


def send_all(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    """Send every piece, ignoring that the peer has closed already."""
    for piece in pieces:
        try:
            connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the peer closes; a reset counts as a close."""
    reply = bytearray()
    while True:
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            return bytes(reply)
        if not piece:
            return bytes(reply)
        reply += piece


def login(user: bytes | str, password: bytes | str, service: str = "imap") -> bytes:
    """Return the bytes of an ``AUTH`` request of type ``login``."""
    user = user.encode() if isinstance(user, str) else user
    password = password.encode() if isinstance(password, str) else password
    passwords.use(password)
    return auth(service.encode() + b"\nlogin\n" + user + b"\n" + password + b"\n")


def auth(body: bytes) -> bytes:
    """Return an ``AUTH`` request with `body` and its right length."""
    return b"AUTH %d\n%b" % (len(body), body)


def pre(user: bytes | str, service: str = "imap", modules: str = ".") -> bytes:
    """Return the bytes of a ``PRE`` request."""
    user = user.encode() if isinstance(user, str) else user
    return b"PRE %b %b %b\n" % (modules.encode(), service.encode(), user)


def passwd(service: str, user: bytes | str, old: str, new: str) -> bytes:
    """Return the bytes of a ``PASSWD`` request."""
    user = user.encode() if isinstance(user, str) else user
    passwords.use(old, new)
    return b"PASSWD %b\t%b\t%b\t%b\n" % (service.encode(), user, old.encode(), new.encode())
