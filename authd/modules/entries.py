"""Which entries of a directory are a user's: one at a time, or many by one search."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from authd.config.ldaprc import LdapSettings
from authd.modules.base import TemporaryFailure
from authd.modules.directory import Directory, Found, escaped
from authd.outcome import Reason


@dataclass(frozen=True, slots=True)
class Attributes:
    """An entry: its name, and what its attributes have."""

    dn: str
    values: Mapping[str, Sequence[bytes]] = field(repr=False)

    def first(self, name: str) -> bytes | None:
        """Return the first value of an attribute; ``None`` where there is none."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> Sequence[bytes]:
        """Return all values of an attribute."""
        return self.values.get(name.lower(), ()) if name else ()


@dataclass(frozen=True, slots=True)
class _Key:
    """What an account is looked up by."""

    attribute: str
    value: bytes

    @property
    def assertion(self) -> str:
        return f"({self.attribute}={escaped(self.value)})"


class Entries:
    """Finds the entries of users.

    :param attributes: that are wanted of each.
    :param trace: is told each search.
    """

    def __init__(
        self, settings: LdapSettings, directory: Directory, attributes: Sequence[str], trace: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._attributes = attributes
        self._trace = trace

    def of_each(self, users: Sequence[bytes]) -> list[list[Found] | TemporaryFailure]:
        """Return the entries that are each user's, of which there may be several, or why they can't be told.

        :raises TemporaryFailure: as `Directory.search_each`.
        """
        keys = [self._key_of(user) for user in users]
        wanted = list(dict.fromkeys(key for key in keys if isinstance(key, _Key)))
        found: dict[_Key, list[Found] | TemporaryFailure] = {**self._together(wanted)}
        rest = [key for key in wanted if key not in found]
        filters = [self._filter(key.assertion) for key in rest]
        answers = self._directory.search_each(self._settings.base, filters, self._attributes) if filters else []
        found.update(zip(rest, answers, strict=True))
        return [found[key] if isinstance(key, _Key) else key or [] for key in keys]

    def _together(self, keys: Sequence[_Key]) -> dict[_Key, list[Found]]:
        """Return by one search the entries of those of `keys` for whom that leaves no doubt.

        What the server takes for equal it alone knows.  An entry is somebody's if it has the very bytes; where one is nobody's
        by that, it may be anybody's, and of keys that are alike to a server that ignores case and blanks, none is asked here.
        """
        alike: dict[bytes, list[_Key]] = {}
        for key in keys:
            alike.setdefault(_folded(key.value), []).append(key)
        alone = {key.value: key for [key, *others] in alike.values() if not others and key.value.isascii()}
        attributes = {key.attribute for key in keys}
        if len(alone) < 2 or len(attributes) != 1 or not _is_whole(self._settings.filter):
            return {}
        either = "".join(key.assertion for key in alone.values())
        try:
            [entries] = self._directory.search_each(
                self._settings.base, [self._filter(f"(|{either})")], self._attributes
            )
        except TemporaryFailure as failure:
            if failure.reason is Reason.UNREACHABLE:
                raise
            # Together they may be too many for a limit of the server's, or the filter too long.
            return {}
        if isinstance(entries, TemporaryFailure):
            return {}
        [attribute] = attributes
        found: dict[_Key, list[Found]] = {}
        for entry in entries:
            values = Attributes(*entry).all(attribute)
            owners = [alone[value] for value in values if value in alone]
            others = [value for value in values if value not in alone]
            if len(owners) != 1 or any(not value.isascii() or _folded(value) in alike for value in others):
                return {}
            if any(_folded(value) in alike and value != owners[0].value for value in _of_others(entry, attribute)):
                return {}
            found.setdefault(owners[0], []).append(entry)
        return found

    def _filter(self, condition: str) -> str:
        if self._settings.filter:
            condition = f"(&{self._settings.filter}{condition})"
        self._trace(f"LDAP search: {condition}")
        return condition

    def _key_of(self, user: bytes) -> _Key | TemporaryFailure | None:
        """Return what the account of a user is looked up by, or why that can't be told; ``None`` if there is no account."""
        s = self._settings
        if s.map_filter and b"@" in user:
            try:
                handle = self._handle_of(user)
            except TemporaryFailure as failure:
                if failure.reason is Reason.UNREACHABLE:
                    raise
                return failure
            return _Key(s.map_mail, handle) if handle else None
        return _Key(s.mail, self.full_name(user))

    def full_name(self, user: bytes) -> bytes:
        """Return the name of a user, with ``LDAP_DOMAIN`` where it has none."""
        domain = self._settings.domain
        return user + b"@" + domain.encode("utf-8", "surrogateescape") if domain and b"@" not in user else user

    def _handle_of(self, user: bytes) -> bytes | None:
        """Return what ``LDAP_EMAILMAP`` finds for an address."""
        s = self._settings
        name, _, realm = user.partition(b"@")
        # In one go, so that a name that contains @realm@ stays what it is.
        pieces = {"@user@": escaped(name), "@realm@": escaped(realm)}
        condition = "".join(pieces.get(piece, piece) for piece in _PLACEHOLDERS.split(s.map_filter))
        self._trace(f"LDAP search: {condition}")
        found = self._directory.search(s.map_base, condition, [s.map_attribute])
        return Attributes(*found[0]).first(s.map_attribute) if len(found) == 1 else None


_PLACEHOLDERS = re.compile("(@user@|@realm@)")


def _of_others(entry: Found, attribute: str) -> Iterator[bytes]:
    """Yield what an entry has in attributes other than `attribute`.

    A filter meets an attribute's subtypes too (RFC 4511, 4.5.1.7), such as ``mail;lang-de`` or, for ``name``, ``cn``.
    """
    for name, values in entry[1].items():
        if name != attribute.lower():
            yield from values


def _folded(value: bytes) -> bytes:
    """Return what is the same for all ASCII values that some matching rule may take for equal.

    Case, blanks, the hyphens of telephone numbers, the leading zeros of integers: letters and digits are what remains.
    """
    if value.isascii():
        return re.sub(rb"[^a-z0-9]", b"", value.lower()).lstrip(b"0")
    text = unicodedata.normalize("NFKC", value.decode("utf-8", "surrogateescape")).casefold()
    return re.sub(r"[^a-z0-9]", "", text).encode()


def _is_whole(filter_text: str) -> bool:
    """Tell whether a filter has parentheses around it and is the same beside another, or is empty."""
    depth = 0
    for number, character in enumerate(filter_text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 1 and not (character == ")" and depth == 0 and number == len(filter_text) - 1):
            return False
    return depth == 0
