"""Courier and authd side by side on one database, authd in as many ways as are to be compared."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.support.courier import Courier
from tests.support.daemon import Authd
from tests.support.extmail import seed_files
from tests.support.mariadb import MariaDB

DRIVERS = ("pymysql", "mysqlclient")


class Arena:
    """The daemons on the first users' files.

    :param root: an empty directory that other users can enter.
    :param server: the database, filled already.
    :param socket: the database's socket, where it is not the server's own.
    """

    def __init__(self, root: Path, server: MariaDB, daemons: int, socket: Path | None = None) -> None:
        self._root = root
        self._server = server
        self._daemons = daemons
        self._socket = socket or server.socket
        self._stack = ExitStack()
        root.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def courier(self) -> Courier:
        """Start Courier."""
        root = self._root / "courier"
        return self._stack.enter_context(Courier(root, self._files(root)))

    def authd(self, name: str, settings: Mapping[str, str]) -> Authd:
        """Start an authd with `settings` of its own in addition.

        :param name: names its directory.
        """
        daemon = self.prepared(name, settings)
        return self._stack.enter_context(daemon)

    def prepared(self, name: str, settings: Mapping[str, str]) -> Authd:
        """Return such an authd, not started."""
        root = self._root / name
        etc = self._files(root)
        with (etc / "authdaemonrc").open("a") as file:
            file.writelines(f'{setting}="{value}"\n' for setting, value in settings.items())
        return Authd(etc, root / "run")

    def _files(self, root: Path) -> Path:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        seed_files(root / "etc", root / "run", self._server, self._daemons)
        rc = root / "etc" / "authmysqlrc"
        rc.write_text(rc.read_text().replace(str(self._server.socket), str(self._socket)))
        return root / "etc"
