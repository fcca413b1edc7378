"""A reload that is asked for and answered, where a signal would only be sent.

The master listens on a socket in the abstract namespace, see ``unix(7)``, whose name has its process id: it needs no directory
that the daemon's user can write to, and no file that another could replace.  The kernel tells both sides with which process and
user they speak.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress

LIMIT_SECONDS = 60.0
"""How long the workers of a reload may take to serve before the command gives up."""

DONE = b"done\n"
DENIED = b"denied\n"

_CREDENTIALS = "iII"
"""``struct ucred``: process, user, group."""


class ReloadRefused(Exception):
    """The daemon goes on as before, or only a restart makes all settings count; the text says why."""


class Unanswered(Exception):
    """The daemon can't be asked."""


def address_of(pid: int) -> str:
    """Return the address at which the master with this process id is asked.

    Containers that share a network have process ids of their own, so the namespace is part of it.
    """
    return f"\0authd-reload-{os.stat('/proc/self/ns/pid').st_ino}-{pid}"


def ask_for_reload(pid: int) -> None:
    """Have the master `pid` read its configuration, and return when workers serve on it.

    :raises ReloadRefused: if it does not, or if a part of it needs a restart.
    :raises PermissionError: if this user may not ask.
    :raises Unanswered: if it can't be asked.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(LIMIT_SECONDS)
        try:
            connection.connect(address_of(pid))
        except OSError as error:
            raise Unanswered(str(error)) from error
        if _peer(connection)[0] != pid:
            raise Unanswered("another process answers")
        said = b""
        try:
            while piece := connection.recv(4096):
                said += piece
        except TimeoutError:
            raise ReloadRefused(f"no answer within {LIMIT_SECONDS:g} s; see the daemon's log") from None
        except OSError:
            said = b""
    if said == DENIED:
        raise PermissionError
    if said != DONE:
        told = said.decode("utf-8", "replace").rstrip("\n")
        raise ReloadRefused(told or "the daemon ended without an answer; see its log")


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Return process and user at the other end."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_CREDENTIALS))
    pid, uid, _ = struct.unpack(_CREDENTIALS, packed)
    return pid, uid


class ReloadRequests:
    """The master's side.

    :raises OSError: if the address can't be had.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.bind(address_of(os.getpid()))
            self._socket.listen()
        except OSError:
            self._socket.close()
            raise
        self._waiting: list[socket.socket] = []

    @property
    def descriptor(self) -> int:
        """Becomes readable when a reload is asked for."""
        return self._socket.fileno()

    def take(self) -> bool:
        """Tell whether a reload was asked for by root or this user since the last call; they wait for `answer`."""
        taken = False
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return taken
            connection.setblocking(False)
            if _peer(connection)[1] in (0, os.geteuid()):
                self._waiting.append(connection)
                taken = True
            else:
                with connection, suppress(OSError):
                    connection.send(DENIED)

    def answer(self, problem: str = "") -> None:
        """Tell all who wait what became of it: that it is done, or the problem."""
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            with connection, suppress(OSError):
                connection.send(problem.encode("utf-8", "replace") + b"\n" if problem else DONE)

    def close(self) -> None:
        """Close all descriptors of it, in a process that was forked."""
        for connection in (self._socket, *self._waiting):
            connection.close()
