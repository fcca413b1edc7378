"""The modules there are, by the names that ``authmodulelist`` has for them.

Each is loaded when it is named, so that a daemon holds only the drivers that it uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from authd.modules.base import Module, Surroundings

CLASSES = {"authldap": "AuthLdap", "authmysql": "AuthMysql", "authpgsql": "AuthPgsql", "authsqlite": "AuthSqlite"}
"""The class of each, in the file of its name."""


class UnknownModules(ValueError):
    """``authmodulelist`` names no module that there is."""


def module_class(name: str) -> type[Module] | None:
    """Return the class of the module `name`, loaded; ``None`` if there is no such module."""
    if name not in CLASSES:
        return None
    found: type[Module] = getattr(import_module(f"authd.modules.{name}"), CLASSES[name])
    return found


def make_modules(names: Sequence[str], surroundings: Surroundings) -> list[Module]:
    """Return the modules of `names` in their order; one that does not exist is reported and left out, as Courier does.

    :raises UnknownModules: if none is left.
    :raises ConfigError: if a module's file can't be used.
    """
    modules = []
    for name in names:
        module = module_class(name)
        if module is None:
            surroundings.report(f"authmodulelist: there is no module {name}; there are {', '.join(CLASSES)}")
        else:
            modules.append(module(surroundings))
    if not modules:
        raise UnknownModules(f"authmodulelist names no module that there is; there are {', '.join(CLASSES)}")
    return modules
