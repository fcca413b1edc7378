"""The text of a userdb: one file, or a directory of them."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from authd.userdb.record import BadRecord, Fields, format_fields, parse_fields, parse_line


class SourceError(Exception):
    """A userdb that can't be used; the text names the file, the line and the mend."""


Change = Callable[[Fields | None], Fields | None]
"""Is given a record's fields, ``None`` if there is none, and returns what is to be there instead."""


def lines_of(file: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield line number, name and fields of every record.

    :raises SourceError: if the file can't be read, or a line is no record.
    """
    try:
        content = _content(file)
    except OSError as error:
        raise SourceError(f"{file}: can't be read: {error.strerror}; {read_hint(error)}") from None
    for number, line in enumerate(content.split(b"\n"), 1):
        try:
            record = parse_line(line)
        except BadRecord as error:
            raise SourceError(f"{file}:{number}: {error}") from None
        if record is not None:
            yield number, *record


def _content(file: Path) -> bytes:
    """Return what is in a regular file; a FIFO or a device raises `OSError`, since reading it may wait for ever."""
    with open(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return opened.read()


def files_of(source: Path) -> list[Path]:
    """Return the files of a userdb: `source` itself, or all below it whose names do not begin with a dot, in order."""
    if not source.is_dir():
        return [source]
    files: list[Path] = []
    for path in sorted(source.iterdir()):
        if not path.name.startswith("."):
            files += files_of(path)
    return files


def edit(file: Path, name: bytes, change: Change) -> None:
    """Change the record of `name` in a file; one that was not there is appended.

    Nobody sees a half-written file, two who edit at once take turns, and everything else in it stays as it is.

    :raises SourceError: if the file can't be read or written.
    """
    try:
        with locked(file.with_name(f".lock.{file.name}")):
            content = _content(file) if file.exists() else b""
            _replace(file, b"".join(_edited(content, name, change)))
    except OSError as error:
        raise SourceError(f"{file}: can't be changed: {error.strerror}; {write_hint(error, file)}") from None


def read_hint(error: OSError) -> str:
    """Return what to do where a userdb can't be read."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "write it first, or name another with -f or --sysconfdir"
    return "run it as the owner of the file, or as root"


def write_hint(error: OSError, file: Path) -> str:
    """Return what to do where a userdb, or what is made of it, can't be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"free space on the file system of {file.parent} (df {file.parent}); it is as it was"
    if error.errno == errno.EROFS:
        return f"mount the file system of {file.parent} read-write"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"create {file.parent}, or name another with -f or --sysconfdir"
    return f"run it as the owner of {file.parent}, or as root"


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold `lock`, a file made if need be, as Courier's commands do."""
    # The directory may be another user's, who could have put a link to any file in the lock's place.
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _edited(content: bytes, name: bytes, change: Change) -> Iterator[bytes]:
    found = False
    # Not splitlines, which ends lines at other bytes too.
    for line in re.findall(rb"[^\n]*\n|[^\n]+", content):
        if not found and line.startswith(name + b"\t"):
            found = True
            fields = change(parse_fields(line.rstrip(b"\n").partition(b"\t")[2]))
            if fields is not None:
                yield b"%b\t%b\n" % (name, format_fields(fields))
        else:
            yield line
    if not found:
        if content and not content.endswith(b"\n"):
            yield b"\n"
        fields = change(None)
        if fields is not None:
            yield b"%b\t%b\n" % (name, format_fields(fields))


def _replace(file: Path, content: bytes) -> None:
    """Give `file` new content in one step; its owner and permissions stay."""
    # A name that no other user could have expected.
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".tmp.{file.name}.")
    try:
        _write(descriptor, file, content)
        os.replace(temporary, file)
    except OSError:
        os.unlink(temporary)
        raise


def _write(descriptor: int, file: Path, content: bytes) -> None:
    try:
        if file.exists():
            status = file.stat()
            os.fchmod(descriptor, status.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.fchown(descriptor, status.st_uid, status.st_gid)
        with open(descriptor, "wb", closefd=False) as out:
            out.write(content)
            out.flush()
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
