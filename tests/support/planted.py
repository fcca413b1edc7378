"""What an ordinary user can put in the place of the daemon's files, and a file of root's that it is meant to harm."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

MAIL_USER = "nobody"
MAIL_UID = 65534


class Victim:
    """A file of root's that nothing may touch.

    :ivar path: the file.
    """

    CONTENT = b"12345\n"

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.path = directory / "victim"
        self.path.write_bytes(self.CONTENT)
        self.path.chmod(0o600)
        os.utime(self.path, (1_000_000_000, 1_000_000_000))
        self._before = self._state()

    def _state(self) -> tuple[object, ...]:
        status = self.path.lstat()
        names = sorted(path.name for path in self.path.parent.iterdir())
        return stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_mtime, status.st_ino, names

    def assert_untouched(self) -> None:
        """See that it is as it was, and alone in its directory."""
        assert self._state() == self._before
        assert self.path.read_bytes() == self.CONTENT


def _own(path: Path) -> None:
    os.chown(path, MAIL_UID, MAIL_UID, follow_symlinks=False)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    _own(path)


def _link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)
    _own(path)


def _file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _own(path)


def _huge(path: Path, _victim: Path) -> None:
    _file(path, b"1" * 100)
    os.truncate(path, 1 << 40)


def _fifo(path: Path, _victim: Path) -> None:
    os.mkfifo(path)
    _own(path)


def _directory(path: Path, _victim: Path) -> None:
    path.mkdir()
    (path / "kept").write_text("kept")
    _own(path)


def _link_to_socket(path: Path, victim: Path) -> None:
    _socket(victim.parent.parent / "dead")
    _link(path, victim.parent.parent / "dead")


Plant = Callable[[Path, Path], None]

PLANTS: dict[str, Plant] = {
    "a link to a file": _link,
    "a link to nothing": lambda path, victim: _link(path, victim.with_name("new")),
    "a link to a directory": lambda path, victim: _link(path, victim.parent),
    "a link to a socket": _link_to_socket,
    "another name of a file": lambda path, victim: os.link(victim, path),
    "a FIFO": _fifo,
    "a directory": _directory,
    "a device": lambda path, _victim: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3)),
    "a huge file": _huge,
    "a file": lambda path, _victim: _file(path, b"kept\n"),
}
"""By what they are: puts it at a path, aimed at a victim."""


def state_of(path: Path) -> tuple[object, ...]:
    """Return all that would show that a planted file was touched."""
    status = path.lstat()
    return stat.filemode(status.st_mode), status.st_uid, status.st_ino, status.st_size, status.st_mtime_ns
