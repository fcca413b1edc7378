"""GDBM files, by the system's libgdbm: Python's own module for them is missing from most builds."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import c_char_p, c_int, c_void_p
from functools import cache
from pathlib import Path
from typing import Self

LIBRARY = "libgdbm.so.6"

_READER, _NEW = 0, 3
_NO_LOCK = 0x040
_INSERT = 0


class GdbmError(OSError):
    """A file that can't be opened, read or written."""


class _Datum(ctypes.Structure):
    _fields_ = (("dptr", c_void_p), ("dsize", c_int))


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError as error:
        raise GdbmError(f"{error}; install libgdbm6") from None
    library.gdbm_open.restype = c_void_p
    library.gdbm_open.argtypes = [c_char_p, c_int, c_int, c_int, c_void_p]
    library.gdbm_close.argtypes = [c_void_p]
    for name in ("gdbm_firstkey", "gdbm_fetch", "gdbm_nextkey"):
        getattr(library, name).restype = _Datum
    library.gdbm_firstkey.argtypes = [c_void_p]
    library.gdbm_fetch.argtypes = library.gdbm_nextkey.argtypes = [c_void_p, _Datum]
    library.gdbm_store.argtypes = [c_void_p, _Datum, _Datum, c_int]
    library.gdbm_strerror.restype = c_char_p
    library.gdbm_errno_location.restype = ctypes.POINTER(c_int)
    return library


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [c_void_p]
    return libc


class Gdbm:
    """One file, open.

    :param write: make it anew, with `mode`; otherwise it is read, without a lock, since writers replace it as a whole.
    :raises GdbmError: if it can't be.
    """

    def __init__(self, file: Path, write: bool = False, mode: int = 0o600) -> None:
        self._library = _library()
        flags = _NEW if write else _READER | _NO_LOCK
        self._handle: int | None = self._library.gdbm_open(str(file).encode(), 0, flags, mode, None)
        if not self._handle:
            raise GdbmError(f"{file}: {self._last_error()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`; ``None`` if there is none."""
        return _taken(self._library.gdbm_fetch(self._handle, _datum(key)))

    def __iter__(self) -> Iterator[bytes]:
        """Yield all keys, in the order of the file."""
        key = _taken(self._library.gdbm_firstkey(self._handle))
        while key is not None:
            yield key
            key = _taken(self._library.gdbm_nextkey(self._handle, _datum(key)))

    def add(self, key: bytes, value: bytes) -> bool:
        """Store `value` under `key`, and tell whether that was done; not if there is one already.

        :raises GdbmError: if the file can't be written.
        """
        done = self._library.gdbm_store(self._handle, _datum(key), _datum(value), _INSERT)
        if done < 0:
            raise GdbmError(self._last_error())
        return bool(done == 0)

    def close(self) -> None:
        """Close the file; nothing may be asked of it afterwards."""
        handle, self._handle = self._handle, None
        if handle:
            self._library.gdbm_close(handle)

    def _last_error(self) -> str:
        message: bytes = self._library.gdbm_strerror(self._library.gdbm_errno_location().contents)
        return message.decode(errors="replace")


def _datum(data: bytes) -> _Datum:
    return _Datum(ctypes.cast(c_char_p(data), c_void_p), len(data))


def _taken(datum: _Datum) -> bytes | None:
    """Return the bytes of what the library allocated, and free that."""
    if not datum.dptr:
        return None
    try:
        return ctypes.string_at(datum.dptr, datum.dsize)
    finally:
        _libc().free(datum.dptr)
