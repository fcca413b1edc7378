"""Show authd at work on an embedded database: ``make demo``.

Everything is in the directory ``demo``: configuration, database, socket, log.  The daemon stays in the foreground until it is
interrupted; with ``--once`` it ends after the show.
"""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from authd.passwords import hash_password
from authd.server.listener import answers

ROOT = Path("demo").resolve()
BIN = Path(sys.executable).parent
START_SECONDS = 30

# ExtMail's table, as SQLite has it.
TABLE = """CREATE TABLE mailbox (
    username varchar(255) PRIMARY KEY, uid varchar(255), password varchar(255), clearpwd varchar(128) DEFAULT '',
    name varchar(255), mailhost varchar(255) DEFAULT '', maildir varchar(255), homedir varchar(255), quota varchar(16),
    netdiskquota varchar(16), domain varchar(255), uidnumber int DEFAULT 1000, gidnumber int DEFAULT 1000,
    createdate datetime, expiredate date, active smallint DEFAULT 1, disablepwdchange smallint, disablesmtpd smallint,
    disablesmtp smallint, disablewebmail smallint, disablenetdisk smallint, disableimap smallint, disablepop3 smallint,
    question text, answer text)"""

ACCOUNTS = (
    ("postmaster@extmail.org", "PostMaster", "$1$phz1mRrj$3ok6BjeaoJYWDBsEPZb5C0"),
    ("alice@example.org", "Alice", hash_password(b"wonderland", "sha512-crypt").decode()),
    ("bob@example.org", "Bob", hash_password(b"builder", "ssha").decode()),
)

AUTHDAEMONRC = """authmodulelist="authsqlite"
daemons=5
authdaemonvar={root}/run
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
"""

AUTHSQLITERC = """SQLITE_DATABASE\t\t{root}/accounts.db
SQLITE_USER_TABLE\tmailbox
SQLITE_LOGIN_FIELD\tusername
SQLITE_CRYPT_PWFIELD\tpassword
SQLITE_UID_FIELD\t2525
SQLITE_GID_FIELD\t2525
SQLITE_HOME_FIELD\tconcat('/var/mailbox/',homedir)
SQLITE_MAILDIR_FIELD\tconcat('/var/mailbox/',maildir)
SQLITE_NAME_FIELD\tname
SQLITE_QUOTA_FIELD\tquota
"""


def lay_out() -> None:
    """Make the directory with configuration and database anew."""
    shutil.rmtree(ROOT, ignore_errors=True)
    for name in ("etc", "run"):
        (ROOT / name).mkdir(parents=True, mode=0o750)
    (ROOT / "etc" / "authdaemonrc").write_text(AUTHDAEMONRC.format(root=ROOT))
    (ROOT / "etc" / "authsqliterc").write_text(AUTHSQLITERC.format(root=ROOT))
    (ROOT / "accounts.db").touch(mode=0o600)
    connection = sqlite3.connect(ROOT / "accounts.db")
    connection.execute(TABLE)
    for username, name, password in ACCOUNTS:
        local_part, _, domain = username.partition("@")
        home = f"{domain}/{local_part}"
        connection.execute(
            "INSERT INTO mailbox (username, uid, password, name, maildir, homedir, quota, domain) VALUES (?,?,?,?,?,?,?,?)",
            (username, local_part, password, name, f"{home}/Maildir/", home, "104857600S", domain),
        )
    connection.commit()
    connection.close()


def show(*words: str, expected: int = 0) -> None:
    """Run one of the commands, as a reader would type it, and show what it says."""
    print(f"\n$ {' '.join(words)}", flush=True)
    done = subprocess.run([BIN / words[0], *words[1:]], check=False)
    print(f"(exit status {done.returncode})", flush=True)
    if done.returncode != expected:
        raise SystemExit(f"demo: expected exit status {expected}")


def main() -> int:
    """Run the demonstration and return the exit status."""
    lay_out()
    etc = str(ROOT / "etc")
    with (ROOT / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [BIN / "authdaemond", "start", "--foreground", "--sysconfdir", etc], stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        wait_for(daemon)
        print(f"authd serves {len(ACCOUNTS)} accounts at {ROOT}/run/socket; its log is {ROOT}/log")
        show("authtest", "--sysconfdir", etc, "postmaster@extmail.org", "extmail")
        show("authtest", "--sysconfdir", etc, "alice@example.org", "looking-glass", expected=1)
        show("authtest", "--sysconfdir", etc, "--explain", "alice@example.org", "looking-glass", expected=1)
        show("authenumerate", "--sysconfdir", etc)
        if "--once" not in sys.argv[1:]:
            print("\nTry it from another terminal; Ctrl-C ends it.", flush=True)
            daemon.wait()
    except KeyboardInterrupt:
        print()
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
    return 0


def wait_for(daemon: subprocess.Popen[bytes]) -> None:
    """Wait until the daemon answers; end with its log if it does not start."""
    socket = ROOT / "run" / "socket"
    for _ in range(START_SECONDS * 50):
        if answers(socket):
            return
        try:
            daemon.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    raise SystemExit((ROOT / "log").read_text())


if __name__ == "__main__":
    sys.exit(main())
