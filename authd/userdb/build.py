"""Compile a userdb's text into ``userdb.dat`` and ``userdbshadow.dat``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from authd.userdb.gdbm import Gdbm, GdbmError
from authd.userdb.record import is_secret
from authd.userdb.source import SourceError, files_of, lines_of, locked, write_hint


def data_file(source: Path) -> Path:
    """Return where the fields of the userdb `source` are that everybody may read."""
    return source.with_name(f"{source.name}.dat")


def shadow_file(source: Path) -> Path:
    """Return where its passwords are."""
    return source.with_name(f"{source.name}shadow.dat")


def build(source: Path) -> None:
    """Compile the userdb `source`; both files are replaced at once, or neither.

    :raises SourceError: if something is wrong with its text, or its files can't be written.
    """
    try:
        _check(source)
        with locked(source.with_name(f"{source.name}.lock")):
            _build(source)
    except GdbmError as error:
        raise SourceError(f"{source}: can't be compiled: {error}; see to the space in {source.parent}") from None
    except OSError as error:
        told = f"{error.filename or source}: {error.strerror}"
        raise SourceError(f"{source}: can't be compiled: {told}; {write_hint(error, source)}") from None


def _check(source: Path) -> None:
    if not source.exists():
        raise SourceError(f"{source}: not found; write it first, or name another with -f")
    if source.stat().st_mode & 0o077:
        raise SourceError(f"{source}: has passwords, and may be read by others; chmod go= {source}")
    for path in (source, data_file(source), shadow_file(source)):
        if path.is_symlink():
            raise SourceError(f"{path}: is a symbolic link; name what it points to with -f")


def _build(source: Path) -> None:
    targets = [(data_file(source), 0o644), (shadow_file(source), 0o600)]
    # In a directory of its own no other user can have put a link in the place of a new file.
    with tempfile.TemporaryDirectory(dir=source.parent, prefix=f".{source.name}.") as directory:
        temporary = [Path(directory, f"{target.stem}.tmp") for target, _ in targets]
        with Gdbm(temporary[0], True, 0o644) as data, Gdbm(temporary[1], True, 0o600) as shadow:
            for file in files_of(source):
                _add_records(file, _location(source, file), data, shadow)
            data.finish()
            shadow.finish()
        for path, (target, mode) in zip(temporary, targets, strict=True):
            path.chmod(mode)
            path.replace(target)


def _location(source: Path, file: Path) -> bytes:
    """Return what ``_`` says: which file of a directory a record is from, as a path ending in a slash."""
    return b"" if file == source else f"{file.relative_to(source)}/".encode()


def _add_records(file: Path, location: bytes, data: Gdbm, shadow: Gdbm) -> None:
    for number, name, text in lines_of(file):
        pairs = text.split(b"|")
        public = [pair for pair in pairs if not is_secret(pair.partition(b"=")[0])]
        secret = [pair for pair in pairs if is_secret(pair.partition(b"=")[0])]
        added = data.add(name, b"|".join([*public, b"_=" + location]))
        if not added or (secret and not shadow.add(name, b"|".join(secret))):
            shown = name.decode("utf-8", "backslashreplace")
            raise SourceError(f"{file}:{number}: {shown} is there before; remove one")
