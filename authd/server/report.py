"""The one line in the log about a request that was finished; docs/log.md describes its fields."""

from __future__ import annotations

import logging
from functools import lru_cache

from authd.chain import Decision
from authd.outcome import Outcome
from authd.protocol.request import ChangePassword, Cram, Login, Lookup
from authd.server.log import NOTICE, ip_field, quoted

_LEVELS = {Outcome.OK: logging.INFO, Outcome.REJECT: NOTICE, Outcome.TEMPFAIL: logging.WARNING}

_quoted_again = lru_cache(256)(quoted)
"""For what is the same in most lines, and no secret."""


def line_about(
    request: Lookup | Login | Cram | ChangePassword, decision: Decision, remote_ip: bytes
) -> tuple[int, str]:
    """Return the level of the line about a decision, as in ``logging``, and the line."""
    match request:
        case Lookup():
            what = "lookup"
        case Login():
            what = "login"
        case Cram():
            what = f"cram-{request.digest}"
        case ChangePassword():
            what = "passwd"
    step = decision.decisive
    answer = step.answer
    # What could not be told is a warning also where the client is told no.
    level = logging.WARNING if answer.outcome is Outcome.TEMPFAIL else _LEVELS[decision.outcome]
    return level, (
        f"{what}: result={decision.outcome.value} module={step.module or '-'} service={_quoted_again(request.service)} "
        f"user={quoted(request.user)}{ip_field(remote_ip)} reason={_quoted_again(answer.describe().encode())}"
        f"{' cached=yes' if decision.cached else ''}"
    )
