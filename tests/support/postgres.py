"""A private PostgreSQL server: own data directory, socket directory and loopback port."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from tests.support.processes import Server, end, free_tcp_port, tcp_port_answers, wait_until

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
USER = "postgres"
SUPERUSER = "root"


class Postgres(Server):
    """One server in `root`, run by the user ``postgres``, whose database superuser is ``root`` without a password.

    `port` stays the same over `stop` and `start`.

    :param options: more arguments of the server, such as ``-c``, ``name=value``.
    """

    def __init__(self, root: Path, encoding: str = "UTF8", options: tuple[str, ...] = ()) -> None:
        self.root = root
        self.data = root / "data"
        self.port = free_tcp_port()
        self._encoding = encoding
        self._options = options

    def _install(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.chown(self.root, USER)
        self.root.chmod(0o755)
        words = [str(PROGRAMS / "initdb"), "--pgdata", str(self.data), "--username", SUPERUSER, "--auth", "trust"]
        words += ["--encoding", self._encoding, "--locale", "C", "--no-sync"]
        subprocess.run(words, check=True, user=USER, group=USER, extra_groups=[], capture_output=True, cwd="/")

    def start(self) -> None:
        """Start the server, its data directory made first if there is none, and wait until it takes questions."""
        if not self.data.exists():
            self._install()
        words = [str(PROGRAMS / "postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.root)]
        words += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", *self._options]
        with (self.root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                words, stdout=log, stderr=log, user=USER, group=USER, extra_groups=[], cwd="/"
            )
        process = self._process

        def ready() -> bool:
            assert process.poll() is None, (self.root / "server.log").read_text()[-2000:]
            if not tcp_port_answers(self.port):
                return False
            try:
                self.connect("template1").close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(ready, "PostgreSQL takes questions")

    def stop(self) -> None:
        """End the server, its clients' connections with it."""
        if self._process is not None:
            # Its "fast" way; SIGTERM would wait until all clients have gone.
            self._process.send_signal(2)
            end(self._process)
            self._process = None

    def connect(self, database: str = "extmail", **arguments: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection of the superuser's, in autocommit."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, dbname=database, autocommit=True, **arguments
        )

    def execute(self, *statements: str, database: str = "extmail") -> None:
        """Run `statements` as the superuser."""
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())
