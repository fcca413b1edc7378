"""PyMySQL's connection, reading results without their detours.

PyMySQL takes each packet of a result out of a buffer by two reads, and makes an object of it and of each column's description,
of which nothing here wants to know.  That is two thirds of what a lookup costs, so a result that is there as a whole is read in
one go.  Whatever is not as simple as that (errors, statements without rows, several results, values of 64 KiB, results that are
still coming) is left to PyMySQL, untouched: nothing is taken out of the buffer before it is known to be all there is.
"""

from __future__ import annotations

import io
import select
import ssl
from functools import lru_cache
from typing import Any

from pymysql.connections import Connection, MySQLResult
from pymysql.constants import CR, SERVER_STATUS
from pymysql.err import InternalError, OperationalError

from authd.modules.mysqltls import require_tls

BUFFER_BYTES = 65536
"""More than the result of a batch has."""

_EOF = 0xFE
_NULL = 0xFB
_TWO_BYTES = 0xFC
_MOST_COLUMNS = 0xFA
_COMPUTED = b"\x03def\0\0\0"

_UNTOLD = ((None,) * 7,)
"""Description of one column of which nothing is looked at."""

Rows = tuple[tuple[bytes | None, ...], ...]


class RowConnection(Connection):
    """As PyMySQL's, made with ``use_unicode=False`` and without decoders: values are the bytes that the server sent."""

    _rfile: io.BufferedReader
    _sock: Any

    def __init__(self, *, tls: ssl.SSLContext | None = None, needs_tls: bool = False, **arguments: Any) -> None:
        """Connect; see PyMySQL.

        :param tls: the context for TLS; ``None`` not to use it.
        :param needs_tls: whether to go on without if the server has none.
        """
        self._offered = tls
        self._needs_tls = needs_tls
        super().__init__(**arguments, ssl=tls if needs_tls else None, ssl_disabled=tls is None)

    def connect(self, sock: Any = None) -> None:
        """Connect; see PyMySQL."""
        super().connect(sock)
        # The former buffer is empty, since a server speaks when it is asked.
        self._rfile = self._sock.makefile("rb", BUFFER_BYTES)
        self._may_be_buffered = False
        self._pending = getattr(self._sock, "pending", None)
        self._poll = select.poll()
        self._poll.register(self._sock.fileno(), select.POLLIN)

    def _create_ssl_ctx(self, options: Any) -> Any:
        # Without options, TLS is used if the server offers it.
        return super()._create_ssl_ctx(options) if options else self._offered  # type: ignore[misc]

    def _request_authentication(self) -> None:
        if self._needs_tls:
            require_tls(self)
        super()._request_authentication()  # type: ignore[misc]

    def has_unread(self) -> bool:
        """Tell, without waiting, whether there is anything to read: in the buffer, in the TLS layer, or in the socket."""
        if self._may_be_buffered:
            before = self._sock.gettimeout()
            self._sock.settimeout(0)
            try:
                self._may_be_buffered = bool(self._rfile.peek(1))
            except ssl.SSLWantReadError:
                self._may_be_buffered = False
            finally:
                self._sock.settimeout(before)
            if self._may_be_buffered:
                return True
        return bool(self._poll.poll(0)) or (self._pending is not None and self._pending() > 0)

    def _read_query_result(self, unbuffered: bool = False) -> int:
        try:
            data = self._rfile.peek(1)
        except OSError as error:
            # As PyMySQL's own reading has it.
            self._force_close()  # type: ignore[attr-defined]
            raise OperationalError(
                CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query ({error})"
            ) from error
        found = None if unbuffered else read_rows(data)
        if found is None:
            self._may_be_buffered = True
            affected: int = super()._read_query_result(unbuffered)  # type: ignore[misc]
            self._reject_short_rows()
            return affected
        columns, rows, size, name = found
        self._may_be_buffered = len(data) > size
        self._rfile.read(size)
        result = MySQLResult(self)
        result.connection = None
        result.has_next = False
        result.field_count = columns
        result.description = _description(columns, name)
        result.rows = rows
        result.affected_rows = len(rows)
        self._result = result
        return len(rows)

    def _reject_short_rows(self) -> None:
        """Raise if a row has fewer columns than the result: PyMySQL takes what there is."""
        result = self._result
        columns = result.field_count
        if any(len(row) != columns for row in result.rows or ()):
            raise InternalError("a row has not as many columns as the result")


@lru_cache(maxsize=64)
def _description(columns: int, name: bytes) -> tuple[tuple[Any, ...], ...]:
    """Return the description of so many columns, of which the last one's name alone is told."""
    return (*_UNTOLD * (columns - 1), (name.decode("utf-8", "replace"), *_UNTOLD[0][1:]))


def read_rows(data: bytes) -> tuple[int, Rows, int, bytes] | None:
    """Return the number of columns, the rows, the length of a result that `data` begins with, and its last column's name.

    ``None`` where there is no whole result.  The name is empty where the column is not a computed one::

        result      = columns *description EOF *row EOF ; each a packet: length (3 bytes), number (1 byte), payload
        description = *(length text)                    ; catalogue, schema, table, the table's own name, name, …
        row         = *(NULL / length value)

    A computed column has neither schema nor table.

    From the description of the protocol in MariaDB's documentation.
    """
    size = len(data)
    start = number = 0
    columns = described = last = 0
    ends = 0
    rows: list[tuple[bytes | None, ...]] = []
    while start + 5 <= size:
        number += 1
        at = start + 4
        end = at + (data[start] | data[start + 1] << 8 | data[start + 2] << 16)
        if end > size or data[start + 3] != number & 0xFF:
            return None
        first = data[at]
        if number == 1:
            columns = first if end == at + 1 else 0
            if not 0 < columns <= _MOST_COLUMNS:
                return None
        elif first == _EOF and end == at + 5:
            ends += 1
            if ends == 1:
                described = last
            else:
                more = data[at + 3] & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS
                return None if more else (columns, tuple(rows), end, _computed_name(data, described))
        elif ends:
            row = _row(data, at, end)
            if row is None or len(row) != columns:
                return None
            rows.append(row)
        start, last = end, at
    return None


def _computed_name(data: bytes, at: int) -> bytes:
    """Return the name in the description of a computed column; empty if it is that of another."""
    if not data.startswith(_COMPUTED, at):
        return b""
    at += len(_COMPUTED)
    return data[at + 1 : at + 1 + data[at]]


def _row(data: bytes, at: int, end: int) -> tuple[bytes | None, ...] | None:
    """Return the values of the row between two places; ``None`` if one is of 64 KiB, or the row does not end there."""
    row: list[bytes | None] = []
    while at < end:
        length = data[at]
        at += 1
        if length < _NULL:
            row.append(data[at : at + length])
        elif length == _NULL:
            row.append(None)
            continue
        elif length == _TWO_BYTES and at + 2 <= end:
            length = data[at] | data[at + 1] << 8
            at += 2
            row.append(data[at : at + length])
        else:
            return None
        at += length
    return tuple(row) if at == end else None
