"""The pid file: who runs, proved by a lock that ends with the process."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class AlreadyRunning(Exception):
    """Another process holds the pid file.

    :ivar pid: its process id, 0 if the file does not tell.
    """

    def __init__(self, file: Path, pid: int) -> None:
        super().__init__(f"{file}: already running, process {pid or 'unknown'}")
        self.pid = pid


class PidFile:
    """The locked pid file of this daemon.

    The lock is on the open file, so it survives going to the background and is gone when the last process with it ends; a
    file that a crash left behind is simply taken over.

    :raises AlreadyRunning: if another process holds it.
    :raises OSError: if it can't be written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.descriptor)
            raise AlreadyRunning(file, running(file) or 0) from None

    def write(self) -> None:
        """Write this process's id, for all to read whatever the umask was.

        :raises OSError: with the file's name, if it can't be written.
        """
        try:
            os.fchmod(self.descriptor, 0o644)
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._file)) from None

    def remove(self) -> None:
        """Remove the file and give the lock back; empty it where this user may not remove it."""
        os.ftruncate(self.descriptor, 0)
        with suppress(PermissionError):
            self._file.unlink(missing_ok=True)
        os.close(self.descriptor)

    def __enter__(self) -> PidFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def running(file: Path) -> int | None:
    """Return the id of the process that holds the pid file, 0 if it has not written it yet, ``None`` if none does."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        content = os.pread(descriptor, 32, 0).strip()
        return int(content) if content.isdigit() else 0
    finally:
        os.close(descriptor)
    return None
