"""The modules of a configuration, asked without a daemon."""

from __future__ import annotations

from pathlib import Path

from authd.chain import Chain, make_chain, surroundings_of
from authd.cli.common import complain
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings


def examine(file: Path) -> DaemonSettings:
    """Return the settings of an authdaemonrc if the daemon could run on them.

    :raises ConfigError: if it or a module's file can't be used.
    :raises UnknownModules: if there is none of the modules that it names.
    """
    settings = authdaemonrc.load(file)
    quiet_chain(settings)
    return settings


def quiet_chain(settings: DaemonSettings) -> Chain:
    """Return the chain that `settings` describe, which complains to standard error and says nothing else."""
    return make_chain(settings, surroundings_of(settings, complain, lambda line: None, None))
