"""A reload that is asked for and answered, where a signal would only be sent.

The master listens on a socket in the abstract namespace, see ``unix(7)``, whose name has its process id: it needs no directory
that the daemon's user can write to, and no file that another could replace.  The kernel tells both sides with which process and
user they speak.  A second one, whose name has the directory of its configuration, tells which process serves on that.
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MAX_ACCEPTED = 16
"""Connections that are taken at once: any local user can make them, and the master has other work."""

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


def address_at(file: Path) -> str:
    """Return the address at which the master that serves on a configuration is found.

    :raises OSError: if this user can't tell which directory it is in.
    """
    status = file.parent.stat()
    return f"\0authd-serves-{os.stat('/proc/self/ns/pid').st_ino}-{status.st_dev}-{status.st_ino}"


def master_at(file: Path) -> int | None:
    """Return the process id of the master that serves on a configuration, ``None`` if none is found."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection, suppress(OSError):
        connection.connect(address_at(file))
        pid, user = _peer(connection)
        return pid if pid and user == _user_of(pid) else None
    return None


def _user_of(pid: int) -> int | None:
    """Return the effective user of a process.

    A listener can hand its socket on and end; its number may then be that of another user's process.
    """
    found = re.search(r"(?m)^Uid:\t\d+\t(\d+)\t", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found is not None else None


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
            raise Unanswered(error.strerror or str(error)) from error
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

    :param file: the configuration that it serves on.
    :raises OSError: if the address can't be had.
    """

    def __init__(self, file: Path) -> None:
        self._socket = _listening(address_of(os.getpid()))
        self._found: socket.socket | None = None
        self._poll = select.epoll()
        self._poll.register(self._socket, select.EPOLLIN)
        with suppress(OSError):
            # Another process has it, or this user can't look at the directory.
            self._found = _listening(address_at(file))
            self._poll.register(self._found, select.EPOLLIN)
        self._waiting: list[socket.socket] = []

    @property
    def descriptor(self) -> int:
        """Becomes readable when there is something to `take`."""
        return self._poll.fileno()

    def take(self) -> bool:
        """Tell whether a reload was asked for by root or this user since the last call; they wait for `answer`."""
        if self._found is not None:
            for connection in _accepted(self._found):
                # The kernel has told what it looked for.
                connection.close()
        taken = False
        for connection in _accepted(self._socket):
            connection.setblocking(False)
            if _peer(connection)[1] in (0, os.geteuid()):
                self._waiting.append(connection)
                taken = True
            else:
                with connection, suppress(OSError):
                    connection.send(DENIED)
        return taken

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
        if self._found is not None:
            self._found.close()
        self._poll.close()


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections that wait, but no more than `MAX_ACCEPTED`."""
    with suppress(OSError):
        for _ in range(MAX_ACCEPTED):
            yield listener.accept()[0]


def _listening(address: str) -> socket.socket:
    """Return a socket that listens at an address."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
