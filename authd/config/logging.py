"""``LOGGEROPTS``: the options of Courier's logger."""

from __future__ import annotations

import re
from pathlib import Path

from authd.config.concealed import before_secret
from authd.config.nearest import suggestion
from authd.config.problem import Problem

_FACILITIES = (
    "auth",
    "authpriv",
    "cron",
    "daemon",
    "kern",
    "lpr",
    "mail",
    "news",
    "syslog",
    "user",
    "uucp",
    *(f"local{number}" for number in range(8)),
)


def logger_options(options: tuple[str, ...], file: Path) -> tuple[str, str, list[Problem]]:
    """Return the name and the facility that messages are logged under, and what is wrong with `options`."""
    name, facility = "authdaemond", "mail"
    problems = []
    for option in options:
        match = re.fullmatch(r"-(name|facility)=(.+)", option)
        if match is None:
            problems.append(
                Problem(file, f"{before_secret(option)} has no effect", "remove it", setting="LOGGEROPTS", fatal=False)
            )
        elif match[1] == "name":
            name = match[2]
        elif match[2] in _FACILITIES:
            facility = match[2]
        else:
            problems.append(
                Problem(
                    file,
                    f"unknown syslog facility {match[2]}",
                    f"{suggestion(match[2], _FACILITIES)}use one of {' '.join(_FACILITIES)}",
                    setting="LOGGEROPTS",
                )
            )
    return name, facility, problems
