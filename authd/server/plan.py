"""What workers are made from: settings, and the responder that they describe."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from authd.cache import Cache, Generations
from authd.chain import make_chain, surroundings_of
from authd.config.authdaemonrc import DaemonSettings
from authd.config.problem import ConfigError, Problem
from authd.modules.base import Module
from authd.modules.decoys import Decoys
from authd.server.listener import Listener, open_listeners
from authd.server.log import LOGGER
from authd.server.responder import Responder
from authd.server.roster import Roster


@dataclass(frozen=True, slots=True)
class Plan:
    """One state of the configuration.

    :param modules: those of the responder.
    :param responder: made before the fork, and not connected to anything yet.
    :param listeners: where clients come in.
    :param roster: of the workers on this plan.
    :param missing: modules whose file is missing.
    :param needs_restart: what of the configuration does not count before a restart.
    :param generations: of what is cached, shared with the workers of plans before and after.
    :param decoys: by the names of the modules; those of a plan after it begin with what these have learned.
    """

    settings: DaemonSettings
    modules: Sequence[Module]
    responder: Responder
    listeners: tuple[Listener, ...]
    roster: Roster
    generations: Generations
    missing: frozenset[str] = frozenset()
    decoys: Mapping[str, Decoys] = field(default_factory=dict)
    needs_restart: tuple[str, ...] = ()

    def withdraw(self) -> None:
        """Let no further client find the daemon."""
        for listener in self.listeners:
            listener.withdraw()


def make_plan(
    settings: DaemonSettings,
    before: Plan | None = None,
    given: Mapping[Path, socket.socket] | None = None,
) -> Plan:
    """Return the plan of `settings`; what is odd about them goes to the log.

    :param before: the plan that it takes the place of.
    :param given: as in `open_listeners`.
    :raises ListenError: if a socket can't be had.
    :raises ConfigError: if a module's file can't be used.
    :raises UnknownModules: if there is none of the modules.
    """
    for remark in settings.remarks:
        LOGGER.warning("%s", remark)
    trace = (lambda line: LOGGER.debug("%s", line)) if settings.debug_login else None
    surroundings = surroundings_of(
        settings, lambda line: LOGGER.error("%s", line), lambda line: LOGGER.info("%s", line), trace
    )
    chain = make_chain(settings, surroundings)
    missing = chain.missing
    if before is not None:
        _keep_files(settings, before, missing)
        chain.inherit(before.decoys)
    listeners = open_listeners(settings.listeners, before.listeners if before is not None else (), given)
    # Workers of the plan before still serve while those of this one begin to; who changes a password must reach all.
    generations = before.generations if before is not None else Generations()
    cache = None
    if settings.caches:
        cache = Cache(generations, settings.cache_ttl, settings.cache_negative_ttl, settings.cache_size)
        if chain.uncached:
            LOGGER.info("logins are not cached where %s is asked; see docs/cache.md", " or ".join(chain.uncached))
    return Plan(
        settings,
        chain.modules,
        Responder(chain, settings, cache),
        listeners,
        Roster(settings.daemons),
        generations,
        frozenset(missing),
        chain.decoys,
    )


def _keep_files(settings: DaemonSettings, before: Plan, missing: Mapping[str, Path]) -> None:
    """See that no module loses at a reload the file that it works on.

    :raises ConfigError: if one would.
    """
    lost = {
        name: file for name, file in missing.items() if name in before.settings.modules and name not in before.missing
    }
    if lost:
        problems = (
            Problem(file, "is missing, but was there before", f"put it back, or take {name} out of {settings.file}")
            for name, file in lost.items()
        )
        raise ConfigError(*problems)
