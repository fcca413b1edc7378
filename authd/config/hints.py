"""Hints for errors of the operating system: the setting to change, or the command to run."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

SOCKET_PATH_BYTES = 107
"""Longest path of a Unix socket that ``connect(2)`` and ``bind(2)`` take: ``sun_path`` without its NUL."""

START = "start it: authdaemond start, or systemctl start authd"

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM)
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
_NO_PROCESS = (errno.EAGAIN, errno.ENOMEM)


def reason(error: OSError) -> str:
    """Return the system's words for `error`; Python's own where it has no errno."""
    return error.strerror or " ".join(map(str, error.args)) or type(error).__name__


def is_too_long(error: OSError) -> bool:
    """Tell whether `error` is about a path that is too long; Python's for a socket's path has no errno."""
    return error.errno == errno.ENAMETOOLONG or (error.errno is None and "too long" in str(error))


def write_hint(error: OSError, path: Path, setting: str) -> str:
    """Return what to do where the file or socket `path` can't be made or written.

    :param setting: names of the settings that `path` comes from.
    """
    directory = path.parent
    code = error.errno
    if is_too_long(error):
        return (
            f"a socket's path has at most {SOCKET_PATH_BYTES} bytes, and this one {len(os.fsencode(path))}; "
            f"name a directory with a shorter one in {setting}"
        )
    if code in _FULL:
        return f"free space on the file system of {directory} (df {directory}), or name another directory in {setting}"
    if code == errno.EROFS:
        return f"mount the file system of {directory} read-write, or name another directory in {setting}"
    if code in _DENIED:
        return f"run it as root, or give {directory} to the daemon's user, or name another directory in {setting}"
    if code == errno.ENOENT:
        return f"create {directory} and let the mail programs' group enter it, or name another directory in {setting}"
    if code == errno.ENOTDIR:
        return f"a part of the path is not a directory; correct {setting}"
    if code in (errno.EISDIR, errno.ELOOP):
        return f"remove {path}, or name another directory in {setting}"
    return process_hint(error) or f"see to {directory}, or name another directory in {setting}"


def described(error: OSError, what: str, setting: str = "authdaemonvar") -> str:
    """Return the line about an error at the start or stop of the daemon: the path, the reason and the hint.

    :param what: the subject where the error has no path, which then is about the process.
    :param setting: name of the setting that the path comes from.
    """
    if error.filename is None:
        hint = process_hint(error)
        return f"{what}: {reason(error)}" + (f"; {hint}" if hint else "")
    path = Path(os.fsdecode(error.filename))
    if not path.is_absolute():
        return f"{error.filename}: {reason(error)}"
    return f"{path}: {setting}: {reason(error)}; {write_hint(error, path, setting)}"


def process_hint(error: OSError) -> str:
    """Return what to do where a limit of the process or the machine was reached; empty for other errors."""
    if error.errno in _TOO_MANY_FILES:
        return "raise the limit of open files: ulimit -n, or LimitNOFILE= in the unit"
    if error.errno == errno.EFBIG:
        return "raise the limit of a file's size: ulimit -f, or LimitFSIZE= in the unit"
    if error.errno in _NO_PROCESS:
        return "free memory, or raise the limit of processes: ulimit -u, or TasksMax= in the unit"
    return ""


def read_hint(error: OSError, path: Path) -> str:
    """Return what to do where the configuration file `path` can't be read."""
    if error.errno in _DENIED:
        return "run it as root, or let the group of its user read the file (chgrp, chmod 640)"
    if error.errno == errno.ENOENT:
        if not path.parent.is_dir():
            return f"there is no directory {path.parent}; correct --sysconfdir or AUTHD_SYSCONFDIR"
        return "create it, or name another directory with --sysconfdir or AUTHD_SYSCONFDIR"
    if error.errno == errno.ENOTDIR:
        return f"{path.parent} is not a directory; name the file's directory with --sysconfdir or AUTHD_SYSCONFDIR"
    if error.errno == errno.EISDIR:
        return "put a file in place of the directory"
    if error.errno == errno.ELOOP:
        return "put the file itself in place of the link"
    return process_hint(error) or "let the daemon's user read it"


def connect_hint(error: OSError, path: Path) -> str:
    """Return what to do where no daemon can be reached at the socket `path`."""
    if is_too_long(error):
        return write_hint(error, path, "authdaemonvar or --socket")
    if isinstance(error, TimeoutError) or error.errno == errno.EAGAIN:
        return "the daemon is too busy, or waits for a back end; its log says what for"
    if error.errno in _DENIED:
        return f"run it as root; authd doctor --socket {path} says what keeps this user from it"
    if error.errno == errno.ECONNREFUSED and not _is_socket(path):
        return f"it is no socket; remove it, and {START}"
    if error.errno == errno.ENOENT and not path.parent.is_dir():
        return f"there is no directory {path.parent}; correct authdaemonvar or --socket, or {START}"
    if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
        return f"no daemon listens there; {START}"
    if error.errno in (errno.EPROTOTYPE, errno.ENOTDIR):
        return "it is no socket of the daemon; correct authdaemonvar or --socket"
    return process_hint(error) or "authdaemond status tells whether the daemon runs"


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
