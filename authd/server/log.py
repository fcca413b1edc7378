"""Where the daemon's lines go: syslog, or standard error in the foreground.

Lines are ``LEVEL: text`` on standard error and ``text`` at the level's priority in syslog.  Whatever a client sent is made
printable, so that no line can be forged; one that holds a password is written at ``DEBUG_LOGIN=2`` only.
"""

from __future__ import annotations

import logging
import os
import sys
import syslog

LOGGER = logging.getLogger("authd")

NOTICE = 25
"""Between INFO and WARNING: what syslog calls notice; rejected logins."""

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


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "\n".join(f"{_LABELS.get(record.levelno, 'INFO')}: {printable(line)}" for line in text.split("\n"))


class _JournalFormatter(logging.Formatter):
    """Lines with their priority before them, as ``sd-daemon(3)`` has them."""

    def format(self, record: logging.LogRecord) -> str:
        priority = _PRIORITIES.get(record.levelno, syslog.LOG_INFO)
        return "\n".join(f"<{priority}>{printable(line)}" for line in super().format(record).split("\n"))


class _SyslogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).split("\n"):
            syslog.syslog(_PRIORITIES.get(record.levelno, syslog.LOG_INFO), printable(line))


def printable(text: str) -> str:
    """Return `text` with everything that is not printable ASCII escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else _escaped(c) for c in text)


def quoted(value: bytes) -> str:
    """Return `value` printable and in double quotes, so that nothing in it can be taken for another field."""
    text = value.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(text)}"'


def log_to_stderr(debug: bool) -> None:
    """Send the daemon's lines to standard error; with priorities where that is the journal of systemd."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JournalFormatter() if _is_journal(sys.stderr.fileno()) else _Formatter())
    _install(handler, debug)


def log_to_syslog(name: str, facility: str, debug: bool) -> None:
    """Send the daemon's lines to syslog.

    :param name: what the lines are tagged with.
    :param facility: syslog's name for it in lower case, such as ``mail``.
    """
    syslog.openlog(name, syslog.LOG_PID, getattr(syslog, f"LOG_{facility.upper()}"))
    _install(_SyslogHandler(), debug)


def set_debug(debug: bool) -> None:
    """Begin or cease to write debugging lines."""
    LOGGER.setLevel(logging.DEBUG if debug else logging.INFO)


def _is_journal(descriptor: int) -> bool:
    """Tell whether a descriptor leads to the journal: ``JOURNAL_STREAM`` has its device and inode."""
    status = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _install(handler: logging.Handler, debug: bool) -> None:
    LOGGER.handlers[:] = [handler]
    LOGGER.propagate = False
    set_debug(debug)


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
