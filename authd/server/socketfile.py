"""The name of a listening socket: put into a directory, and taken out, while others may write to that directory.

The socket is made in a directory that only this user can enter, with its mode and owner, and moved into place in one step.
Nothing is ever replaced or removed but a socket that no process listens on.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from authd.config.hints import SOCKET_PATH_BYTES
from authd.server.directory import (
    RENAME_EXCHANGE,
    Identity,
    ListenError,
    identity_of,
    kind,
    move_new,
    owner,
    private_directory,
    rename,
    status_of,
)
from authd.workdir import working_directory

PROBE_SECONDS = 5.0
"""How long a daemon may take to answer before it counts as not answering."""

ATTEMPTS = 5
"""Times that a name is looked at anew because it has become another file meanwhile."""


def probe(directory: int, name: str) -> str:
    """Return why the socket `name` can't be replaced; empty if no process listens on it.

    :raises FileNotFoundError: if it has gone.
    """
    # connect(2), as bind(2), has no other way to begin at a descriptor.
    with socket.socket(socket.AF_UNIX) as client, working_directory(directory):
        client.settimeout(PROBE_SECONDS)
        try:
            client.connect(name)
        except ConnectionRefusedError:
            return ""
        except (TimeoutError, BlockingIOError):
            return "another daemon listens here"
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno == errno.EPROTOTYPE:
                return "another daemon has a socket of another type here"
            return f"a socket is here, and a daemon may listen on it: {error.strerror or error}"
        return "another daemon listens here"


def obstacle(path: Path, directory: int, ours: Identity | None) -> Identity | None:
    """Return which socket at `path` a new one may replace; ``None`` if nothing is there.

    :param directory: descriptor of the directory of `path`.
    :param ours: of a socket of this daemon's own, which may be replaced while it listens.
    :raises ListenError: if something else is there.
    """
    status = status_of(path.name, directory)
    if status is None:
        return None
    if not stat.S_ISSOCK(status.st_mode):
        problem = f"{kind(status.st_mode)} of {owner(status)} is in the place of the socket"
        mend = "move it away, or name another path in authdaemonvar or AUTHD_LISTEN"
        raise ListenError(path, problem, mend)
    if identity_of(status) == ours:
        return ours
    try:
        problem = probe(directory, path.name)
    except FileNotFoundError:
        return None
    if problem:
        mend = "stop it first" if problem.startswith("another") else "find out with ss -xlp, and remove it if none does"
        raise ListenError(path, problem, mend)
    return identity_of(status)


def put_socket(
    listening: socket.socket, path: Path, directory: int, mode: int, owners: tuple[int, int], ours: Identity | None
) -> Identity:
    """Bind a socket, have it listen, and give it the name `path` with its mode and owner in one step.

    :param directory: descriptor of the directory of `path`.
    :param owners: ids of user and group, -1 to leave them.
    :param ours: as in `obstacle`.
    :raises ListenError: if something is there that is not to be replaced.
    :raises OSError: if the kernel refuses.
    """
    name = path.name
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        raise too_long()
    obstacle(path, directory, ours)
    with private_directory(directory, name) as private:
        try:
            with working_directory(private):
                before = os.umask(~mode & 0o777)
                try:
                    listening.bind(name)
                finally:
                    os.umask(before)
            if owners != (-1, -1):
                os.chown(name, *owners, dir_fd=private, follow_symlinks=False)
            # The kernel makes as many as net.core.somaxconn says of a number that is larger.
            listening.listen(2**31 - 1)
            identity = identity_of(os.stat(name, dir_fd=private, follow_symlinks=False))
            _move(path, private, directory, ours)
        except BaseException:
            _discard(listening, private, name)
            raise
        return identity


def too_long() -> OSError:
    """Return the error of a path that no client could name."""
    return OSError(errno.ENAMETOOLONG, "AF_UNIX path too long")


def _discard(listening: socket.socket, private: int, name: str) -> None:
    """Remove what is in the private directory, which is this process's own socket."""
    listening.close()
    status = status_of(name, private)
    if status is not None and stat.S_ISSOCK(status.st_mode):
        os.unlink(name, dir_fd=private)


def _move(path: Path, private: int, directory: int, ours: Identity | None) -> None:
    """Move the new socket from the private directory into place.

    :raises ListenError: if something is there that is not to be replaced.
    """
    for _ in range(ATTEMPTS):
        if _moved(path, private, directory, ours):
            return
    raise ListenError(path, "other files are put in its place again and again", "find out which program does it")


def _moved(path: Path, private: int, directory: int, ours: Identity | None) -> bool:
    """Try to move the new socket into place; tell whether it is there, or the place has changed meanwhile."""
    name = path.name
    replaceable = obstacle(path, directory, ours)
    if replaceable is None:
        try:
            move_new(private, directory, name)
        except FileExistsError:
            return False
        return True
    try:
        rename(private, directory, name, RENAME_EXCHANGE)
    except FileNotFoundError:
        return False
    except NotImplementedError:
        return _take_away(name, private, directory, replaceable, ours)
    # The former file is now where no other process can reach it by its name.
    if _is_unused(name, private, replaceable, ours):
        os.unlink(name, dir_fd=private)
        return True
    rename(private, directory, name, RENAME_EXCHANGE)
    return False


def _take_away(name: str, private: int, directory: int, replaceable: Identity, ours: Identity | None) -> bool:
    """Replace the socket where the file system can't exchange two names: for a moment there is none."""
    with private_directory(private, "before") as before:
        try:
            os.rename(name, name, src_dir_fd=directory, dst_dir_fd=before)
        except FileNotFoundError:
            return False
        if _is_unused(name, before, replaceable, ours):
            os.unlink(name, dir_fd=before)
            try:
                move_new(private, directory, name)
            except FileExistsError:
                return False
            return True
        move_new(before, directory, name)
        return False


def _is_unused(name: str, directory: int, replaceable: Identity, ours: Identity | None) -> bool:
    """Tell whether what was taken out of its place is the socket that may be replaced."""
    status = status_of(name, directory)
    if status is None or identity_of(status) != replaceable or not stat.S_ISSOCK(status.st_mode):
        return False
    return replaceable == ours or not probe(directory, name)
