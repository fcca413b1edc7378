"""The sockets that clients connect to.

Everybody may write to Courier's socket itself, since mail programs run as many users; who may reach it is decided by the mode
and owner of the directory that it is in.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from authd.config.hints import reason, write_hint
from authd.config.listening import ListenerSettings

LONGEST_QUEUE = 2**31 - 1
"""Connections that may wait to be accepted; the kernel makes it as many as ``net.core.somaxconn`` says.

Courier's and Cyrus' clients connect without waiting, and report a failure when the queue is full.
"""

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


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket.

    :param settings: where and what it is.
    :param socket: listening, non-blocking.
    :param identity: device and inode of its name; ``None`` where the name is the service manager's to look after.
    """

    settings: ListenerSettings
    socket: socket.socket
    identity: tuple[int, int] | None

    def close(self) -> None:
        """Close the socket and remove its name, unless it is somebody else's by now."""
        self.withdraw()
        self.socket.close()

    def withdraw(self) -> None:
        """Remove the name, so that no client finds the socket any more."""
        with suppress(OSError):
            if self.identity == _identity(self.settings.path):
                self.settings.path.unlink()


def open_listeners(
    wanted: Sequence[ListenerSettings], held: Sequence[Listener] = (), given: Mapping[Path, socket.socket] | None = None
) -> tuple[Listener, ...]:
    """Return a listener for each of `wanted`: one of those already `held` where it is the same, else a new one.

    Those held that are not wanted any more are left as they are.

    :param given: sockets of the service manager, by their paths.
    :raises ListenError: if one can't be had; then nothing has changed.
    """
    listeners: list[Listener] = []
    opened: list[Listener] = []
    try:
        for settings in wanted:
            same = next((one for one in held if replace(one.settings, passwords=settings.passwords) == settings), None)
            if same is not None:
                listeners.append(replace(same, settings=settings))
                continue
            handed = (given or {}).get(settings.path)
            if handed is not None:
                listeners.append(Listener(settings, handed, None))
                continue
            ours = any(one.settings.path == settings.path for one in held)
            opened.append(listen(settings, ours))
            listeners.append(opened[-1])
    except ListenError:
        for listener in opened:
            listener.close()
        raise
    return tuple(listeners)


def listen(settings: ListenerSettings, ours: bool = False) -> Listener:
    """Return a new listener.

    A socket that nobody listens on is replaced, in one step.

    :param ours: whether the one that is there is this daemon's own, and may be replaced.
    :raises ListenError: if the directory is missing or open to others, if another daemon listens there, or if there is no
        such owner or group.
    """
    path = settings.path
    check_directory(path.parent)
    if not ours and occupied(path):
        raise ListenError(path, "another daemon listens here", "stop it first")
    uid, gid = owner_ids(settings)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.unlink(missing_ok=True)
        listening.bind(str(new))
        if uid >= 0 or gid >= 0:
            os.chown(new, uid, gid)
        new.chmod(settings.mode)
        listening.listen(LONGEST_QUEUE)
        identity = _identity(new)
        new.replace(path)
    except OSError as error:
        listening.close()
        with suppress(OSError):
            new.unlink()
        hint = write_hint(error, path, "authdaemonvar or AUTHD_LISTEN")
        raise ListenError(path, f"can't listen: {reason(error)}", hint) from error
    return Listener(settings, listening, identity)


def owner_ids(settings: ListenerSettings) -> tuple[int, int]:
    """Return the ids of a listener's owner and group, -1 for those that it does not name.

    :raises ListenError: if there is none of that name.
    """

    def look_up(kind: str, key: str, name: str | None, find: Callable[[str], tuple[Any, ...]]) -> int:
        if name is None:
            return -1
        try:
            # The third field of both passwd and group.
            return int(find(name)[2])
        except KeyError:
            mend = f"create it, or correct {key}= in AUTHD_LISTEN"
            raise ListenError(settings.path, f"there is no {kind} {name}", mend) from None

    uid = look_up("user", "owner", settings.owner, pwd.getpwnam)
    return uid, look_up("group", "group", settings.group, grp.getgrnam)


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def occupied(path: Path) -> bool:
    """Tell whether somebody listens at `path`, whatever the protocol."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except TimeoutError:
            # Its queue is full.
            return True
        except OSError:
            return False
        return True


def answers(path: Path) -> bool:
    """Tell whether a daemon answers at `path`: it accepts, and closes when the client does without a request."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
            # A request of whatever kind would leave a line in the log.
            probe.shutdown(socket.SHUT_WR)
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
        if not isinstance(error, FileNotFoundError):
            mend = write_hint(error, directory, "authdaemonvar or AUTHD_LISTEN")
        raise ListenError(directory, reason(error), mend) from error
    if not stat.S_ISDIR(mode):
        raise ListenError(directory, "not a directory", "correct the path in authdaemonvar or AUTHD_LISTEN")
    if mode & stat.S_IWOTH:
        problem = "others can write to it, and could put a socket of theirs in its place"
        raise ListenError(directory, problem, f"chmod o-w {directory}")
