"""TLS to a MySQL or MariaDB server.

A TLS setting that is there means TLS or no connection, whatever a server, or one in its place, says that it can.  Over a Unix
socket TLS is used if both sides can, as Courier has it: what goes over a socket leaves no machine.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import stat
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from pymysql.connections import MAX_PACKET_LEN, Connection
from pymysql.constants import CLIENT, CR
from pymysql.err import MySQLError, OperationalError

from authd.config.rcfile import without_waiting
from authd.config.sqlrc import SqlSettings
from authd.modules.reach import fifo_at

KEY, CERTIFICATE = "MYSQL_SSL_KEY", "MYSQL_SSL_CERT"
AUTHORITY, AUTHORITIES, CIPHER = "MYSQL_SSL_CACERT", "MYSQL_SSL_CAPATH", "MYSQL_SSL_CIPHER"
SETTINGS = (KEY, CERTIFICATE, AUTHORITY, AUTHORITIES, CIPHER)

NO_TLS = "MYSQL_SSL_CACERT or another TLS setting is there, but the server has no TLS"


class TlsSettingError(Exception):
    """A TLS setting that can't be used.

    :param setting: its name.
    :param problem: the value, and what is wrong with it.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting


def wants_tls(settings: SqlSettings) -> bool:
    """Tell whether a TLS setting is there, the flag for TLS in MYSQL_OPT among them."""
    values = settings.values
    return any(values[name] for name in SETTINGS) or bool(values["MYSQL_OPT"] & CLIENT.SSL)


def tls_context(settings: SqlSettings) -> ssl.SSLContext:
    """Return the context that the settings describe.

    As by Courier's client, the authority is verified if one is given, and the host name is not.

    :raises TlsSettingError: if a file can't be read or used.
    """
    values = settings.values
    context = unverified_context()
    authority, authorities = values[AUTHORITY], values[AUTHORITIES]
    if authority:
        _look_at(AUTHORITY, authority)
        _use(AUTHORITY, authority, lambda: context.load_verify_locations(cafile=authority))
    if authorities:
        _look_at(AUTHORITIES, authorities)
        _use(AUTHORITIES, authorities, lambda: context.load_verify_locations(capath=authorities))
    if authority or authorities:
        context.verify_mode = ssl.CERT_REQUIRED
    certificate, key = values[CERTIFICATE], values[KEY]
    if certificate:
        _look_at(CERTIFICATE, certificate)
        if key:
            _look_at(KEY, key)
        files = f"{certificate} with {KEY} {key}" if key else f"{certificate} without {KEY}"
        # Nothing can type the passphrase of a key.
        _use(CERTIFICATE, files, lambda: context.load_cert_chain(certificate, key or None, password=""))
    cipher = values[CIPHER]
    if cipher:
        names = [name for name in cipher.replace(",", ":").split(":") if name]
        if all(name.startswith("TLS_") for name in names):
            # Such names are of TLS 1.3, whose ciphers OpenSSL has a list of its own for.
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        else:
            _use(CIPHER, cipher, lambda: context.set_ciphers(cipher))
    return context


def unverified_context() -> ssl.SSLContext:
    """Return a context that takes any certificate.  It loads no authorities, which takes longer than all else of a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _look_at(setting: str, path: str) -> None:
    """Open a file or directory, whose name OpenSSL's errors lack."""
    try:
        if setting == AUTHORITIES:
            os.scandir(path).close()
            if problem := fifo_at(path):
                raise TlsSettingError(setting, problem)
        else:
            with open(path, "rb", opener=without_waiting) as opened:
                if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                    raise TlsSettingError(setting, f"{path}: not a regular file")
    except OSError as error:
        raise TlsSettingError(setting, f"{path}: {error.strerror}") from None


def _use(setting: str, value: str, load: Any) -> None:
    try:
        load()
    except (OSError, ValueError) as error:
        words = getattr(error, "reason", None) or getattr(error, "strerror", None) or error.args[0]
        raise TlsSettingError(setting, f"{value}: {str(words).replace('_', ' ').lower()}") from None


class _Seen(Exception):
    """The server's certificate, in DER, was read."""

    def __init__(self, certificate: bytes) -> None:
        super().__init__("the server's certificate was read")
        self.certificate = certificate


class _Greeting(Connection):
    """A connection that begins TLS and says no more."""

    ctx: ssl.SSLContext
    _sock: Any

    def _request_authentication(self) -> None:
        require_tls(self)
        flags = CLIENT.CAPABILITIES | CLIENT.SSL
        self.write_packet(struct.pack("<iIB23s", flags, MAX_PACKET_LEN, 45, b""))
        with self.ctx.wrap_socket(self._sock, server_hostname=self.host) as encrypted:
            raise _Seen(encrypted.getpeercert(binary_form=True) or b"")


def require_tls(connection: Connection) -> None:
    """Raise unless the server has greeted with TLS."""
    if not connection.server_capabilities & CLIENT.SSL:  # type: ignore[attr-defined]
        raise OperationalError(CR.CR_SSL_CONNECTION_ERROR, NO_TLS)


def insistence(arguments: Mapping[str, Any], context: ssl.SSLContext, library: str, stack: ExitStack) -> dict[str, Any]:
    """Return mysqlclient's arguments that leave its C library no way without TLS.

    Oracle's library takes degrees of demand.  MariaDB's takes a demand for a wish, unless it has to verify the certificate,
    the host name included, or has the certificate's fingerprint.  So the certificate is fetched first, as PyMySQL accepts
    it, and then no other is accepted.

    :param arguments: PyMySQL's.
    :param context: accepts the server's certificate.
    :param library: version of the C library.
    :param stack: keeps what must last until the connection is made.
    :raises ConnectionError: if the server has no TLS, or a certificate that is not accepted.
    """
    if _version(library)[:1] in ((5,), (8,), (9,)):
        return {"ssl_mode": "REQUIRED" if context.verify_mode is ssl.CERT_NONE else "VERIFY_CA"}
    # Since 3.4 MariaDB's takes no SHA-1, and before that nothing else.
    digest = "sha256" if _version(library) >= (3, 4) else "sha1"
    fingerprint = hashlib.new(digest, _certificate(arguments, context)).hexdigest()
    options = stack.enter_context(os.fdopen(os.memfd_create("authd"), "wb", buffering=0))
    os.fchmod(options.fileno(), 0o600)
    options.write(f"[client]\nssl-fp={fingerprint}\n".encode())
    return {"read_default_file": f"/proc/self/fd/{options.fileno()}"}


def _certificate(arguments: Mapping[str, Any], context: ssl.SSLContext) -> bytes:
    try:
        _Greeting(**{**arguments, "ssl": context})
    except _Seen as seen:
        return seen.certificate
    except MySQLError as error:
        # Of another driver than the one that connects.
        raise ConnectionError(f"{error.args[-1]} ({error.args[0]})") from None
    raise AssertionError("a connection that only begins TLS has ended otherwise")


def _version(library: str) -> tuple[int, ...]:
    return tuple(int(number) for number in library.split(".")[:2] if number.isdecimal())
