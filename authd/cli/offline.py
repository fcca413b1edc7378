"""The modules of a configuration, asked without a daemon."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from authd.chain import Chain, make_chain, surroundings_of
from authd.cli.common import complain
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.config.names import user_name
from authd.config.problem import Problem
from authd.server.identity import daemon_identity
from authd.server.privileges import PrivilegeError, become


def examine(file: Path) -> DaemonSettings:
    """Return the settings of an authdaemonrc if the daemon could run on them.

    :raises ConfigError: if it or a module's file can't be used.
    :raises UnknownModules: if there is none of the modules that it names.
    """
    settings = authdaemonrc.load(file)
    quiet_chain(settings)
    return settings


def see_as_daemon(settings: DaemonSettings) -> Problem | None:
    """Become the user that the daemon becomes, for good, so that what it may not read is not read here.

    :returns: why that is not possible; ``None`` if it is done.
    """
    identity = daemon_identity(settings)
    try:
        become(identity.user, identity.groups)
    except PrivilegeError:
        if settings.user and not user_exists(settings.user):
            # A start says so.
            return None
        mend = "run the command as root" + ("" if identity.user == "root" else f", or as {identity.user}")
        problem = f"looked at by {user_name(os.geteuid())}, and not by {identity.user} ({identity.source})"
        return Problem(settings.file, problem, mend, setting="AUTHD_USER", fatal=False)
    return None


def user_exists(user: str) -> bool:
    """Tell whether there is a user of that name."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def quiet_chain(settings: DaemonSettings) -> Chain:
    """Return the chain that `settings` describe, which complains to standard error and says nothing else."""
    return make_chain(settings, surroundings_of(settings, complain, lambda line: None, None))
