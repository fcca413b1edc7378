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
    name, tab, fields = line.partition(b"\t")
    if not tab or not name:
        raise BadRecord("no tab behind the name; write name<TAB>field=value|field=value")
    return name, fields


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
