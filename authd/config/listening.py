"""Where the daemon listens: the listeners that ``AUTHD_LISTEN`` adds to Courier's socket."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from authd.config.nearest import suggestion

DEFAULT_MODES = {
    "authdaemond": 0o777,
    "control": 0o600,
    "dovecot-auth": 0o660,
    "dovecot-userdb": 0o600,
    "saslauthd": 0o777,
}
"""The protocols, and the mode that a socket has where none is given: what each protocol's own daemon gives it, but for
``dovecot-auth``, which a mail server that runs as another user is to reach by its group; ``control`` is the administrator's."""

MOST_LISTENERS = 32


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One listener.

    :param protocol: one of `DEFAULT_MODES`.
    :param path: the socket.
    :param mode: its permissions.
    :param owner: name of the user that it is given to; ``None`` to leave it the daemon's.
    :param group: name of the group, likewise.
    :param passwords: whether stored passwords may leave by it.
    """

    protocol: str
    path: Path
    mode: int
    owner: str | None = None
    group: str | None = None
    passwords: bool = True

    def below(self, directory: Path) -> ListenerSettings:
        """Return the same with its path taken from `directory` where it is relative."""
        return replace(self, path=directory / self.path)


def default_listener(socket: Path) -> ListenerSettings:
    """Return the listener that there is without any setting: Courier's socket."""
    return ListenerSettings("authdaemond", socket, DEFAULT_MODES["authdaemond"])


def control_listener(socket: Path) -> ListenerSettings:
    """Return the listener by which the caches are told to forget."""
    return ListenerSettings("control", socket, DEFAULT_MODES["control"])


def listeners(value: str) -> tuple[ListenerSettings, ...]:
    """Return the listeners of an ``AUTHD_LISTEN``.

    ::

        value    = [listener *(blank listener)]
        listener = protocol ":" path *("," key "=" value)      ; mode, owner, group, passwords
    """
    found = tuple(_listener(word) for word in value.split())
    if len(found) > MOST_LISTENERS:
        raise ValueError(f"expected at most {MOST_LISTENERS} listeners")
    return found


def with_default(added: tuple[ListenerSettings, ...], socket: Path) -> tuple[ListenerSettings, ...]:
    """Return Courier's socket and the listeners of ``AUTHD_LISTEN``, which may give that very socket other properties.

    :raises ValueError: if a path is not the only one, or belongs to something else of the daemon's.
    """
    added = tuple(_with_path(listener, socket) for listener in added)
    paths = [resolved(listener.path) for listener in added]
    for listener, path in zip(added, paths, strict=True):
        if paths.count(path) > 1:
            raise ValueError(f"expected each path once, and {listener.path} is there twice")
    first = next((listener for listener in added if listener.path == socket), default_listener(socket))
    if first.protocol != "authdaemond":
        raise ValueError(f"expected authdaemond at {socket}, which is Courier's socket")
    if resolved(socket.with_name("pid")) in paths:
        raise ValueError(f"expected another path than {socket.with_name('pid')}, which is the pid file's")
    control = socket.with_name("control")
    if any(is_same(listener.path, control) and listener.protocol != "control" for listener in added):
        raise ValueError(f"expected control at {control}, which is the control socket's path")
    return (first, *(listener for listener in added if listener.path != socket))


def _with_path(listener: ListenerSettings, socket: Path) -> ListenerSettings:
    """Return a listener with its whole path, and with that of Courier's socket where it is this socket in other words."""
    whole = listener.below(socket.parent)
    return replace(whole, path=socket) if is_same(whole.path, socket) else whole


def resolved(path: Path) -> Path:
    """Return the path of a socket without the links and dots that lead to its directory; the socket may be missing."""
    return Path(os.path.realpath(path.parent)) / path.name


def is_same(path: Path, other: Path) -> bool:
    """Tell whether two paths are of one socket."""
    return path.name == other.name and resolved(path) == resolved(other)


def _listener(word: str) -> ListenerSettings:
    place, *options = word.split(",")
    protocol, colon, path = place.partition(":")
    if protocol not in DEFAULT_MODES or not colon or not path:
        hint = suggestion(protocol, DEFAULT_MODES) if protocol not in DEFAULT_MODES else ""
        protocols = ", ".join(DEFAULT_MODES)
        raise ValueError(f"{hint}expected protocol:path with one of the protocols {protocols}")
    if not Path(path).name or path.endswith("/"):
        raise ValueError(f"expected the path of a socket for {protocol}, and {path} is a directory's")
    values: dict[str, Any] = {"mode": DEFAULT_MODES[protocol]}
    for option in options:
        key, _, value = option.partition("=")
        parse = _OPTIONS.get(key)
        if parse is None:
            raise ValueError(f"{suggestion(key, _OPTIONS)}expected {', '.join(_OPTIONS)} behind the path of {protocol}")
        values[key] = parse(value)
    return ListenerSettings(protocol, Path(path), **values)


def _mode(value: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", value):
        raise ValueError("expected mode=0660 or the like, three octal digits")
    return int(value, 8)


def _name(value: str) -> str:
    if not re.fullmatch(r"[^\s:,/]+", value):
        raise ValueError("expected the name of a user or group")
    return value


def _yes_no(value: str) -> bool:
    if value not in ("yes", "no"):
        raise ValueError("expected passwords=yes or passwords=no")
    return value == "yes"


_OPTIONS: dict[str, Callable[[str], Any]] = {"mode": _mode, "owner": _name, "group": _name, "passwords": _yes_no}
