"""``authd doctor``: whether a user can reach each socket, found out by being that user, and the hint where not."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from authd.cli.access import Patient, chroot_hint, obstacles
from authd.cli.common import FAILED, OK, complain, configuration
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.config.listening import ListenerSettings, is_same, resolved

PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The listeners to examine.

    :param socket: path of one; ``None`` for all.
    :param protocol: name of the protocol that they speak; ``None`` for all.
    """

    socket: str | None = None
    protocol: str | None = None

    def of(self, settings: DaemonSettings) -> Sequence[ListenerSettings]:
        """Return the listeners of `settings` that are chosen; without a choice all but the control socket.

        :raises DoctorError: if there is none.
        """
        if self.socket is None and self.protocol is None:
            return [one for one in settings.listeners if one.protocol != "control"]
        # As it is seen from here, or as it is written in AUTHD_LISTEN.
        paths = [] if self.socket is None else [Path(self.socket), settings.directory.path / self.socket]
        chosen = [
            one
            for one in settings.listeners
            if self.protocol in (None, one.protocol)
            and (self.socket is None or any(is_same(path, one.path) for path in paths))
        ]
        if not chosen:
            there = " ".join(f"{one.protocol}:{one.path}" for one in settings.listeners)
            wanted = f"socket {self.socket}" if self.socket else "socket"
            wanted += f" for {self.protocol}" if self.protocol else ""
            raise DoctorError(
                f"{settings.file}: the daemon has no {wanted}; it has {there}; name one of these, or add it to AUTHD_LISTEN"
            )
        return chosen


class DoctorError(Exception):
    """There is nothing to examine; the text has the hint."""


def doctor(directory: str | None, user: str | None, chroot: str | None, choice: Choice) -> int:
    """Tell for each listener whether `user` can reach it, and return the exit status: 0 if all can be reached.

    The control socket is for no mail program and left out unless it is chosen.  Listeners outside a chroot are told and do not
    count, as long as one is inside.

    :param directory: where authdaemonrc is.
    :raises ConfigError: if it can't be read or used.
    """
    settings = authdaemonrc.load(configuration(directory))
    try:
        patient = _patient(user, chroot)
        chosen = choice.of(settings)
    except DoctorError as error:
        complain(str(error))
        return FAILED
    reachable = 0
    ill = False
    for listener in chosen:
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
        print(f"{patient.name} can reach none; {chroot_hint(patient, chosen[0].protocol, settings)}")
    return OK if reachable and not ill else FAILED


def _patient(user: str | None, chroot: str | None) -> Patient:
    try:
        account = pwd.getpwuid(os.geteuid()) if user is None else pwd.getpwnam(user)
    except KeyError:
        named = f"user {os.geteuid()}" if user is None else f"user {user}" if user else "user without a name"
        raise DoctorError(f"there is no {named}; name one that mail programs run as") from None
    if os.geteuid() not in (0, account.pw_uid) or (chroot is not None and os.geteuid() != 0):
        raise DoctorError("only root can find out what another user, or one in a chroot, can reach; run it as root")
    root = Path(os.path.realpath(chroot)) if chroot is not None else None
    if root is not None and not root.is_dir():
        raise DoctorError(f"{chroot}: not a directory; name the one that the programs are locked into")
    groups = os.getgrouplist(account.pw_name, account.pw_gid) if user is not None else os.getgroups()
    return Patient(account.pw_name, account.pw_uid, account.pw_gid, tuple(groups), root)


def _examine(listener: ListenerSettings, patient: Patient, settings: DaemonSettings) -> tuple[str, str]:
    """Return what keeps `patient` from a listener and the mend; no problem where nothing does, no mend where none is due."""
    inside = resolved(listener.path)
    if patient.chroot is not None:
        if not inside.is_relative_to(patient.chroot):
            return f"outside {patient.chroot}, so {patient.name} there can't reach it", ""
        inside = Path("/") / inside.relative_to(patient.chroot)
    problem = _try(inside, patient)
    if not problem:
        return "", ""
    for obstacle, mend in obstacles(listener, patient, settings):
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
