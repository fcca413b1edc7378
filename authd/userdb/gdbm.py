"""GDBM files, by the system's libgdbm: Python's own module for them is missing from most builds."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_int, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Self

from authd.userdb.layout import Damaged, Layout

LIBRARY = "libgdbm.so.6"

_READER, _NEW = 0, 3
_NO_LOCK, _NO_MAP = 0x040, 0x080
_INSERT = 0
_ITEM_NOT_FOUND = 15


class GdbmError(OSError):
    """A file that can't be opened, read or written, or that is damaged; the text names it, and never a key or value."""


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
    library.gdbm_sync.argtypes = [c_void_p]
    library.gdbm_fdesc.argtypes = [c_void_p]
    library.gdbm_count.argtypes = [c_void_p, ctypes.POINTER(c_uint64)]
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
        self._file = file
        # Not mapped: a file that is cut off while it is read ends a process by SIGBUS.  No function for fatal errors: behind
        # one, libgdbm calls exit(3); without one it returns.
        flags = (_NEW if write else _READER | _NO_LOCK) | _NO_MAP
        self._handle: int | None = self._library.gdbm_open(str(file).encode(), 0, flags, mode, None)
        if not self._handle:
            raise self._error()
        self._layout: Layout | None = None
        if not write:
            try:
                with self._damage_told():
                    self._layout = Layout(self._library.gdbm_fdesc(self._handle))
            except GdbmError:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`; ``None`` if there is none.

        :raises GdbmError: if the file is damaged where it would be.
        """
        value = _taken(self._library.gdbm_fetch(self._handle, _datum(key)))
        if value is None:
            self._expect_not_found()
            if self._layout is not None:
                with self._damage_told():
                    self._layout.confirm(key)
        return value

    def __iter__(self) -> Iterator[bytes]:
        """Yield all keys, in the order of the file; raises as `get`, before the first one where that can be told."""
        if self._layout is not None:
            with self._damage_told():
                self._layout.confirm_all()
        left = self._count()
        for key in self.keys():
            # A key that is there twice makes a circle.
            left -= 1
            if left < 0:
                raise self._damaged("more keys than it counts")
            yield key
        if left:
            raise self._damaged("fewer keys than it counts")

    def keys(self) -> Iterator[bytes]:
        """Yield keys in the order of the file, without a look at whether it is damaged; it may be that they have no end."""
        key = _taken(self._library.gdbm_firstkey(self._handle))
        while key is not None:
            yield key
            key = _taken(self._library.gdbm_nextkey(self._handle, _datum(key)))
        self._expect_not_found()

    def add(self, key: bytes, value: bytes) -> bool:
        """Store `value` under `key`, and tell whether that was done; not if there is one already.

        :raises GdbmError: if the file can't be written.
        """
        done = self._library.gdbm_store(self._handle, _datum(key), _datum(value), _INSERT)
        if done < 0:
            raise self._error()
        return bool(done == 0)

    def finish(self) -> None:
        """Write what is not in the file yet, so that it may take another's place.

        :raises GdbmError: if it can't be written.
        """
        if self._library.gdbm_sync(self._handle) != 0:
            raise self._error()

    def close(self) -> None:
        """Close the file; nothing may be asked of it afterwards."""
        handle, self._handle = self._handle, None
        if handle:
            self._library.gdbm_close(handle)

    def _count(self) -> int:
        count = c_uint64()
        if self._library.gdbm_count(self._handle, ctypes.byref(count)) < 0:
            raise self._error()
        return count.value

    def _expect_not_found(self) -> None:
        """Return if the library's last NULL means that there is no such key, and none behind the last one."""
        if _errno(self._library) != _ITEM_NOT_FOUND:
            raise self._error()

    def _error(self) -> GdbmError:
        """Return what the library says went wrong last."""
        message: bytes = self._library.gdbm_strerror(_errno(self._library))
        return GdbmError(f"{self._file}: {message.decode(errors='replace')}")

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        try:
            yield
        except (Damaged, OSError) as error:
            raise self._damaged(error) from None

    def _damaged(self, why: object) -> GdbmError:
        return GdbmError(f"{self._file}: {why}; run makeuserdb")


def _errno(library: ctypes.CDLL) -> int:
    code: int = library.gdbm_errno_location().contents.value
    return code


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
