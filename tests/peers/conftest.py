"""The accounts in a MariaDB, and both daemons on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import opened, require
from tests.support.accounts import fill
from tests.support.courier import DAEMON
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair
from tests.support.sysconf import mysqlrc, write_authdaemonrc


@pytest.fixture(scope="module")
def extmail(mariadb: MariaDB) -> MariaDB:
    """The server, its ``extmail`` database as new for this module."""
    fill(mariadb)
    return mariadb


@pytest.fixture(scope="module")
def pair(extmail: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both daemons on the same files and the same database."""
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd")
    (etc / "authmysqlrc").write_text(mysqlrc(extmail.socket))
    with Pair(root, etc, root / "authd") as both:
        yield both
