"""Courier and authd side by side on one database, authd on each of its drivers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.support.courier import Courier
from tests.support.daemon import Authd
from tests.support.extmail import seed_files

COURIER = "courier"
DRIVERS = ("pymysql", "mysqlclient")


class Arena:
    """The daemons on the first users' files.

    :param root: an empty directory that other users can enter.
    :param socket: of the database, filled already.
    :param drivers: authd runs once on each.
    :param settings: of authd, in its authdaemonrc.
    """

    def __init__(
        self,
        root: Path,
        socket: Path,
        daemons: int,
        drivers: Sequence[str] = DRIVERS,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._root = root
        self._daemons = daemons
        self._socket = socket
        self._drivers = drivers
        self._settings = settings or {}
        self._stack = ExitStack()
        root.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> dict[str, Path]:
        """Start Courier, and an authd on each driver; return their sockets by name."""
        root = self._root / COURIER
        courier = self._stack.enter_context(Courier(root, self._files(root)))
        ours = {driver: self._stack.enter_context(self.authd(driver)) for driver in self._drivers}
        return {COURIER: courier.socket, **{driver: daemon.socket for driver, daemon in ours.items()}}

    def authd(self, driver: str) -> Authd:
        """Return an authd on a driver, not started."""
        root = self._root / driver
        etc = self._files(root)
        with (etc / "authdaemonrc").open("a") as file:
            for name, value in {"AUTHD_MYSQL_DRIVER": driver, **self._settings}.items():
                file.write(f"{name}={value}\n")
        return Authd(etc, root / "run")

    def _files(self, root: Path) -> Path:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        seed_files(root / "etc", root / "run", self._socket, self._daemons)
        return root / "etc"
