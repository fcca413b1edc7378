"""``authtest --explain``: why a login ends as it does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from authd.chain import Decision
from authd.cli.common import FAILED, OK, complain
from authd.cli.offline import quiet_chain, see_as_daemon
from authd.config import authdaemonrc
from authd.outcome import Outcome
from authd.protocol.request import EVERY_MODULE, ChangePassword, Login, Lookup
from authd.server.log import printable
from authd.server.sight import hindrances
from authd.together import settle_one


def explain(file: Path, service: bytes, user: bytes, passwords: Sequence[bytes]) -> int:
    """Ask the modules of an authdaemonrc, tell what each was asked and said, and return the exit status.

    :param passwords: none to look the account up, one to try it, two to change it from the first to the second.
    :raises ConfigError: if the file or a module's file can't be used.
    :raises UnknownModules: if there is none of the modules that it names.
    """
    settings = authdaemonrc.load(file)
    chain = quiet_chain(settings)
    unprivileged = see_as_daemon(settings)
    if unprivileged is not None:
        complain(str(unprivileged))
    for _, problem in hindrances(settings, chain.modules):
        complain(str(problem))
    try:
        if len(passwords) == 2:
            inquiry = chain.ask(ChangePassword(service, user, passwords[0], passwords[1]))
        elif passwords:
            inquiry = chain.ask(Login(service, user, passwords[0]))
        else:
            inquiry = chain.ask(Lookup(EVERY_MODULE, service, user))
        decision = settle_one(inquiry)
    finally:
        chain.close()
    print(f"configuration: {settings.file}")
    for step in decision.steps:
        print(f"{step.module}: {step.answer.outcome.value}: {printable(step.answer.describe())}")
    print(f"result: {decision.outcome.value}: {_consequence(decision)}")
    return OK if decision.outcome is Outcome.OK else FAILED


def _consequence(decision: Decision) -> str:
    if decision.outcome is Outcome.TEMPFAIL:
        return "the client gets no reply, and takes it for a temporary failure"
    if decision.outcome is Outcome.REJECT:
        return "the client gets FAIL"
    return "the client gets the account"
