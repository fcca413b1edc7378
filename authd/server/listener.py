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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from authd.config.hints import SOCKET_PATH_BYTES, reason, write_hint
from authd.config.listening import ListenerSettings
from authd.server.directory import Identity, ListenError, opened_directory, remove, status_of
from authd.server.log import LOGGER
from authd.server.socketfile import PROBE_SECONDS, obstacle, probe, put_socket, too_long

__all__ = [
    "ListenError",
    "Listener",
    "answers",
    "check_directory",
    "check_place",
    "listen",
    "occupied",
    "open_listeners",
]


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket.

    :param settings: where and what it is.
    :param socket: listening, non-blocking.
    :param identity: device and inode of its name; ``None`` where the name is the service manager's to look after.
    """

    settings: ListenerSettings
    socket: socket.socket
    identity: Identity | None

    def close(self) -> None:
        """Close the socket and remove its name, unless another file has it by now."""
        self.withdraw()
        self.socket.close()

    def withdraw(self) -> None:
        """Remove the name, so that no client finds the socket any more; where that can't be, the log says so."""
        if self.identity is None:
            return
        path = self.settings.path
        try:
            with opened_directory(path.parent) as directory:
                # While the socket is open, no other file can have its inode.
                remove(directory, path.name, self.identity)
        except (ListenError, OSError) as error:
            words = reason(error) if isinstance(error, OSError) else str(error)
            LOGGER.warning("%s: stays, no process listens on it, and the next start replaces it: %s", path, words)


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
            ours = next((one for one in held if one.settings.path == settings.path), None)
            if ours is not None and ours.identity is None:
                # Its mode and owner are the service manager's to set.
                listeners.append(replace(ours, settings=settings))
                continue
            opened.append(listen(settings, ours.identity if ours is not None else None, bool(held)))
            listeners.append(opened[-1])
    except ListenError:
        for listener in opened:
            listener.close()
        raise
    return tuple(listeners)


def listen(settings: ListenerSettings, ours: Identity | None = None, running: bool = False) -> Listener:
    """Return a new listener.

    A socket that no process listens on is replaced, in one step, and nothing else is.

    :param ours: which socket is this daemon's own, and may be replaced.
    :param running: whether the daemon runs, and has given up what it was started with.
    :raises ListenError: if the directory is missing or open to others, if something else has the name, or if there is no
        such owner or group.
    """
    path = settings.path
    owners = owner_ids(settings)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with opened_directory(path.parent) as directory:
            _check_mode(path.parent, directory)
            identity = put_socket(listening, path, directory, settings.mode, owners, ours)
    except ListenError:
        listening.close()
        raise
    except OSError as error:
        listening.close()
        raise ListenError(path, f"can't listen: {reason(error)}", _hint(error, path, running)) from error
    return Listener(settings, listening, identity)


def _hint(error: OSError, path: Path, running: bool) -> str:
    if isinstance(error, PermissionError) and running:
        return "a restart is needed: the daemon opens its sockets before it becomes an ordinary user, who may not open this one"
    return write_hint(error, path, "authdaemonvar or AUTHD_LISTEN")


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


def occupied(path: Path) -> bool:
    """Tell whether a process listens at `path`, or may listen, whatever the protocol."""
    try:
        with opened_directory(path.parent) as directory:
            return bool(probe(directory, path.name))
    except (ListenError, OSError):
        return False


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
    with opened_directory(directory) as descriptor:
        _check_mode(directory, descriptor)


def check_place(settings: ListenerSettings, running: bool) -> None:
    """See whether a start can put the socket into its place; nothing is changed.

    :param running: whether the daemon runs, and may listen there itself.
    :raises ListenError: if it can't.
    """
    path = settings.path
    owner_ids(settings)
    with opened_directory(path.parent) as directory:
        _check_mode(path.parent, directory)
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
            error = too_long()
            raise ListenError(path, f"can't listen: {reason(error)}", _hint(error, path, running))
        status = status_of(path.name, directory)
        if running and status is not None and stat.S_ISSOCK(status.st_mode):
            return
        obstacle(path, directory, None)


def _check_mode(path: Path, descriptor: int) -> None:
    if os.fstat(descriptor).st_mode & stat.S_IWOTH:
        problem = "others can write to it, and could put a socket of theirs in its place"
        raise ListenError(path, problem, f"chmod o-w {path}")
