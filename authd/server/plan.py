"""What workers are made from: settings, and the responder that they describe."""

from __future__ import annotations

from dataclasses import dataclass

from authd.chain import make_chain
from authd.config.authdaemonrc import DaemonSettings
from authd.server.log import LOGGER
from authd.server.responder import Responder


@dataclass(frozen=True, slots=True)
class Plan:
    """One state of the configuration.

    :param responder: made before the fork, and not connected to anything yet.
    """

    settings: DaemonSettings
    responder: Responder


def make_plan(settings: DaemonSettings) -> Plan:
    """Return the plan of `settings`; what is odd about them goes to the log.

    :raises ConfigError: if a module's file can't be used.
    :raises UnknownModules: if there is none of the modules.
    """
    for remark in settings.remarks:
        LOGGER.warning("%s", remark)
    trace = (lambda line: LOGGER.debug("%s", line)) if settings.debug_login else None
    chain = make_chain(settings, lambda line: LOGGER.error("%s", line), lambda line: LOGGER.info("%s", line), trace)
    return Plan(settings, Responder(chain, settings))
