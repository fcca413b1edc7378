"""The obstacles between a user and a socket, and a hint that opens this socket and no other.

Joining a group, or opening a directory to all, may open more than the socket in question: another one by which stored passwords
leave, or a file with a password in it.  Then the hint is a socket of the user's own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from authd.config.authdaemonrc import DaemonSettings
from authd.config.listening import ListenerSettings
from authd.config.names import group_name, user_name


@dataclass(frozen=True, slots=True)
class Patient:
    """The sockets' intended user.

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

    def joined(self, gid: int) -> Patient:
        """Return the user as a member of one more group."""
        return replace(self, groups=(*self.groups, gid))


ANYBODY = Patient("everybody", -1, -1, (), None)
"""A user that has the rights of others, and no more."""


def obstacles(listener: ListenerSettings, patient: Patient, settings: DaemonSettings) -> Iterator[tuple[str, str]]:
    """Yield what is in the way to a listener, from the root on, and what to do about it."""
    for directory in reversed(listener.path.parents):
        try:
            status = directory.stat()
        except OSError as error:
            yield f"{directory}: {error.strerror}", "create it, and start the daemon"
            return
        if not _may(status, patient, stat.S_IXOTH):
            hint = _directory_hint(status, directory, listener, patient, settings)
            yield f"may not enter {directory} ({_shown(status)})", hint
    try:
        status = listener.path.lstat()
    except OSError as error:
        yield f"{listener.path}: {error.strerror}", "start the daemon"
        return
    if not stat.S_ISSOCK(status.st_mode):
        yield f"{listener.path} is no socket", "remove it, and restart the daemon"
    elif not _may(status, patient, stat.S_IWOTH):
        hint = _socket_hint(status, listener, patient, settings)
        yield f"may not write to {listener.path} ({_shown(status)})", hint


def chroot_hint(patient: Patient, protocol: str, settings: DaemonSettings) -> str:
    """Return how `patient` gets a socket inside its chroot."""
    value = f"{protocol}:{patient.chroot}/private/{_NAMES.get(protocol, protocol)},mode=0600,owner={patient.name}"
    return _listen_hint(value, settings)


def _directory_hint(
    status: os.stat_result, directory: Path, listener: ListenerSettings, patient: Patient, settings: DaemonSettings
) -> str:
    if status.st_mode & stat.S_IXGRP and status.st_gid != 0:
        return _group_hint(status.st_gid, listener, patient, settings)
    exposed = _opened(settings, ANYBODY, ANYBODY, directory)
    if exposed:
        return f"leave it, since all users could use {exposed} then; {_own_socket_hint(listener, patient, settings)}"
    return f"chmod o+x {directory}"


def _socket_hint(status: os.stat_result, listener: ListenerSettings, patient: Patient, settings: DaemonSettings) -> str:
    if status.st_mode & stat.S_IWGRP and status.st_gid != 0:
        return _group_hint(status.st_gid, listener, patient, settings)
    place = f"{listener.protocol}:{listener.path}"
    return f"give {place} in AUTHD_LISTEN owner={patient.name} or another mode, and restart the daemon"


def _group_hint(gid: int, listener: ListenerSettings, patient: Patient, settings: DaemonSettings) -> str:
    """Return the advice to join a group, unless that opens more than `listener`."""
    exposed = _opened(settings, patient, patient.joined(gid), None, listener) or _readable_secret(
        settings, gid, patient
    )
    if exposed:
        return (
            f"do not join the group {group_name(gid)}, which also opens {exposed}; "
            f"{_own_socket_hint(listener, patient, settings)}"
        )
    return f"adduser {patient.name} {group_name(gid)}, and restart its programs"


def _opened(
    settings: DaemonSettings,
    before: Patient,
    after: Patient,
    entered: Path | None = None,
    wanted: ListenerSettings | None = None,
) -> str:
    """Return a listener of more than logins that `after` can use and `before` can't; empty if there is none.

    :param entered: a directory that all may enter afterwards.
    :param wanted: the listener that is to be opened, and does not count.
    """
    for listener in settings.listeners:
        danger = _danger(listener)
        if danger and listener != wanted and not _reaches(listener, before) and _reaches(listener, after, entered):
            return f"{listener.protocol}:{listener.path} ({danger})"
    return ""


def _danger(listener: ListenerSettings) -> str:
    """Return what a listener gives away besides the answer to a login; empty for nothing."""
    if listener.protocol == "authdaemond" and listener.passwords:
        return "stored passwords leave by it"
    return {"control": "it is the administrator's", "dovecot-userdb": "it tells of every account"}.get(
        listener.protocol, ""
    )


def _reaches(listener: ListenerSettings, patient: Patient, entered: Path | None = None) -> bool:
    """Tell whether the modes let `patient` use a listener; a chroot does not count, since a group holds outside of it too.

    A socket that is not there now, or out of sight, has the mode and group that it is to get.
    """
    if not all(directory == entered or _may_enter(directory, patient) for directory in listener.path.parents):
        return False
    try:
        return _may(listener.path.stat(), patient, stat.S_IWOTH)
    except OSError:
        return bool(listener.mode & stat.S_IWOTH) or (
            bool(listener.mode & stat.S_IWGRP) and listener.group in [group_name(gid) for gid in patient.groups]
        )


def _may_enter(directory: Path, patient: Patient) -> bool:
    """Tell whether `patient` may enter a directory; one that is out of sight counts as open."""
    try:
        return _may(directory.stat(), patient, stat.S_IXOTH)
    except PermissionError:
        return True
    except OSError:
        return False


def _readable_secret(settings: DaemonSettings, gid: int, patient: Patient) -> str:
    """Return a configuration file that `gid` can read and `patient` can't yet; empty if there is none."""
    for name in settings.modules:
        for file in (settings.file.parent / f"{name}rc", settings.file.parent / "userdbshadow.dat"):
            try:
                status = file.stat()
                enters = all(_may(above.stat(), patient.joined(gid), stat.S_IXOTH) for above in file.parents)
            except OSError:
                continue
            joined = _may(status, patient.joined(gid), stat.S_IROTH)
            if enters and joined and not _may(status, patient, stat.S_IROTH):
                return f"{file} (it may have passwords)"
    return ""


_NAMES = {
    "authdaemond": "authdaemond",
    "dovecot-auth": "auth",
    "dovecot-userdb": "userdb",
    "saslauthd": "mux",
}
"""Usual names of sockets."""


def _own_socket_hint(listener: ListenerSettings, patient: Patient, settings: DaemonSettings) -> str:
    """Return how `patient` gets a socket of its own: in the directory of the other one if it may enter it, else in a new one."""
    group = group_name(patient.gid)
    directory = listener.path.parent
    create = ""
    if not all(_enters(above, patient) for above in (directory, *directory.parents)):
        above = next(
            above for above in directory.parents if all(_enters(one, patient) for one in (above, *above.parents))
        )
        above = Path("/run") if above in (Path("/"), Path("/tmp")) else above  # noqa: S108 - not used, but avoided
        directory = above / f"authd-{patient.name}"
        owner = settings.user or "root"
        create = f"install -d -m 0750 -o {owner} -g {group} {directory} (at each boot, by tmpfiles.d), and "
    name = _NAMES.get(listener.protocol, listener.protocol)
    passwords = ",passwords=no" if listener.protocol == "authdaemond" else ""
    path = directory / (f"{name}-{patient.name}" if not create else name)
    return create + _listen_hint(f"{listener.protocol}:{path},mode=0660,group={group}{passwords}", settings)


def _listen_hint(value: str, settings: DaemonSettings) -> str:
    if settings.added_listeners:
        return f"add {value} to AUTHD_LISTEN in authdaemonrc, and restart the daemon"
    return f'add AUTHD_LISTEN="{value}" to authdaemonrc, and restart the daemon'


def _enters(directory: Path, patient: Patient) -> bool:
    try:
        return _may(directory.stat(), patient, stat.S_IXOTH)
    except OSError:
        return False


def _may(status: os.stat_result, patient: Patient, right: int) -> bool:
    """Tell whether the mode gives `patient` a right, which is one of those of others."""
    if patient.uid == 0:
        return True
    if status.st_uid == patient.uid:
        return bool(status.st_mode & right << 6)
    if status.st_gid in patient.groups:
        return bool(status.st_mode & right << 3)
    return bool(status.st_mode & right)


def _shown(status: os.stat_result) -> str:
    return f"{stat.filemode(status.st_mode)} {user_name(status.st_uid)} {group_name(status.st_gid)}"
