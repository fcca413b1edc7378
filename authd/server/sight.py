"""The daemon's needs, seen with the eyes of the user that it has become."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from authd.config.authdaemonrc import DaemonSettings
from authd.config.names import user_name
from authd.config.problem import Problem
from authd.modules.base import Module
from authd.modules.reach import out_of_reach
from authd.modules.registry import FILES


def hindrances(settings: DaemonSettings, modules: Iterable[Module]) -> Iterator[tuple[str, Problem]]:
    """Yield what the user of this process may not do and the daemon has to, with the name of the module it is about.

    An error keeps the module from working; a remark is about files of settings, whose edits are not seen.
    """
    files = [("", settings.file)]
    files += [(module.name, settings.file.parent / FILES[module.name]) for module in modules if module.name in FILES]
    for name, file in files:
        for problem in out_of_reach([(file, os.R_OK)]):
            what = f"{user_name(os.geteuid())} can't read {file}, so that edits need a restart"
            yield name, Problem(settings.file, what, problem.mend, None, "AUTHD_USER", fatal=False)
    for module in modules:
        for problem in module.hindrances():
            yield module.name, problem
