"""The pid file: which process is the daemon, proved by locks that end with it.

The directory may belong to an ordinary user, while root starts and stops the daemon.  So what the file says is never believed:
the kernel names the process that holds the lock, and a signal goes to that very process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import select
import signal
import stat
import struct
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from authd.server.directory import (
    ListenError,
    PlaceError,
    identity_of,
    kind,
    opened_directory,
    owner,
    remove,
    status_of,
    user_in_words,
)

LONGEST = 32
"""Bytes that a pid file may have."""

ATTEMPTS = 5
"""Times that the file is opened anew because another has its name by the time that it is locked."""

_LOCK = "hhqqi"
"""``struct flock``: type, whence, start, length, pid."""


class PidFileError(PlaceError):
    """The pid file can't be used, or is locked by a process that can't be told to be the daemon."""


class AlreadyRunning(Exception):
    """Another process holds the pid file.

    :ivar pid: its process id, 0 if it can't be told.
    """

    def __init__(self, file: Path, pid: int) -> None:
        if pid:
            text = f"{file}: already running, process {pid}"
        else:
            text = f"{file}: locked by a daemon that starts or by a process that is none; see fuser -v {file}"
        super().__init__(text)
        self.pid = pid


class PidFile:
    """The locked pid file of this daemon.

    One lock is on the open file, so it survives going to the background and is gone when the last process with it ends; a
    file that a crash left behind is taken over, if it belongs to root, this user, `user` or the directory's owner.  The other is
    the process's own, and tells its id; `write` takes it.

    :param user: name of the user that the daemon becomes; empty for none.
    :raises AlreadyRunning: if another process holds it.
    :raises PidFileError: if the file is none that may be written.
    :raises OSError: with the file's name, if it can't be made or written.
    :raises ListenError: if its directory is missing or open to others.
    """

    def __init__(self, file: Path, user: str = "") -> None:
        self._file = file
        with opened_directory(file.parent) as directory:
            trusted = _trusted(directory, user)
            for _ in range(ATTEMPTS):
                self.descriptor = _open_to_write(file, directory, trusted)
                try:
                    _lock(file, self.descriptor)
                    status = status_of(file.name, directory)
                    if status is not None and identity_of(status) == identity_of(os.fstat(self.descriptor)):
                        return
                except BaseException:
                    os.close(self.descriptor)
                    raise
                # The daemon that held it has removed it.
                os.close(self.descriptor)
        raise PidFileError(file, "other files are put in its place again and again", "find out which program does it")

    def write(self) -> None:
        """Write this process's id, for all to read whatever the umask was.

        :raises AlreadyRunning: if another process has a lock of its own on the file.
        :raises OSError: with the file's name, if it can't be written.
        """
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise AlreadyRunning(self._file, _writer(self.descriptor)) from None
        # The mode of a file of root's is root's to change.
        with suppress(PermissionError):
            os.fchmod(self.descriptor, 0o644)
        try:
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._file)) from None

    def remove(self) -> None:
        """Remove the file and give the lock back; empty it where this user may not remove it."""
        os.ftruncate(self.descriptor, 0)
        with suppress(ListenError, OSError), opened_directory(self._file.parent) as directory:
            remove(directory, self._file.name, identity_of(os.fstat(self.descriptor)))
        os.close(self.descriptor)

    def __enter__(self) -> PidFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


class Daemon:
    """A daemon that runs.

    :ivar pid: its process id.
    :ivar process: a pidfd, which is that process and never another that got its number.
    """

    def __init__(self, pid: int, process: int) -> None:
        self.pid = pid
        self.process = process

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing if it has ended.

        :raises PermissionError: if it is another user's; the error names the process.
        """
        try:
            signal.pidfd_send_signal(self.process, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise self.not_ours() from None

    def not_ours(self) -> PermissionError:
        """Return the error that this user may not tell it what to do."""
        problem = f"{os.strerror(errno.EPERM)}; it is another user's; run it as root"
        return PermissionError(errno.EPERM, problem, f"process {self.pid}")

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end, and tell whether it has come."""
        return bool(select.select([self.process], [], [], seconds)[0])


@contextmanager
def running_daemon(file: Path) -> Iterator[Daemon | None]:
    """Give the daemon that holds a pid file, ``None`` if no process does.

    :raises PidFileError: if a process holds it that can't be told to be a daemon.
    """
    descriptor = _open_to_read(file)
    if descriptor is None:
        yield None
        return
    process = -1
    try:
        if not _is_locked(descriptor):
            yield None
            return
        pid = _writer(descriptor)
        with suppress(OSError):
            process = os.pidfd_open(pid) if pid else -1
        # A process that holds the lock before and after has held it throughout, so the number is its own.
        if process < 0 or _writer(descriptor) != pid:
            raise PidFileError(
                file,
                "locked by a process that is no daemon, or one that is about to start or to end",
                f"try again, then see fuser -v {file}",
            )
        if not _is_authd(pid):
            raise PidFileError(file, f"locked by process {pid}, which is no authdaemond", "end that process")
        yield Daemon(pid, process)
    finally:
        if process >= 0:
            os.close(process)
        os.close(descriptor)


@contextmanager
def daemon_of(pid: int | None) -> Iterator[Daemon | None]:
    """Give the daemon with a process id that was found out in another way than by its pid file; ``None`` if it is none."""
    process = -1
    with suppress(OSError):
        process = os.pidfd_open(pid) if pid else -1
    try:
        yield Daemon(pid, process) if pid and process >= 0 and _is_authd(pid) else None
    finally:
        if process >= 0:
            os.close(process)


def running(file: Path) -> int | None:
    """Return the id of the process that holds the pid file, 0 if it can't be told, ``None`` if none does.

    :raises PidFileError: if the file can't be read, or is none that a daemon wrote.
    """
    descriptor = _open_to_read(file)
    if descriptor is None:
        return None
    try:
        if not _is_locked(descriptor):
            return None
        return _holder(descriptor)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> int:
    """Return the id of the daemon that holds a locked file, 0 if it can't be told."""
    pid = _writer(descriptor)
    if not pid and os.pread(descriptor, LONGEST, 0).strip() == b"%d" % os.getpid():
        # A process's own lock is none to itself.
        return os.getpid()
    return pid


def check_pid_file(file: Path, user: str) -> bool:
    """See whether a start can use the pid file, and tell whether a daemon holds it; nothing is changed.

    :param user: as in `PidFile`.
    :raises PidFileError: if it can't.
    :raises ListenError: if its directory is missing or open to others.
    """
    with opened_directory(file.parent) as directory:
        status = status_of(file.name, directory)
        if status is not None:
            _check(file, status, _trusted(directory, user))
    descriptor = _open_to_read(file)
    if descriptor is None:
        return False
    try:
        if _is_locked(descriptor) or _writer(descriptor):
            return True
        _check_content(file, descriptor)
        return False
    finally:
        os.close(descriptor)


def _trusted(directory: int, user: str) -> Set[int]:
    """Return the users who may have written the pid file in a directory."""
    trusted = {0, os.geteuid(), os.fstat(directory).st_uid}
    with suppress(KeyError):
        trusted.add(pwd.getpwnam(user).pw_uid)
    return trusted


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _writer(descriptor: int) -> int:
    """Return the process that has a lock of its own on the file, for which it had to open it for writing; 0 if none has.

    A user who can do no more than read the file can't hold such a lock.
    """
    asked = struct.pack(_LOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_LOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return max(pid, 0) if kind == fcntl.F_WRLCK else 0


def _is_authd(pid: int) -> bool:
    """Tell whether a process runs this program; root alone asks, since others can't signal any but their own."""
    if os.geteuid() != 0:
        return True
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(os.path.basename(word) in (b"authdaemond", b"authd.cli.authdaemond") for word in words)


def _lock(file: Path, descriptor: int) -> None:
    """Lock the pid file, and see that it is one.

    :raises AlreadyRunning: if another process holds it.
    :raises PidFileError: if it may not be written.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(file, _holder(descriptor)) from None
    pid = _writer(descriptor)
    if pid:
        raise AlreadyRunning(file, pid)
    _check_content(file, descriptor)


def _check_content(file: Path, descriptor: int) -> None:
    """See that a file has a process id in it, or nothing.

    :raises PidFileError: if it has something else.
    """
    content = os.pread(descriptor, LONGEST + 1, 0)
    if len(content) > LONGEST or not (content.strip() == b"" or content.strip().isdigit()):
        raise PidFileError(file, "is not a pid file, by its content", "move it away")


def _check(file: Path, status: os.stat_result, trusted: Set[int] | None) -> None:
    """See that a file can be a pid file: a regular one with one name, of a user who may have written it.

    :param trusted: these users; ``None`` for all.
    :raises PidFileError: if it can't.
    """
    if not stat.S_ISREG(status.st_mode):
        problem = f"{kind(status.st_mode)} of {owner(status)} is in the place of the pid file"
        raise PidFileError(file, problem, "remove it")
    if status.st_nlink != 1:
        problem = f"a file of {owner(status)} that has another name too is in the place of the pid file"
        raise PidFileError(file, problem, "remove this name of it")
    if trusted is not None and status.st_uid not in trusted:
        names = " or ".join(sorted(user_in_words(uid) for uid in trusted))
        raise PidFileError(file, f"is a file of {owner(status)}, and not of {names}", "remove it")


def _open_to_write(file: Path, directory: int, trusted: Set[int]) -> int:
    """Return a descriptor of the pid file, made if there is none; nothing is changed if there is one.

    :raises PidFileError: if it is no regular file.
    :raises OSError: with its name, if it can't be opened.
    """
    if os.fstat(directory).st_mode & stat.S_IWOTH:
        problem = "others can write to it, and could put a socket of theirs in its place"
        raise ListenError(file.parent, problem, f"chmod o-w {file.parent}")
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    for _ in range(ATTEMPTS):
        try:
            status = status_of(file.name, directory)
            if status is None:
                descriptor = os.open(file.name, flags | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
                os.fchmod(descriptor, 0o644)
                return descriptor
            # A device does things when it is opened.
            _check(file, status, trusted)
            # Should it be a FIFO by now, that must not keep this process.
            descriptor = os.open(file.name, flags | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=directory)
            try:
                _check(file, os.fstat(descriptor), trusted)
            except PidFileError:
                os.close(descriptor)
                raise
            return descriptor
        except (FileExistsError, FileNotFoundError):
            continue
        except OSError as error:
            if error.errno == errno.ELOOP:
                continue
            raise OSError(error.errno, error.strerror, str(file)) from None
    raise PidFileError(file, "other files are put in its place again and again", "find out which program does it")


def _open_to_read(file: Path) -> int | None:
    """Return a descriptor of the pid file, ``None`` if there is none.

    :raises PidFileError: if it can't be read, or is none that a daemon wrote.
    """
    try:
        with opened_directory(file.parent) as directory:
            status = status_of(file.name, directory)
            if status is None:
                return None
            _check(file, status, None)
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
            descriptor = os.open(file.name, flags, dir_fd=directory)
            try:
                _check(file, os.fstat(descriptor), None)
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor
    except ListenError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        if isinstance(error.__cause__, PermissionError):
            raise PidFileError(file, f"can't be read: {error.problem}", "run the command as root") from error
        raise
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PidFileError(file, f"can't be read: {error.strerror}", "run the command as root") from error
