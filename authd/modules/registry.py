"""The modules there are, by the names that ``authmodulelist`` has for them."""

from __future__ import annotations

from collections.abc import Sequence

from authd.modules.authmysql import AuthMysql
from authd.modules.authsqlite import AuthSqlite
from authd.modules.base import Module, Surroundings

MODULES: dict[str, type[Module]] = {module.name: module for module in (AuthMysql, AuthSqlite)}


class UnknownModules(ValueError):
    """``authmodulelist`` names no module that there is."""


def make_modules(names: Sequence[str], surroundings: Surroundings) -> list[Module]:
    """Return the modules of `names` in their order; one that does not exist is reported and left out, as Courier does.

    :raises UnknownModules: if none is left.
    :raises ConfigError: if a module's file can't be used.
    """
    modules = []
    for name in names:
        module = MODULES.get(name)
        if module is None:
            surroundings.report(f"authmodulelist: there is no module {name}; there are {', '.join(MODULES)}")
        else:
            modules.append(module(surroundings))
    if not modules:
        raise UnknownModules(f"authmodulelist names no module that there is; there are {', '.join(MODULES)}")
    return modules
