"""A private MariaDB server: own data directory, socket and loopback port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pymysql

from tests.support.processes import Server, free_tcp_port, unix_socket_answers, wait_until


class MariaDB(Server):
    """One server in `root`, run by the user ``mysql`` where the test is root.

    `socket` and `port` stay the same over `stop` and `start`, so that a test can take the database away
    under a running daemon and bring it back.
    """

    def __init__(self, root: Path, options: tuple[str, ...] = ()) -> None:
        self.root = root
        self.data = root / "data"
        self.socket = root / "mysqld.sock"
        self.port = free_tcp_port()
        self._options = options
        self._user = "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

    def _install(self) -> None:
        """Make the data directory, with a password-less root on the socket."""
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.chown(self.root, self._user)
        self.root.chmod(0o755)
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--user={self._user}",
                f"--datadir={self.data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Start the server, its data directory made first if there is none, and wait until it accepts connections."""
        if not self.data.exists():
            self._install()
        with (self.root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "mariadbd",
                    "--no-defaults",
                    f"--user={self._user}",
                    f"--datadir={self.data}",
                    f"--socket={self.socket}",
                    f"--port={self.port}",
                    "--bind-address=127.0.0.1",
                    f"--pid-file={self.root / 'pid'}",
                    "--skip-name-resolve",
                    "--innodb-flush-log-at-trx-commit=0",
                    "--innodb-buffer-pool-size=64M",
                    *self._options,
                ],
                stdout=log,
                stderr=log,
            )
        process = self._process

        def ready() -> bool:
            if process.poll() is not None:
                raise AssertionError((self.root / "server.log").read_text()[-2000:])
            return unix_socket_answers(self.socket)

        wait_until(ready, "MariaDB accepts connections")

    def connect(self, **arguments: Any) -> pymysql.connections.Connection[Any]:
        """Return a connection of the server's root over its socket, in autocommit."""
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", autocommit=True, charset="utf8mb4", **arguments
        )

    def execute(self, *statements: str) -> None:
        """Run `statements` as root."""
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
