"""The modules there are, by the names that ``authmodulelist`` has for them.

Each is loaded when it is named, so that a daemon holds only the drivers that it uses, and needs no others.  Those that a site
adds are entry points of the group ``authd.modules``, each a subclass of `Module` under the name that ``authmodulelist`` has.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from authd.config.problem import ConfigError, Problem
from authd.modules.base import Module, Surroundings

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

EXTRAS = {"authldap": "ldap", "authpgsql": "pgsql"}
"""What ``pip install 'authd[…]'`` is told for those whose library not everybody has."""

GROUP = "authd.modules"
"""Entry points by which other packages add modules."""


class UnknownModules(ValueError):
    """``authmodulelist`` names no module that there is."""


def known_modules() -> list[str]:
    """Return the names of all modules: those that come with authd, then those of other packages."""
    return [*CLASSES, *sorted(point.name for point in entry_points(group=GROUP) if point.name not in CLASSES)]


def module_class(name: str, file: Path) -> type[Module] | None:
    """Return the class of the module `name`, loaded; ``None`` if there is no such module.

    :param file: the authdaemonrc, for messages.
    :raises ConfigError: if it can't be loaded.
    """
    try:
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


def make_modules(names: Sequence[str], surroundings: Surroundings) -> list[Module]:
    """Return the modules of `names` in their order; one that does not exist is reported and left out, as Courier does.

    :raises UnknownModules: if none is left.
    :raises ConfigError: if a module can't be loaded, or its file can't be used.
    """
    modules = []
    for name in names:
        kind = module_class(name, surroundings.sysconfdir / "authdaemonrc")
        if kind is None:
            surroundings.report(f"authmodulelist: there is no module {name}; there are {', '.join(known_modules())}")
        else:
            modules.append(kind(surroundings))
    if not modules:
        raise UnknownModules(f"authmodulelist names no module that there is; there are {', '.join(known_modules())}")
    return modules
