"""Where the daemon's lines go: syslog, or standard error in the foreground.

Lines are ``LEVEL: text`` on standard error and ``text`` at the level's priority in syslog.  Whatever a client sent is made
printable, so that no line can be forged; one that holds a password is written at ``DEBUG_LOGIN=2`` only.
"""

from __future__ import annotations

import logging
import os
import re
import syslog
from collections.abc import Mapping
from contextlib import suppress

LOGGER = logging.getLogger("authd")

NOTICE = 25
"""Between INFO and WARNING: what syslog calls notice; rejected logins."""

STDERR = 2

_PRIORITIES = {
    logging.DEBUG: syslog.LOG_DEBUG,
    logging.INFO: syslog.LOG_INFO,
    NOTICE: syslog.LOG_NOTICE,
    logging.WARNING: syslog.LOG_WARNING,
    logging.ERROR: syslog.LOG_ERR,
    logging.CRITICAL: syslog.LOG_CRIT,
}
_LABELS = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    NOTICE: "NOTICE",
    logging.WARNING: "WARN",
    logging.ERROR: "ERR",
    logging.CRITICAL: "CRIT",
}


WRITTEN_AT_ONCE = 4096
"""Bytes that a pipe takes whole, so that lines of several processes do not get into each other."""


_WORDS = {level: f"{label}: " for level, label in _LABELS.items()}
_NUMBERS = {level: f"<{priority}>" for level, priority in _PRIORITIES.items()}
"""What stands before a line on standard error: where people read it, and, as sd-daemon(3) has it, where the journal does."""


class _Stderr:
    """Writes lines to standard error, several at once.

    :param prefixes: what stands before a line, by its level.
    """

    def __init__(self, prefixes: Mapping[int, str]) -> None:
        self._prefixes = prefixes
        self._kept = ""

    def add(self, level: int, line: str) -> None:
        """Keep a line, which is printable already, to be written with others."""
        line = f"{self._prefixes[level]}{line}\n"
        if len(self._kept) + len(line) > WRITTEN_AT_ONCE:
            self.flush()
        self._kept += line

    def flush(self) -> None:
        """Write what was kept."""
        if self._kept:
            kept, self._kept = self._kept, ""
            # A log that can't be written is no reason to fail.
            with suppress(OSError):
                os.write(STDERR, kept.encode())


class _Syslog:
    """Writes lines to syslog, one by one."""

    def add(self, level: int, line: str) -> None:
        """Write a line."""
        syslog.syslog(_PRIORITIES[level], line)

    def flush(self) -> None:
        """Nothing is left to do."""


class _Handler(logging.Handler):
    """Makes lines of what is logged, and has `sink` write them."""

    sink: _Stderr | _Syslog = _Stderr(_WORDS)

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).split("\n"):
            self.sink.add(record.levelno, printable(line))
        self.sink.flush()


_HANDLER = _Handler()


def write_line(level: int, line: str) -> None:
    """Write one line, all of which is printable, without the detours of ``logging``: every request does.

    It may be kept until `flush_lines`, so that those who are answered together cost one write.
    """
    if LOGGER.isEnabledFor(level):
        _HANDLER.sink.add(level, line)


def flush_lines() -> None:
    """Have what `write_line` was given written by now."""
    _HANDLER.sink.flush()


def printable(text: str) -> str:
    """Return `text` with everything that is not printable ASCII escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else _escaped(c) for c in text)


_PLAIN = re.compile(rb"[ !#-\[\]-~]*").fullmatch


def quoted(value: bytes) -> str:
    """Return `value` printable and in double quotes, so that nothing in it can be taken for another field."""
    if _PLAIN(value):
        return f'"{value.decode()}"'
    text = value.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(text)}"'


def ip_field(remote_ip: bytes) -> str:
    """Return the field of a line that has the mail client's address, with a space before it; nothing where it is not known."""
    return f" ip={quoted(remote_ip)}" if remote_ip else ""


def log_to_stderr(debug: bool) -> None:
    """Send the daemon's lines to standard error; with priorities where that is the journal of systemd."""
    _install(_Stderr(_NUMBERS if _is_journal(STDERR) else _WORDS), debug)


def log_to_syslog(name: str, facility: str, debug: bool) -> None:
    """Send the daemon's lines to syslog.

    :param name: what the lines are tagged with.
    :param facility: syslog's name for it in lower case, such as ``mail``.
    """
    syslog.openlog(name, syslog.LOG_PID, getattr(syslog, f"LOG_{facility.upper()}"))
    _install(_Syslog(), debug)


def set_debug(debug: bool) -> None:
    """Begin or cease to write debugging lines."""
    LOGGER.setLevel(logging.DEBUG if debug else logging.INFO)


def _is_journal(descriptor: int) -> bool:
    """Tell whether a descriptor leads to the journal: ``JOURNAL_STREAM`` has its device and inode."""
    status = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _install(sink: _Stderr | _Syslog, debug: bool) -> None:
    _HANDLER.sink = sink
    LOGGER.handlers[:] = [_HANDLER]
    LOGGER.propagate = False
    set_debug(debug)


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
