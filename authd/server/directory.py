"""Directories as descriptors, so that no name in them leads elsewhere.

A path is a promise that others can break: a user who may write to a directory can put a symbolic link in the place of any file
in it.  A descriptor stays what it was when it was opened.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from authd.config.hints import reason, write_hint
from authd.config.names import user_name

MOST_LINKS = 40
"""Symbolic links that a path may lead over, as in the kernel."""

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
"""Of ``renameat2(2)``."""

_FLAGS = os.O_PATH | os.O_CLOEXEC

Identity = tuple[int, int]
"""Device and inode of a file."""


class PlaceError(Exception):
    """A file or directory can't be used.

    :param path: the file or directory.
    :param problem: what is wrong.
    :param mend: what to do about it.
    """

    def __init__(self, path: Path, problem: str, mend: str) -> None:
        super().__init__(f"{path}: {problem}; {mend}")
        self.path = path
        self.problem = problem
        self.mend = mend


class ListenError(PlaceError):
    """The socket can't be had; `path` is the socket, or a directory above it."""


@contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """Give a descriptor of the directory `path`, good for names in it and for nothing else.

    :raises ListenError: if there is no such directory, or another user's symbolic link leads to it.
    """
    with _closing(open_directory(path)) as descriptor:
        yield descriptor


def open_directory(path: Path) -> int:
    """Return a descriptor of the directory `path`, as `opened_directory` does."""
    try:
        return _walk(path)
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            raise ListenError(path, "not a directory", "correct the path in authdaemonvar or AUTHD_LISTEN") from error
        hint = write_hint(error, path, "authdaemonvar or AUTHD_LISTEN")
        if isinstance(error, FileNotFoundError):
            hint = "create it, and let the mail programs' group enter it"
        elif error.errno == errno.ELOOP:
            hint = "name the directory itself"
        raise ListenError(path, reason(error), hint) from error


def _walk(path: Path) -> int:
    """Open `path` one name after the other, over the symbolic links of root and of this user alone."""
    names = deque(path.parts)
    here = os.open("/" if path.is_absolute() else ".", _FLAGS | os.O_DIRECTORY)
    links = 0
    try:
        while names:
            there = os.open(names[0], _FLAGS | os.O_NOFOLLOW, dir_fd=here)
            name = names.popleft()
            status = os.fstat(there)
            if not stat.S_ISLNK(status.st_mode):
                os.close(here)
                here = there
                _see_that(stat.S_ISDIR(status.st_mode), errno.ENOTDIR)
                continue
            with _closing(there):
                target = Path(os.readlink("", dir_fd=there))
            links += 1
            _see_that(links <= MOST_LINKS, errno.ELOOP)
            _check_link(path, name, target, status)
            names.extendleft(reversed(target.parts))
    except BaseException:
        os.close(here)
        raise
    return here


def _see_that(right: bool, number: int) -> None:
    if not right:
        raise OSError(number, os.strerror(number))


def _check_link(path: Path, name: str, target: Path, status: os.stat_result) -> None:
    # Any user can give root's link a second name, where the kernel lets them.
    if status.st_uid not in (0, os.geteuid()) or status.st_nlink > 1:
        mend = f"name the directory itself, or have root make the link to {target}"
        raise ListenError(path, f"{name} is a symbolic link of {owner(status)}", mend)


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def check_writable(path: Path) -> None:
    """See whether this user can make a file in the directory `path`; none is made.

    :raises ListenError: if not, from the error that making one would end in.
    """
    with opened_directory(path) as directory:
        system = os.fstatvfs(directory)
        code = 0
        if system.f_flag & os.ST_RDONLY:
            code = errno.EROFS
        elif not os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
            code = errno.EACCES
        elif (system.f_blocks and not system.f_bfree) or (system.f_files and not system.f_ffree):
            code = errno.ENOSPC
    if code:
        error = OSError(code, os.strerror(code))
        hint = write_hint(error, path / "pid", "authdaemonvar or AUTHD_LISTEN")
        raise ListenError(path, reason(error), hint) from error


def owner(status: os.stat_result) -> str:
    """Return the owner of a file in words."""
    return user_in_words(status.st_uid)


def user_in_words(uid: int) -> str:
    """Return a user in words."""
    return f"user {user_name(uid)}"


def kind(mode: int) -> str:
    """Return in words what a file is."""
    for test, word in (
        (stat.S_ISREG, "a regular file"),
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if test(mode):
            return word
    return "a device"


def status_of(name: str, directory: int) -> os.stat_result | None:
    """Return the status of a name itself, ``None`` if there is none."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def identity_of(status: os.stat_result) -> Identity:
    """Return device and inode."""
    return status.st_dev, status.st_ino


@contextmanager
def private_directory(directory: int, name: str) -> Iterator[int]:
    """Give a descriptor of a new directory in `directory` that only this user can enter; it is removed at the end if it is empty.

    :param name: begins its name.
    :raises OSError: if it can't be made.
    """
    unique = f".{name}.{os.urandom(8).hex()}"
    before = os.umask(0o077)
    try:
        os.mkdir(unique, 0o700, dir_fd=directory)
    finally:
        os.umask(before)
    descriptor = os.open(unique, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise PermissionError(errno.EPERM, "another directory was put in the place of a new one")
        yield descriptor
    finally:
        os.close(descriptor)
        with suppress(OSError):
            os.rmdir(unique, dir_fd=directory)


def rename(source: int, target: int, name: str, flags: int) -> None:
    """Move `name` from the directory `source` to the directory `target`, by ``renameat2(2)``.

    :param flags: `RENAME_NOREPLACE` or `RENAME_EXCHANGE`.
    :raises FileExistsError: if it is there already, and `flags` say that it is to stay.
    :raises NotImplementedError: if the kernel or the file system has no such call.
    :raises OSError: if the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise NotImplementedError
    encoded = os.fsencode(name)
    if libc.renameat2(source, encoded, target, encoded, ctypes.c_uint(flags)) == 0:
        return
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        raise NotImplementedError
    raise OSError(number, os.strerror(number), name)


def move_new(source: int, target: int, name: str) -> None:
    """Move `name` from `source` to `target`, where nothing may be.

    :raises FileExistsError: if something is there.
    :raises OSError: if the kernel refuses.
    """
    try:
        rename(source, target, name, RENAME_NOREPLACE)
    except NotImplementedError:
        os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        os.unlink(name, dir_fd=source)


def remove(directory: int, name: str, identity: Identity) -> bool:
    """Remove `name` from `directory` if it is the file with `identity`; tell whether it was.

    A file that is put in its place meanwhile stays.

    :raises OSError: if it can't be removed.
    """
    status = status_of(name, directory)
    if status is None or identity_of(status) != identity:
        return False
    try:
        with private_directory(directory, name) as private:
            os.rename(name, name, src_dir_fd=directory, dst_dir_fd=private)
            status = status_of(name, private)
            if status is not None and identity_of(status) == identity:
                os.unlink(name, dir_fd=private)
                return True
            move_new(private, directory, name)
            return False
    except OSError as error:
        # Unlike a name taken away, a directory takes room.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
    os.unlink(name, dir_fd=directory)
    return True
