"""What is wrong in a configuration file: where, what, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    :param file: the file that it is in.
    :param problem: what is wrong.
    :param mend: what to do about it.
    :param line: line number, from 1; ``None`` where something is missing rather than wrong.
    :param setting: name of the setting; empty where it is about the file.
    :param fatal: whether the file can't be used; otherwise it is a remark.
    """

    file: Path
    problem: str
    mend: str
    line: int | None = None
    setting: str = ""
    fatal: bool = True

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else f"{self.file}"
        subject = f"{self.setting}: " if self.setting else ""
        return f"{place}: {subject}{self.problem}; {self.mend}"


class ConfigError(Exception):
    """A configuration file that can't be used; the text names file, line, setting and mend."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
