"""``authd doctor``: whether a user can reach each socket, found out by being that user, and the mend where not."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from authd.cli.common import FAILED, OK, complain, configuration
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.config.listening import ListenerSettings

PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Patient:
    """Who is to reach the sockets.

    :param name: the user.
    :param uid: its id.
    :param gid: its primary group.
    :param groups: all its groups.
    :param chroot: the directory that is its root; ``None`` for the system's own.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    chroot: Path | None


class DoctorError(Exception):
    """There is nobody to examine; the text has the mend."""


def doctor(directory: str | None, user: str | None, chroot: str | None) -> int:
    """Tell for each listener whether `user` can reach it, and return the exit status: 0 if all can be reached.

    The control socket is for no mail program and left out.  Listeners outside a chroot are told and do not count, as long as one
    is inside.

    :param directory: where authdaemonrc is.
    :raises ConfigError: if it can't be read or used.
    """
    settings = authdaemonrc.load(configuration(directory))
    try:
        patient = _patient(user, chroot)
    except DoctorError as error:
        complain(str(error))
        return FAILED
    reachable = 0
    ill = False
    for listener in settings.listeners:
        if listener.protocol == "control":
            continue  # It is nobody's but the daemon's user's.
        problem, mend = _examine(listener, patient, settings)
        place = f"{listener.protocol}:{listener.path}"
        if not problem:
            reachable += 1
            print(f"{place}: {patient.name} can reach it")
        elif mend:
            ill = True
            print(f"{place}: {patient.name} can't reach it: {problem}; {mend}")
        else:
            print(f"{place}: {problem}")
    if not reachable and not ill:
        print(f"{patient.name} can reach none; {_mend_for_chroot(patient)}")
    return OK if reachable and not ill else FAILED


def _patient(user: str | None, chroot: str | None) -> Patient:
    try:
        account = pwd.getpwuid(os.geteuid()) if user is None else pwd.getpwnam(user)
    except KeyError:
        raise DoctorError(f"there is no user {user or os.geteuid()}; name one that mail programs run as") from None
    if os.geteuid() not in (0, account.pw_uid) or (chroot is not None and os.geteuid() != 0):
        raise DoctorError("only root can find out what another user, or one in a chroot, can reach; run it as root")
    root = Path(chroot).resolve() if chroot is not None else None
    if root is not None and not root.is_dir():
        raise DoctorError(f"{chroot}: not a directory; name the one that the programs are locked into")
    groups = os.getgrouplist(account.pw_name, account.pw_gid) if user is not None else os.getgroups()
    return Patient(account.pw_name, account.pw_uid, account.pw_gid, tuple(groups), root)


def _examine(listener: ListenerSettings, patient: Patient, settings: DaemonSettings) -> tuple[str, str]:
    """Return what keeps `patient` from a listener and the mend; no problem where nothing does, no mend where none is due."""
    inside = listener.path.parent.resolve() / listener.path.name
    if patient.chroot is not None:
        if not inside.is_relative_to(patient.chroot):
            return f"outside {patient.chroot}, so {patient.name} there can't reach it", ""
        inside = Path("/") / inside.relative_to(patient.chroot)
    problem = _try(inside, patient)
    if not problem:
        return "", ""
    for obstacle, mend in _obstacles(listener, patient):
        return obstacle, mend
    return problem, f"authdaemond status --sysconfdir {settings.file.parent} tells whether the daemon runs"


def _try(path: Path, patient: Patient) -> str:
    """Connect to `path` as `patient`, in a process of its own; return why it fails."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        problem = "can't become the user"
        try:
            os.close(told)
            if patient.chroot is not None:
                os.chroot(patient.chroot)
                os.chdir("/")
            if os.geteuid() == 0:
                os.setgroups(patient.groups)
                os.setgid(patient.gid)
                os.setuid(patient.uid)
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(PROBE_SECONDS)
                probe.connect(str(path))
            problem = ""
        except OSError as error:
            problem = error.strerror or str(error)
        finally:
            os.write(tell, problem.encode())
            os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        problem = pipe.read().decode()
    os.waitpid(child, 0)
    return problem


def _obstacles(listener: ListenerSettings, patient: Patient) -> Iterator[tuple[str, str]]:
    """Yield what is in the way, from the root on, and what to do about it."""
    for directory in reversed(listener.path.parents):
        try:
            status = directory.stat()
        except OSError as error:
            yield f"{directory}: {error.strerror}", "create it, and start the daemon"
            return
        if not _may(status, patient, stat.S_IXOTH):
            yield f"may not enter {directory} ({_shown(status)})", _mend_access(status, patient, directory, "x")
    try:
        status = listener.path.lstat()
    except OSError as error:
        yield f"{listener.path}: {error.strerror}", "start the daemon"
        return
    if not stat.S_ISSOCK(status.st_mode):
        yield f"{listener.path} is no socket", "remove it, and restart the daemon"
    elif not _may(status, patient, stat.S_IWOTH):
        yield f"may not write to {listener.path} ({_shown(status)})", _mend_socket(status, listener, patient)


def _may(status: os.stat_result, patient: Patient, right: int) -> bool:
    """Tell whether the mode gives `patient` a right, which is one of those of others."""
    if patient.uid == 0:
        return True
    if status.st_uid == patient.uid:
        return bool(status.st_mode & right << 6)
    if status.st_gid in patient.groups:
        return bool(status.st_mode & right << 3)
    return bool(status.st_mode & right)


def _mend_access(status: os.stat_result, patient: Patient, path: Path, right: str) -> str:
    if status.st_mode & stat.S_IXGRP and status.st_gid != 0:
        return f"adduser {patient.name} {_group(status.st_gid)}, and restart its programs"
    return f"chmod o+{right} {path}"


def _mend_socket(status: os.stat_result, listener: ListenerSettings, patient: Patient) -> str:
    if status.st_mode & stat.S_IWGRP and status.st_gid != 0:
        return f"adduser {patient.name} {_group(status.st_gid)}, and restart its programs"
    place = f"{listener.protocol}:{listener.path}"
    return f"give {place} in AUTHD_LISTEN owner={patient.name} or another mode, and restart the daemon"


def _mend_for_chroot(patient: Patient) -> str:
    path = f"{patient.chroot}/private/authdaemond"
    return (
        f'add AUTHD_LISTEN="authdaemond:{path},mode=0600,owner={patient.name}" to authdaemonrc, and restart the daemon'
    )


def _shown(status: os.stat_result) -> str:
    return f"{stat.filemode(status.st_mode)} {_user(status.st_uid)} {_group(status.st_gid)}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
