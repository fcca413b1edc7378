"""One account of a userdb: ``name<TAB>field=value|field=value``."""

from __future__ import annotations

from collections.abc import Mapping

Fields = dict[bytes, bytes]


class BadRecord(ValueError):
    """What can't be a name or a field; the text says what to mend, and never a value."""


def parse_fields(text: bytes) -> Fields:
    """Return the fields of a record, of equal ones the first; one without ``=`` has an empty value."""
    fields: Fields = {}
    for pair in text.split(b"|"):
        name, _, value = pair.partition(b"=")
        fields.setdefault(name, value)
    return fields


def format_fields(fields: Mapping[bytes, bytes]) -> bytes:
    """Return `fields` as a record has them."""
    return b"|".join(b"%b=%b" % pair for pair in fields.items())


def parse_line(line: bytes) -> tuple[bytes, bytes] | None:
    """Return the name and the fields of a line; ``None`` for a comment and for one that is empty.

    :raises BadRecord: if the line is neither.
    """
    line = line.rstrip(b"\n")
    if not line or line.startswith(b"#"):
        return None
    if b"\0" in line:
        raise BadRecord("has a NUL, so that the file is damaged; write it anew, or take it from a backup")
    name, tab, fields = line.partition(b"\t")
    if not tab or not name:
        raise BadRecord("no tab behind the name; write name<TAB>field=value|field=value")
    return name, fields


NEEDED = (b"home", b"uid", b"gid")
"""Fields without which a record is no account."""

LOCATION = b"_"
"""The field that makeuserdb puts behind the others of a record in ``userdb.dat``."""

_USUAL = frozenset({*NEEDED, LOCATION, b"shell", b"gecos", b"mail", b"quota", b"options"})


def is_damaged(user: bytes, text: bytes) -> bool:
    """Tell whether a record of ``userdb.dat`` is none that makeuserdb writes.

    A record without one of `NEEDED` is no account to Courier.  Here it has to have the last field all the same, and none but
    the usual fields: an altered name leaves an unusual one, and an altered ``|`` leaves a field within another.
    """
    if b"\0" in text or b"\n" in text:
        return True
    pairs = [pair.partition(b"=") for pair in text.split(b"|")]
    names = [name for name, _, _ in pairs]
    if LOCATION in names and names.index(LOCATION) != len(names) - 1:
        return True
    if all(name in names for name in NEEDED):
        return False
    if user.endswith(b"="):
        # ``1000=`` leads from a uid to a name.
        return False
    hidden = any(name not in names and name + b"=" in text for name in NEEDED)
    return hidden or names[-1] != LOCATION or not all(equals and name in _USUAL for name, equals, _ in pairs)


def is_damaged_secret(user: bytes, text: bytes) -> bool:  # noqa: ARG001 - as `is_damaged`
    """Tell whether a record of ``userdbshadow.dat`` is none that makeuserdb writes: all its fields are passwords."""
    if b"\0" in text or b"\n" in text:
        return True
    return not all(
        is_secret(name) and equals for name, equals, _ in (pair.partition(b"=") for pair in text.split(b"|"))
    )


def check_field(name: bytes, value: bytes) -> None:
    """Refuse what would become another field, or another record.

    :raises BadRecord: if that is so.
    """
    for text in (name, value):
        if any(byte in text for byte in (b"|", b"\n", b"\t", b"\0")):
            raise BadRecord("a field has a |, a tab or a line break; leave it out")
    if not name or b"=" in name:
        raise BadRecord("a field has no name; write field=value")


def is_secret(field: bytes) -> bool:
    """Tell whether a field belongs into the file that nobody else may read."""
    return field.endswith(b"pw")
