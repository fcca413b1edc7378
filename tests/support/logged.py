"""What the log says of one request."""

from __future__ import annotations

import re

from tests.support.daemon import Authd
from tests.support.wire import exchange

_KINDS = {"INFO": "ok", "NOTICE": "reject", "WARN": "tempfail"}


def asked(daemon: Authd, request: bytes) -> tuple[bytes, str, str]:
    """Return the reply to a request, what the log says that it ended in, such as ``reject wrong password``, and the detail."""
    before = len(daemon.logged())
    reply = exchange(daemon.socket, request)
    [line] = [line for line in daemon.logged()[before:].splitlines() if " result=" in line]
    match = re.fullmatch(r'(WARN|NOTICE|INFO): .* reason="([^":]*)(?:: (.*))?"', line)
    assert match is not None, line
    return reply, f"{_KINDS[match[1]]} {match[2]}", match[3] or ""
