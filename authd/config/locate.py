"""Where the configuration files are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from authd.config.problem import ConfigError, Problem

VARIABLE = "AUTHD_SYSCONFDIR"
"""Environment variable that names the directory, where ``--sysconfdir`` is not given."""

DIRECTORIES = (Path("/etc"), Path("/etc/authlib"), Path("/etc/courier"), Path("/usr/local/etc/authlib"))
"""Where the builds of Courier keep their files; the first that has an authdaemonrc counts."""


def sysconfdir(
    option: str | None = None, environment: Mapping[str, str] = os.environ, directories: tuple[Path, ...] = DIRECTORIES
) -> Path:
    """Return the directory of the configuration files; absolute, since a daemon in the background is elsewhere.

    :param option: value of ``--sysconfdir``; wins over the environment.
    :raises ConfigError: if none of `directories` has an authdaemonrc.
    """
    if option == "":
        # A script's variable that is not set must not lead to another configuration.
        mend = f"name the directory of authdaemonrc, or leave the option out for {VARIABLE} or the usual places"
        raise ConfigError(Problem(Path("authdaemonrc"), "--sysconfdir is empty", mend))
    named = option or environment.get(VARIABLE)
    if named:
        return Path(named).absolute()
    for directory in directories:
        if (directory / "authdaemonrc").is_file():
            return directory
    raise ConfigError(
        Problem(
            Path("authdaemonrc"),
            "not in " + ", ".join(map(str, directories)),
            f"copy one from conf/, or name its directory with --sysconfdir or {VARIABLE}",
        )
    )


def directory_of_files(option: str | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of a command that needs no authdaemonrc, as `sysconfdir`; Debian's where there is none.

    :raises ConfigError: if `option` is empty.
    """
    try:
        return sysconfdir(option, environment)
    except ConfigError:
        if option is not None:
            raise
        return Path("/etc/courier")
