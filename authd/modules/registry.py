"""The modules there are, by the names that ``authmodulelist`` has for them.

Each is loaded when it is named, so that a daemon holds only the drivers that it uses, and needs no others.  Those that a site
adds are entry points of the group ``authd.modules``, each a subclass of `Module` under the name that ``authmodulelist`` has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from authd.config.assignments import shown
from authd.config.nearest import suggestion
from authd.config.problem import ConfigError, Problem
from authd.modules.base import Module, Surroundings
from authd.modules.missing import Missing, missing
from authd.workdir import working_directory

CLASSES = {
    "authldap": "AuthLdap",
    "authmysql": "AuthMysql",
    "authpam": "AuthPam",
    "authpgsql": "AuthPgsql",
    "authpipe": "AuthPipe",
    "authpwd": "AuthPwd",
    "authshadow": "AuthShadow",
    "authsqlite": "AuthSqlite",
    "authuserdb": "AuthUserdb",
}
"""The class of each, in the file of its name."""

COURIERS_ALONE = ("authcram", "authcustom", "authvchkpw")
"""Modules that Courier has, or once had, and whose names are not slips of others."""

EXTRAS = {"authldap": "ldap", "authpgsql": "pgsql"}
"""What ``pip install 'authd[…]'`` is told for those whose library not everybody has."""

GROUP = "authd.modules"
"""Entry points by which other packages add modules."""


FILES = {
    "authldap": "authldaprc",
    "authmysql": "authmysqlrc",
    "authpgsql": "authpgsqlrc",
    "authsqlite": "authsqliterc",
}
"""The files of those that can do nothing without one."""


class UnknownModules(ConfigError):
    """``authmodulelist`` names no module that there is."""


@dataclass(slots=True)
class Made:
    """The modules that the names in ``authmodulelist`` led to.

    :param modules: those that were made, in their order.
    :param problems: an error for each that could not be made; remarks on those that are left out, and on their files.
    """

    modules: list[Module] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def known_modules() -> list[str]:
    """Return the names of all modules: those that come with authd, then those of other packages."""
    return [*CLASSES, *sorted(point.name for point in entry_points(group=GROUP) if point.name not in CLASSES)]


def module_class(name: str, file: Path) -> type[Module] | None:
    """Return the class of the module `name`, loaded; ``None`` if there is no such module.

    :param file: the authdaemonrc, for messages.
    :raises ConfigError: if it can't be loaded.
    """
    try:
        # libldap reads the file ldaprc of the working directory when it is loaded (ldap.conf(5)).  Whose that is, is not known,
        # and it could say that certificates are not verified.
        with working_directory("/"):
            if name in CLASSES:
                found = getattr(import_module(f"authd.modules.{name}"), CLASSES[name])
            else:
                point = next(iter(entry_points(group=GROUP, name=name)), None)
                if point is None:
                    return None
                found = point.load()
    except Exception as error:
        raise ConfigError(_not_loaded(name, file, error)) from error
    if not (isinstance(found, type) and issubclass(found, Module)):
        raise ConfigError(
            Problem(
                file,
                f"{name} is no module: {found!r}",
                "have its entry point name a subclass of Module",
                setting=SETTING,
            )
        )
    return found


SETTING = "authmodulelist"


def _not_loaded(name: str, file: Path, error: Exception) -> Problem:
    extra = EXTRAS.get(name)
    if extra is not None and isinstance(error, ImportError):
        mend = f"pip install 'authd[{extra}]', or take {name} out"
    else:
        mend = f"mend the package that has it, or take {name} out"
    return Problem(file, f"{name} can't be loaded: {type(error).__name__}: {error}", mend, setting=SETTING)


def try_modules(names: Sequence[str], surroundings: Surroundings) -> Made:
    """Make the modules of `names` as far as they can be made.

    As with Courier, a name that is not known is left out, and a module whose file is missing fails temporarily.
    """
    file = surroundings.sysconfdir / "authdaemonrc"
    made = Made()
    for name in names:
        try:
            made.modules += _made(name, surroundings, file, made.problems)
        except ConfigError as error:
            made.problems += error.problems
    if not any(problem.fatal for problem in made.problems) and all(isinstance(one, Missing) for one in made.modules):
        made.problems += _nothing_left(made.modules, surroundings, file)
    return made


def make_modules(names: Sequence[str], surroundings: Surroundings) -> list[Module]:
    """Return the modules of `names` in their order; what is left out is reported.

    :raises UnknownModules: if none is left.
    :raises ConfigError: if a module can't be loaded, or its file can't be used.
    """
    made = try_modules(names, surroundings)
    errors = [problem for problem in made.problems if problem.fatal]
    for problem in made.problems:
        if not problem.fatal:
            tell = surroundings.report if problem.setting == SETTING else surroundings.notice
            tell(str(problem))
    if errors:
        raise (ConfigError if made.modules else UnknownModules)(*errors)
    return made.modules


def _made(name: str, surroundings: Surroundings, file: Path, problems: list[Problem]) -> Iterator[Module]:
    """Yield the module `name`, if there is one; add remarks to `problems`.

    :raises ConfigError: if it can't be made.
    """
    own = surroundings.sysconfdir / FILES[name] if name in FILES else None
    if own is not None and not os.path.lexists(own):
        problem = f"{name}: {own} is missing, so that whatever it is asked is a temporary failure"
        problems.append(Problem(file, problem, f"create it, or take {name} out", None, SETTING, fatal=False))
        yield missing(name, own, surroundings)
        return
    kind = module_class(name, file)
    if kind is None:
        there_are = f"there are {', '.join(known_modules())}"
        if name in COURIERS_ALONE:
            problem, mend = (
                f"authd has no module {name}",
                f"take it out, or ask your own program by authpipe; {there_are}",
            )
        else:
            problem, mend = f"there is no module {shown(name)}", f"{suggestion(name, known_modules())}{there_are}"
        problems.append(Problem(file, problem, mend, None, SETTING, fatal=False))
        return
    problems += kind.remarks(surroundings.sysconfdir)
    yield kind(surroundings)


def _nothing_left(modules: Sequence[Module], surroundings: Surroundings, file: Path) -> Iterator[Problem]:
    """Yield why there is no module that could tell anything."""
    if not modules:
        mend = f"name some of {', '.join(known_modules())}, separated by blanks"
        yield Problem(file, "names no module that there is", mend, None, SETTING)
    for module in modules:
        try:
            kind = module_class(module.name, file)
            if kind is not None:
                kind(surroundings)
        except ConfigError as error:
            yield from error.problems
