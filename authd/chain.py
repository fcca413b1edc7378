"""The modules of ``authmodulelist``, asked in their order.

A reject goes on to the next module, a success and a temporary failure end the search, but that a password change is asked of all
until one makes it; what a temporary failure means at a
login is each module's own way in Courier, or one for all by ``AUTHD_LOGIN_TEMPFAIL``.  What the chain is asked is an inquiry
(``modules/inquiry.py``), which ``together.py`` runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from authd.account import Entry
from authd.config.authdaemonrc import DaemonSettings
from authd.modules.base import Module, Surroundings, TemporaryFailure
from authd.modules.decoys import Decoys
from authd.modules.inquiry import Inquiry
from authd.modules.missing import Missing
from authd.modules.registry import make_modules
from authd.outcome import Answer, Outcome, Reason, reject, tempfail
from authd.protocol.request import EVERY_MODULE, ChangePassword, Cram, Login, Lookup, is_user_name


@dataclass(slots=True)
class Step:
    """What one module was asked and said.

    :param module: its name.
    """

    module: str
    answer: Answer


@dataclass(slots=True)
class Decision:
    """What the whole chain said.

    :param outcome: what the client is told.
    :param steps: every module that was asked, in order; the last that knew the user decides what the log gives as reason.
    :param cached: whether it is remembered, and nobody was asked.
    :param max_age: seconds for which it may be remembered; 0 where a module was asked whose answers may not.
    """

    outcome: Outcome
    steps: tuple[Step, ...]
    cached: bool = False
    max_age: float = math.inf

    @property
    def decisive(self) -> Step:
        """The step that explains the outcome best: the success, else a failure to tell, else a user that was known."""
        if self.outcome is Outcome.OK:
            return self.steps[-1]

        def weight(step: Step) -> int:
            if step.answer.outcome is not Outcome.REJECT:
                return 2
            return 0 if step.answer.reason is Reason.NO_SUCH_USER else 1

        return max(self.steps, key=weight, default=Step("", reject(Reason.NOT_ASKED)))


class Chain:
    """Modules in order.

    :param modules: asked from the first to the last.
    :param login_tempfail: ``"fail"``, ``"close"``, or ``None`` for each module's own way.
    :param trace: is told what each module said, for ``DEBUG_LOGIN``; ``None`` where nobody reads it.
    :param cached: names of modules whose answers may be remembered whatever the modules themselves say of that.
    :param stops_changes: whether a password change ends at the first module that knows the user; see `_ends_change`.
    """

    def __init__(
        self,
        modules: Sequence[Module],
        login_tempfail: str | None,
        trace: Callable[[str], None] | None,
        cached: Collection[str] = (),
        stops_changes: bool = False,
    ) -> None:
        self._stops_changes = stops_changes
        self._modules = modules
        self._caches_lookups = frozenset(one for one in modules if one.caches_lookups or one.name in cached)
        self._caches_logins = frozenset(one for one in modules if one.caches_logins or one.name in cached)
        self._login_tempfail = login_tempfail
        self._trace = trace

    def ask(
        self,
        request: Lookup | Login | Cram | ChangePassword,
        otherwise: Literal["fail", "close"] | None = None,
        remote_ip: bytes = b"",
    ) -> Inquiry[Decision]:
        """Answer `request`.

        :param otherwise: what a temporary failure means at a login where ``AUTHD_LOGIN_TEMPFAIL`` does not say; ``None`` for
            each module's own way in Courier.
        :param remote_ip: address of the mail client, as far as it was told.
        """
        # Back ends differ in what they make of such bytes: C libraries end a text at NUL, collations pass over controls.
        if not is_user_name(request.user):
            return self._refuse(request, reject(Reason.NO_SUCH_USER, detail="NUL, line feed or tab in the name"))
        if len(request.service.translate(None, b"\0\n")) != len(request.service):
            return self._refuse(request, reject(Reason.REFUSED, detail="NUL or line feed in the service"))
        match request:
            case Lookup():
                return self._lookup(request)
            case Login():
                if b"\0" in request.password:
                    return self._refuse(request, reject(Reason.REFUSED, detail="NUL in the password"))
                return self._ask(
                    self._modules,
                    lambda module: module.login(request.service, request.user, request.password, remote_ip),
                    self._caches_logins,
                    lambda module, reason: self._passes_over(module, reason, otherwise),
                )
            case Cram():
                return self._ask(
                    self._modules,
                    lambda module: module.cram(
                        request.service, request.user, request.digest, request.challenge, request.response
                    ),
                )
            case ChangePassword():
                if b"\0" in request.old + request.new:
                    return self._refuse(request, reject(Reason.REFUSED, detail="NUL in a password"))
                stops = self._stops_changes
                return self._ask(
                    self._modules,
                    lambda module: module.change_password(request.service, request.user, request.old, request.new),
                    # In Courier nothing but a success ends the search.
                    passes_over_tempfail=lambda module, reason: not stops,
                    ends=(lambda module, answer: self._ends_change(module, answer, request)) if stops else None,
                )

    def reject_nobody(self, request: Login) -> Inquiry[Decision]:
        """Reject the login of a user whom no module has, without asking for the account, but at the cost of a check in each."""
        return self._ask(self._modules, lambda module: module.nobody(request.password, request.user))

    def _refuse(self, request: Lookup | Login | Cram | ChangePassword, refusal: Answer) -> Inquiry[Decision]:
        """Give `refusal` without asking for an account; where a password came, at the cost of an unknown user."""
        if isinstance(request, Login):
            yield from self.reject_nobody(request)
        elif isinstance(request, ChangePassword):
            yield from self.reject_nobody(Login(request.service, request.user, request.old))
        return Decision(Outcome.REJECT, (Step("", refusal),))

    @staticmethod
    def _ends_change(module: Module, answer: Answer, request: ChangePassword) -> Inquiry[bool]:
        """Tell whether a module that rejected a password change knows the user; so it does where it can't tell."""
        if answer.reason is Reason.NO_SUCH_USER:
            return False
        if answer.account is not None:
            return True
        try:
            found = yield from module.lookup(request.service, request.user)
        except TemporaryFailure:
            return True
        return found.outcome is not Outcome.REJECT

    def _lookup(self, request: Lookup) -> Inquiry[Decision]:
        """Ask all modules, or the one that the request names."""
        modules = self._modules
        if request.authlist != EVERY_MODULE:
            modules = [module for module in modules if module.name.encode() == request.authlist]
            if not modules:
                return Decision(Outcome.REJECT, (Step("", reject(Reason.NO_MODULE)),))
        return (
            yield from self._ask(
                modules, lambda module: module.lookup(request.service, request.user), self._caches_lookups
            )
        )

    @property
    def uncached(self) -> list[str]:
        """Names of the modules whose logins are not remembered, so that neither are those which come to a module behind them."""
        return [module.name for module in self._modules if module not in self._caches_logins]

    @property
    def has_cleartext(self) -> bool:
        """Whether some module has cleartext passwords, which CRAM needs."""
        return any(module.has_cleartext for module in self._modules)

    @property
    def modules(self) -> Sequence[Module]:
        """The modules, in their order."""
        return self._modules

    @property
    def missing(self) -> Mapping[str, Path]:
        """The modules that can't tell anything since their file is missing, and that file."""
        return {module.name: module.file for module in self._modules if isinstance(module, Missing)}

    def enumerate(self) -> Iterator[tuple[str, Iterator[Entry]]]:
        """Yield each module's name and accounts; iterating the accounts raises `TemporaryFailure` where they can't be had."""
        for module in self._modules:
            yield module.name, module.enumerate()

    @property
    def decoys(self) -> dict[str, Decoys]:
        """The decoys of each module, learned from its accounts' hashes, by its name."""
        return {module.name: module.decoys for module in self._modules}

    def inherit(self, decoys: Mapping[str, Decoys]) -> None:
        """Let each module begin with what the one of its name has learned."""
        for module in self._modules:
            if module.name in decoys:
                module.decoys.inherit(decoys[module.name])

    def close(self) -> None:
        """Give all connections back."""
        for module in self._modules:
            module.close()

    def _passes_over(self, module: Module, reason: Reason, otherwise: str | None) -> bool:
        """Tell whether a temporary failure of `module` at a login counts as a reject."""
        own = "close" if reason in module.closes_for else module.login_tempfail
        return (self._login_tempfail or otherwise or own) == "fail"

    def _ask(
        self,
        modules: Sequence[Module],
        question: Callable[[Module], Inquiry[Answer]],
        caches: Collection[Module] = (),
        passes_over_tempfail: Callable[[Module, Reason], bool] = lambda module, reason: False,
        ends: Callable[[Module, Answer], Inquiry[bool]] | None = None,
    ) -> Inquiry[Decision]:
        trace = self._trace
        steps: list[Step] = []
        max_age: float = math.inf
        for module in modules:
            if trace is not None:
                trace(f"{module.name}: trying this module")
            try:
                answer = yield from question(module)
            except TemporaryFailure as failure:
                answer = tempfail(failure.reason, failure.detail)
            steps.append(Step(module.name, answer))
            if module not in caches:
                max_age = 0
            elif answer.max_age < max_age:
                max_age = answer.max_age
            stops = answer.outcome is Outcome.TEMPFAIL and not passes_over_tempfail(module, answer.reason)
            if ends is not None and answer.outcome is Outcome.REJECT:
                stops = yield from ends(module, answer)
            if trace is not None and answer.outcome is not Outcome.OK:
                verdict = answer.outcome.name if stops else "REJECT"
                verdict += " - no more modules will be tried" if stops else " - try next module"
                trace(f"{module.name}: {verdict} ({answer.describe()})")
            if answer.outcome is Outcome.OK or stops:
                return Decision(answer.outcome, tuple(steps), max_age=max_age)
        if trace is not None:
            trace("FAIL, all modules rejected")
        return Decision(Outcome.REJECT, tuple(steps), max_age=max_age)


def surroundings_of(
    settings: DaemonSettings,
    report: Callable[[str], None],
    notice: Callable[[str], None],
    trace: Callable[[str], None] | None,
) -> Surroundings:
    """Return what `settings` tell the modules.

    :param report, notice, trace: as in `Surroundings`.
    """
    return Surroundings(
        settings.file.parent,
        settings.database_timeout,
        settings.batch,
        settings.mysql_driver,
        settings.ldap_options,
        report,
        notice,
        trace,
        settings.decoys,
        settings.libpq,
    )


def make_chain(settings: DaemonSettings, surroundings: Surroundings) -> Chain:
    """Return the chain that `settings` describe, not connected to anything yet.

    :raises ConfigError: if a module's file can't be used.
    :raises UnknownModules: if there is none of the modules.
    """
    modules = make_modules(settings.modules, surroundings)
    return Chain(
        modules, settings.login_tempfail, surroundings.trace, settings.cache_modules, settings.passwd_reject == "stop"
    )
