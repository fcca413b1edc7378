"""The socket that clients connect to.

Everybody may write to the socket itself, since mail programs run as many users; who may reach it is decided by the mode and
owner of the directory that it is in.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

SOCKET_MODE = 0o777

PROBE_SECONDS = 5.0
"""How long a daemon may take to answer before it counts as not answering."""


class ListenError(Exception):
    """The socket can't be had.

    :param path: the socket or its directory.
    :param problem: what is wrong.
    :param mend: what to do about it.
    """

    def __init__(self, path: Path, problem: str, mend: str) -> None:
        super().__init__(f"{path}: {problem}; {mend}")
        self.path = path
        self.problem = problem
        self.mend = mend


def somaxconn() -> int:
    """Return the longest queue of connections that the kernel allows.

    Courier's and Cyrus' clients connect without waiting, and report a failure when the queue is full.
    """
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return socket.SOMAXCONN


def listen(path: Path) -> socket.socket:
    """Return a listening socket at `path`, non-blocking.

    A socket that nobody answers on is replaced, in one step.

    :raises ListenError: if the directory is missing or open to others, or if another daemon answers there.
    """
    check_directory(path.parent)
    if answers(path):
        raise ListenError(path, "another daemon answers here", "stop it first")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.unlink(missing_ok=True)
        listener.bind(str(new))
        new.chmod(SOCKET_MODE)
        listener.listen(somaxconn())
        new.replace(path)
    except OSError as error:
        listener.close()
        with suppress(OSError):
            new.unlink()
        mend = "give its directory to the daemon's user, or name another, shorter one in authdaemonvar"
        raise ListenError(path, f"can't listen: {error.strerror or error}", mend) from error
    return listener


def answers(path: Path) -> bool:
    """Tell whether a daemon answers at `path`: it accepts, and closes on a request that asks for nothing."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
            probe.sendall(b"PING\n")
            probe.recv(1)
        except (ConnectionResetError, BrokenPipeError):
            # It closed before it had read all: somebody is there.
            return True
        except OSError:
            return False
        return True


def check_directory(directory: Path) -> None:
    """See whether a socket can be in `directory`.

    :raises ListenError: if it is missing, or others can write to it.
    """
    try:
        mode = directory.stat().st_mode
    except OSError as error:
        mend = "create it, and let the mail programs' group enter it"
        raise ListenError(directory, error.strerror or str(error), mend) from error
    if not stat.S_ISDIR(mode):
        raise ListenError(directory, "not a directory", "correct authdaemonvar")
    if mode & stat.S_IWOTH:
        problem = "others can write to it, and could put a socket of theirs in its place"
        raise ListenError(directory, problem, f"chmod o-w {directory}")
