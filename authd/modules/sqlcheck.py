"""``authd check`` of an SQL module: its statements proven, and what is wrong with them put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authd.config.problem import Problem
from authd.config.sqlrc import SqlSettings
from authd.modules.hints import settings_hint
from authd.modules.proving import Finding, Kind, Prover
from authd.modules.sqlnames import advice_on_column, advice_on_table, full_name, setting_at, setting_with, words_in
from authd.modules.sqltext import shown
from authd.modules.statements import Prepared

PROBE = b"no-such-user@check.invalid"
"""The user that ``authd check`` asks for."""

_IF_WANTED = "if your users are to change their passwords"


@dataclass(frozen=True, slots=True)
class Trial:
    """A statement to be proven.

    :param purpose: what it is for, as the subject of a sentence.
    :param clause: name of the setting that has it; empty where it is the default one.
    :param parts: ends of the names of the settings that it is made of, in their order.
    :param columns: that it must give; 0 for one that changes a password.
    :param command: by which an administrator tries it.
    """

    purpose: str
    statement: Prepared
    values: Mapping[str, Any]
    clause: str
    parts: Sequence[str]
    columns: int
    command: str


def problems(trials: list[Trial], prover: Prover, settings: SqlSettings, several: Prepared | None) -> Iterator[Problem]:
    """Yield what is wrong with the statements of `trials`, the same words once.

    :param several: see `Prover.change`.
    """
    told = set()
    for trial in trials:
        if trial.columns:
            finding = prover.query(trial.statement, trial.values, trial.columns)
        else:
            finding = prover.change(trial.statement, trial.values, several)
        if finding is None or (finding.words in told and finding.kind is Kind.WRONG):
            continue
        told.add(finding.words)
        yield _problem(finding, trial, prover, settings)
        if finding.kind is Kind.UNREACHABLE:
            return


def _problem(finding: Finding, trial: Trial, prover: Prover, settings: SqlSettings) -> Problem:
    kind, words = finding.kind, finding.words
    if kind is Kind.UNREACHABLE:
        return unreachable(f"{trial.purpose} failed: {words}", settings)
    if kind is Kind.UNTRIED:
        problem, mend = f"{trial.purpose} was not tried: {words}", f"try it with {trial.command}"
        return _remark(settings, problem, mend, trial.clause)
    if not trial.columns:
        unchangeable = f"passwords can't be changed: {words}"
        if kind is Kind.DENIED:
            return _remark(settings, unchangeable, f"grant the right, {_IF_WANTED}", "")
        if kind is Kind.READ_ONLY:
            return _remark(settings, unchangeable, f"name a server that takes writes, {_IF_WANTED}", "")
        if kind is Kind.NOT_UPDATABLE:
            setting = trial.clause or full_name(settings, "USER_TABLE")
            return _remark(
                settings, unchangeable, f"name a table, or a view that can be updated, {_IF_WANTED}", setting
            )
    setting = _setting_of(finding, trial, settings)
    problem = f"{trial.purpose} failed: {words}"
    if kind is Kind.DATA:
        return _remark(settings, problem, "nothing, if logins are to look different from this made-up one", setting)
    mend = _mend(finding, trial, prover, settings)
    return Problem(settings.file, problem, mend, settings.lines.get(setting), setting)


def _setting_of(finding: Finding, trial: Trial, settings: SqlSettings) -> str:
    """Return the setting that a finding is about; empty if that can't be told."""
    if finding.position is not None and finding.position >= 0:
        text = shown(trial.statement.parts, {})
        position = finding.position
        if position >= text.find("$("):
            # Values, or marks, of another length are in front of it.
            position += len(text) - finding.length
        if setting := setting_at(position, text, trial.parts, settings):
            return setting
    missing = finding.column or finding.table or finding.other
    return setting_with(missing, trial.parts, settings) if missing else trial.clause


def _mend(finding: Finding, trial: Trial, prover: Prover, settings: SqlSettings) -> str:
    if finding.column:
        tables = words_in(settings.values[trial.clause] if trial.clause else settings.table)
        return advice_on_column(finding.column, prover.columns_of(tables))
    if finding.table:
        return advice_on_table(finding.table, prover.tables())
    return settings_hint(settings.file.name, finding.words, settings.values) or (
        "correct the expression or clause, or the table"
    )


def unreachable(problem: str, settings: SqlSettings) -> Problem:
    """Return the problem of a database that gives no answer."""
    hint = settings_hint(settings.file.name, problem, settings.values)
    return Problem(settings.file, problem, hint or "start the database, or correct where and as whom to connect")


def _remark(settings: SqlSettings, problem: str, mend: str, setting: str) -> Problem:
    return Problem(settings.file, problem, mend, settings.lines.get(setting), setting, fatal=False)
