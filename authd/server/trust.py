"""Remarks on users and groups who can do more with the sockets than they may be meant to."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path

from authd.config.authdaemonrc import DaemonSettings
from authd.config.listening import ListenerSettings
from authd.config.names import group_name
from authd.config.problem import Problem
from authd.server.directory import user_in_words

REVEALING_PROTOCOLS = ("authdaemond",)
"""Protocols by which a lookup tells the stored password of any account."""


def remarks(settings: DaemonSettings) -> Iterator[Problem]:
    """Yield what is odd about the directories of the sockets."""
    trusted = _trusted(settings.user)
    directory = settings.directory.path
    for problem, mend in _of_run_directory(directory, trusted):
        yield Problem(settings.file, problem, mend, setting="authdaemonvar", fatal=False)
    for listener in settings.listeners:
        problem = _exposure(listener)
        if problem:
            ours = listener.path.parent == directory
            mend = f"chmod o-x {listener.path.parent}, or add passwords=no to it in AUTHD_LISTEN"
            setting = "authdaemonvar" if ours else "AUTHD_LISTEN"
            yield Problem(settings.file, problem, mend, setting=setting, fatal=False)


def _trusted(user: str) -> dict[int, int]:
    """Return root, this user and the one that the daemon becomes, each with its primary group."""
    found = {0: 0, os.geteuid(): os.getegid()}
    with suppress(KeyError):
        account = pwd.getpwnam(user)
        found[account.pw_uid] = account.pw_gid
    return found


def _of_run_directory(directory: Path, trusted: dict[int, int]) -> Iterator[tuple[str, str]]:
    """Yield what lets another user put a directory or a socket in the place of the daemon's, and the mend."""
    try:
        resolved = Path(os.path.realpath(directory, strict=True))
        statuses = [(path, path.stat()) for path in (resolved, *resolved.parents)]
    except OSError:
        return  # The start says what is wrong with it.
    for path, status in statuses:
        what = "a socket" if path == resolved else "a directory"
        if status.st_uid not in trusted:
            other = user_in_words(status.st_uid)
            problem = f"{path} belongs to {other}, who can put {what} of theirs in the place of the daemon's"
            mend = f"chown root {path}, or name that user in AUTHD_USER" if path == resolved else f"chown root {path}"
            yield problem, mend
        if path != resolved and status.st_mode & stat.S_ISVTX:
            continue
        if path != resolved and status.st_mode & stat.S_IWOTH:
            yield f"others can write to {path}, and put a directory of theirs in the daemon's place", f"chmod +t {path}"
        elif status.st_mode & stat.S_IWGRP and not _is_trusted_group(status.st_gid, trusted):
            problem = f"members of the group {group_name(status.st_gid)} can write to {path}, and put {what} of theirs in the "
            yield f"{problem}place of the daemon's", f"chmod {'g-w' if path == resolved else '+t'} {path}"


def _is_trusted_group(gid: int, trusted: dict[int, int]) -> bool:
    """Tell whether a group is root's, or the own group of a trusted user with no members but trusted ones."""
    if gid == 0:
        return True
    if gid not in trusted.values():
        return False
    return _members(gid) <= {_name(uid) for uid in trusted}


def _members(gid: int) -> Set[str]:
    try:
        return set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return set()


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _exposure(listener: ListenerSettings) -> str:
    """Return in words that all users can have stored passwords by a listener; empty if they can't."""
    if listener.protocol not in REVEALING_PROTOCOLS or not listener.passwords or not listener.mode & stat.S_IWOTH:
        return ""
    try:
        parent = Path(os.path.realpath(listener.path.parent, strict=True))
        # A directory that others can write to is refused anyway.
        if parent.stat().st_mode & stat.S_IWOTH or not all(
            path.stat().st_mode & stat.S_IXOTH for path in (parent, *parent.parents)
        ):
            return ""
    except OSError:
        return ""
    name = listener.path.name
    return f"every user can enter {listener.path.parent}, and have any account's stored password by the socket {name}"
