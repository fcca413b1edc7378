"""What to install or change for a database user whose plugin the driver lacks is told."""

from __future__ import annotations

import struct

import pytest
from pymysql.err import OperationalError

from authd.modules.hints import MYSQL, said_hint
from authd.modules.mysqlplugins import plugin_advice


@pytest.mark.parametrize(
    ("number", "words", "plugin"),
    [
        (2059, "Authentication plugin 'b'auth_gssapi_client'' not configured", "auth_gssapi_client"),
        (2059, "Authentication plugin 'b'parsec'' not configured", "parsec"),
        (2059, "Authentication plugin 'b'dialog'' not configured", "dialog"),
        (2059, "Authentication plugin 'client_ed25519' cannot be loaded: cannot open shared object", "client_ed25519"),
        (2061, "Authentication plugin 'caching_sha2_password' reported error", "caching_sha2_password"),
    ],
)
@pytest.mark.parametrize("by_library", [False, True])
def test_a_plugin_is_named(number: int, words: str, plugin: str, by_library: bool) -> None:
    advice = plugin_advice(OperationalError(number, words), "mail", by_library)
    assert f"database user mail logs in by {plugin}, " in advice
    assert ("AUTHD_MYSQL_DRIVER" in advice) is not by_library


@pytest.mark.parametrize(
    ("words", "install"),
    [
        ("'pynacl' package is required for ed25519_password auth method", "pip install 'authd[ed25519]'"),
        (
            "'cryptography' package is required for sha256_password or caching_sha2_password",
            "pip install 'PyMySQL[rsa]'",
        ),
    ],
)
def test_what_to_install_is_told(words: str, install: str) -> None:
    assert install in plugin_advice(RuntimeError(words), "mail", by_library=False)


@pytest.mark.parametrize("error", [IndexError("index out of range"), struct.error("unpack"), AssertionError()])
def test_a_login_that_the_driver_can_not_read_is_told(error: Exception) -> None:
    advice = plugin_advice(error, "mail", by_library=False)
    assert f"mail logs in by a plugin that PyMySQL does not follow ({type(error).__name__}); " in advice
    assert "set AUTHD_MYSQL_DRIVER to mysqlclient" in advice
    assert said_hint(advice, MYSQL).startswith("do that")


@pytest.mark.parametrize("error", [OperationalError(1045, "Access denied"), OperationalError(), RuntimeError("no")])
def test_other_errors_stay_as_they_are(error: Exception) -> None:
    assert plugin_advice(error, "mail", by_library=False) == ""
