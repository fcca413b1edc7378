"""Hints for errors of the system and of back ends."""

from __future__ import annotations

import errno
from pathlib import Path
from urllib.parse import quote

import pytest

from authd.config.hints import connect_hint, described, read_hint, write_hint
from authd.modules.hints import address_hint, settings_hint
from authd.modules.sqlnames import advice_on_column


@pytest.mark.parametrize(
    ("file", "said", "hint"),
    [
        (
            "authldaprc",
            "Strong(er) authentication required: 00002028: LdapErr: DSID-0C090259, comment: The server requires binds "
            "to turn on integrity checking if SSL\\TLS are not already active on the connection, data 0, v2580",
            "the server wants TLS",
        ),
        ("authldaprc", "Confidentiality required: TLS confidentiality required", "the server wants TLS"),
        (
            "authldaprc",
            "Operations error: 000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a "
            "successful bind must be completed on the connection., data 0, v2580",
            "set LDAP_INITBIND to 1",
        ),
        (
            "authldaprc",
            "Invalid credentials: 80090308: LdapErr: DSID-0C090446, comment: AcceptSecurityContext error, data 52e, "
            "v2580",
            "correct LDAP_BINDDN or LDAP_BINDPW",
        ),
        ("authldaprc", "ldap://tls.certificate.example:389: Can't contact LDAP server", "start the server"),
        (
            "authldaprc",
            "ldaps://x: Can't contact LDAP server: error:0A000086:SSL routines::certificate verify failed (unable to "
            "get local issuer certificate)",
            "correct LDAPTLS_CACERT",
        ),
        ("authldaprc", "something else", ""),
        ("authpgsqlrc", 'service file "/x" not found', "correct service in PGSQL_CONNECTION"),
        ("authpgsqlrc", 'definition of service "x" not found', "correct service in PGSQL_CONNECTION"),
        ("authpgsqlrc", "could not match 2 port numbers to 3 hosts", "give as many ports and addresses as hosts"),
        ("authpgsqlrc", 'invalid sslmode value: "x"', "correct that value in PGSQL_CONNECTION"),
        ("authmysqlrc", "Access denied for user 'x'@'%' to database 'y' (1044)", "correct MYSQL_DATABASE"),
        ("authmysqlrc", "Too many connections (1040)", "raise max_connections"),
        ("authmysqlrc", "Access denied, this account is locked (4151)", "unlock the account of MYSQL_USERNAME"),
        (
            "authmysqlrc",
            "You must SET PASSWORD before executing this statement (1820)",
            "set a new password for MYSQL_",
        ),
        (
            "authmysqlrc",
            "User 'x' has exceeded the 'max_queries_per_hour' resource (current value: 1) (1226)",
            "raise that limit of MYSQL_USERNAME",
        ),
        (
            "authpgsqlrc",
            "server does not support SSL, but SSL was required",
            "give the server TLS, or correct sslmode in PGSQL_CONNECTION",
        ),
        ("authmysqlrc", "'x'@'y' has a password in the old format; please change it (1275)", "give that user another"),
        (
            "authmysqlrc",
            "Access denied for user 'x'@'localhost' (using password: YES) (1045)",
            "correct MYSQL_USERNAME or",
        ),
        (
            "authmysqlrc",
            "Can't connect to MySQL server on 'x' ([Errno -2] Name or service not known) (2003)",
            "correct the host",
        ),
        (
            "authmysqlrc",
            "Can't connect to local server through socket '/x' (2) (2002)",
            "start the database, or correct MYSQL_SOCKET",
        ),
        (
            "authmysqlrc",
            "Host '192.0.2.1' is not allowed to connect to this MariaDB server (1130)",
            "create MYSQL_USERNAME for",
        ),
        (
            "authmysqlrc",
            "Can't connect to MySQL server on 'x' ([SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed) (2003)",
            "correct MYSQL_SSL_CACERT",
        ),
        ("authmysqlrc", "Unknown column 'x' in 'field list' (1054)", ""),
        ("authpgsqlrc", "FATAL:  sorry, too many clients already", "raise max_connections"),
        (
            "authpgsqlrc",
            'FATAL:  no pg_hba.conf entry for host "192.0.2.1", user "x", database "y", no encryption',
            "add this host",
        ),
        ("authpgsqlrc", 'FATAL:  password authentication failed for user "x"', "correct user or password"),
        ("authpgsqlrc", "column x does not exist (42703)", ""),
        ("authsqliterc", "no such column: x", ""),
        ("authsqliterc", "database is locked", "end the program"),
        ("authsqliterc", "attempt to write a readonly database", "let the daemon's user write"),
    ],
)
def test_what_a_back_end_says(file: str, said: str, hint: str) -> None:
    found = settings_hint(file, said, {"SQLITE_DATABASE": "/srv/db"})
    assert found.startswith(hint)
    assert bool(found) == bool(hint)


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_errno_has_a_hint(code: int) -> None:
    error = OSError(code, "said", "/nonexistent/run/pid")
    for hint in (
        write_hint(error, Path("/nonexistent/run/pid"), "authdaemonvar"),
        read_hint(error, Path("/nonexistent/authdaemonrc")),
        connect_hint(error, Path("/nonexistent/socket")),
    ):
        assert hint
    line = described(error, "authdaemond")
    assert line.startswith("/nonexistent/run/pid: authdaemonvar: said; ")
    assert described(OSError(code, "said"), "authdaemond").startswith("authdaemond: said")


@pytest.mark.parametrize("server", ["127.0.0.1:3306", "mysql://db.example.org", "db.example.org"])
def test_a_port_or_a_url_as_the_host_is_told(server: str) -> None:
    said = f"Can't connect to MySQL server on '{server}' ([Errno -2] Name or service not known) (2003)"
    hint = settings_hint("authmysqlrc", said, {"MYSQL_SERVER": server})
    assert ("MYSQL_PORT" in hint) == (":" in server)
    assert "MYSQL_SERVER" in hint


def test_a_text_in_double_quotes_is_told() -> None:
    columns = {"mailbox": ["mail", "home"]}
    assert advice_on_column("/var/mail", columns).startswith("write a text in single quotes")
    assert advice_on_column("mial", columns).startswith("did you mean mail?")


def test_a_loop_of_links_is_not_for_its_rights() -> None:
    assert read_hint(OSError(errno.ELOOP, "said"), Path("/x")) == "put the file itself in place of the link"


def test_the_address_of_a_directory_that_leads_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "ldapi"
    assert address_hint([f"ldapi://{quote(str(file), safe='')}"]).startswith(
        f"there is no socket {file}; start the ser"
    )
    file.touch()
    assert (
        address_hint([f"ldapi://{quote(str(file), safe='')}", "ldapi:///", "ldap://127.0.0.1:1", "ldap://[::1]"]) == ""
    )
    assert address_hint([f"ldapi://{file}"]).startswith("write %2F for each / of the socket's path in LDAP_URI")
    assert address_hint(["ldap://localhost", f"ldaps://{'x' * 64}.example"]).startswith("correct the host xxx")


def test_a_limit_of_a_files_size_is_told() -> None:
    error = OSError(errno.EFBIG, "said")
    assert write_hint(error, Path("/run/x/pid"), "authdaemonvar").startswith(
        "raise the limit of a file's size: ulimit -f"
    )
