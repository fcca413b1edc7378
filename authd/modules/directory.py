"""One connection to an LDAP directory, made when it is first needed, and made again, elsewhere if need be, when it was lost.

Answers carry the number of their question.  All the same a connection is closed after any exception, since an answer may be half
read then, and before a question if it has bytes that no question asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import ldap
from ldap.controls import SimplePagedResultsControl
from ldap.ldapobject import LDAPObject
from ldap.schema import AttributeType, SubSchema

from authd.config.concealed import before_secret, without_password
from authd.config.ldaprc import LdapSettings
from authd.modules import ldappasswords
from authd.modules.base import TemporaryFailure
from authd.modules.ldappasswords import LOST
from authd.modules.ldapverdict import described
from authd.modules.reach import fifo_in
from authd.modules.readable import is_readable
from authd.outcome import Answer, Reason, reject

T = TypeVar("T")

Found = tuple[str, Mapping[str, Sequence[bytes]]]
"""An entry's name, and its attributes by their names in lower case."""

PAGE = 500
"""Entries that are asked for at once, as many as servers usually give."""

_DEREFERENCING = {
    "never": ldap.DEREF_NEVER,
    "searching": ldap.DEREF_SEARCHING,
    "finding": ldap.DEREF_FINDING,
    "always": ldap.DEREF_ALWAYS,
}
_TLS_FILES = {
    "LDAPTLS_CACERT": ldap.OPT_X_TLS_CACERTFILE,
    "LDAPTLS_CACERTDIR": ldap.OPT_X_TLS_CACERTDIR,
    "LDAPTLS_CERT": ldap.OPT_X_TLS_CERTFILE,
    "LDAPTLS_KEY": ldap.OPT_X_TLS_KEYFILE,
    "LDAPTLS_CIPHER_SUITE": ldap.OPT_X_TLS_CIPHER_SUITE,
}
_TLS_REQUIRE = {
    "never": ldap.OPT_X_TLS_NEVER,
    "allow": ldap.OPT_X_TLS_ALLOW,
    "try": ldap.OPT_X_TLS_TRY,
    "demand": ldap.OPT_X_TLS_DEMAND,
    "hard": ldap.OPT_X_TLS_HARD,
}


def escaped(value: bytes) -> str:
    """Return `value` as it can stand in a filter for nothing but itself (RFC 4515)."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:02x}" for byte in value)


class Directory:
    """A lazily connected directory of several servers.

    :param tls: names and values of the ``LDAPTLS_…`` settings.
    :param notice: writes one line to the log.
    """

    def __init__(self, settings: LdapSettings, tls: Mapping[str, str], notice: Callable[[str], None]) -> None:
        self._settings = settings
        self._tls = tls
        self._notice = notice
        self._uris = list(settings.uris)
        self._connection: LDAPObject | None = None

    def search(self, base: str, filter_text: str, attributes: Sequence[str]) -> list[Found]:
        """Return the entries below `base` that meet a filter.

        :raises TemporaryFailure: if no server answers, or one refuses the search.
        """
        [found] = self.search_each(base, [filter_text], attributes)
        if isinstance(found, TemporaryFailure):
            raise found
        return found

    def search_each(
        self, base: str, filters: Sequence[str], attributes: Sequence[str]
    ) -> list[list[Found] | TemporaryFailure]:
        """Return for each of `filters` the entries below `base` that meet it, or why it can't be told that there is none.

        All are asked before the first is answered.

        :raises TemporaryFailure: as `search`.
        """
        timeout = self._settings.timeout

        def ask(connection: LDAPObject) -> list[list[Found] | TemporaryFailure]:
            messages = [connection.search_ext(base, ldap.SCOPE_SUBTREE, text, attributes) for text in filters]
            answers = [connection.result(message, timeout=timeout)[1] or () for message in messages]
            return [_found(answer) or self._not_followed(connection, answer) or [] for answer in answers]

        return self._run(ask)

    def pages(self, base: str, filter_text: str, attributes: Sequence[str]) -> Iterator[Found]:
        """Yield all entries below `base` that meet a filter, asking for `PAGE` of them at once.

        :raises TemporaryFailure: as `search`.
        """
        control = SimplePagedResultsControl(False, size=PAGE, cookie="")
        while True:
            entries, answered = self._run(
                lambda connection: self._page(connection, base, filter_text, attributes, control)
            )
            yield from entries
            cookie = next((one.cookie for one in answered if one.controlType == control.controlType), b"")
            if not cookie:
                return
            control.cookie = cookie

    def some(self, base: str, filter_text: str, attributes: Sequence[str]) -> list[Found]:
        """Return a page of the entries below `base` that meet a filter; raises as `search`."""
        control = SimplePagedResultsControl(False, size=PAGE, cookie="")
        return self._run(lambda connection: self._page(connection, base, filter_text, attributes, control)[0])

    def schema_attributes(self) -> frozenset[str]:
        """Return the names of the attributes that the server's schema has; empty where it does not tell."""
        try:
            return self._run(_schema_attributes)
        except TemporaryFailure:
            return frozenset()

    def _page(
        self, connection: LDAPObject, base: str, filter_text: str, attributes: Sequence[str], control: Any
    ) -> tuple[list[Found], Sequence[Any]]:
        message = connection.search_ext(base, ldap.SCOPE_SUBTREE, filter_text, attributes, serverctrls=[control])
        _, entries, _, answered = connection.result3(message, timeout=self._settings.timeout)
        if failure := self._not_followed(connection, entries):
            raise failure
        return _found(entries), answered

    def bind(self, dn: str, password: bytes) -> Answer:
        """Return a server's verdict on the password of the entry `dn`, by a bind on a connection of its own.

        :raises TemporaryFailure: if no server answers.
        """
        if not password:
            # A bind without a password succeeds: it is an anonymous one.
            return reject(Reason.WRONG_PASSWORD)
        return self._ask_on_new(lambda connection: ldappasswords.bind(connection, dn, password))

    def change(self, dn: str, old: bytes, new: bytes, values: Mapping[str, bytes]) -> Answer:
        """Change the password of the entry `dn` under its own name, on a connection of its own; see `ldappasswords.change`.

        :raises TemporaryFailure: if no server answers.
        """
        return self._ask_on_new(lambda connection: ldappasswords.change(connection, dn, old, new, values))

    def replace(self, dn: str, values: Mapping[str, bytes]) -> Answer:
        """Give attributes of the entry `dn` new values, under the name that lookups have.

        :raises TemporaryFailure: if no server answers.
        """
        return self._run(lambda connection: ldappasswords.modify(connection, dn, values))

    def _ask_on_new(self, question: Callable[[LDAPObject], T], keep: bool = False) -> T:
        try:
            return self._on_new(question, keep)
        except ldap.LDAPError as error:
            raise TemporaryFailure(Reason.QUERY_FAILED, described(error)) from None
        except TemporaryFailure:
            raise
        except Exception as error:
            raise _unreadable(error) from None

    def close(self) -> None:
        """Close the connection; the next question makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _unbind(connection)

    def _run(self, question: Callable[[LDAPObject], T]) -> T:
        """Ask on the connection there is, else on a new one to the first server that answers."""
        connection = self._connection
        if connection is not None:
            try:
                return _asked(connection, question)
            except ldap.TIMEOUT as error:
                self.close()
                raise TemporaryFailure(Reason.UNREACHABLE, described(error)) from None
            except LOST as error:
                self.close()
                self._notice(f"connection to the directory was lost ({described(error)}), connecting again")
            except ldap.LDAPError as error:
                self.close()
                raise TemporaryFailure(Reason.QUERY_FAILED, described(error)) from None
            except BaseException as error:
                self.close()
                if isinstance(error, TemporaryFailure) or not isinstance(error, Exception):
                    raise
                raise _unreadable(error) from None

        def bind_and_ask(connection: LDAPObject) -> tuple[LDAPObject, T]:
            settings = self._settings
            if settings.binds:
                password = settings.bind_password.encode("utf-8", "surrogateescape")
                try:
                    connection.simple_bind_s(settings.bind_dn, password)
                except LOST:
                    raise
                except ldap.LDAPError as error:
                    # Else it would look like the user's.
                    raise TemporaryFailure(Reason.QUERY_FAILED, f"bind for lookups: {described(error)}") from None
            return connection, question(connection)

        self._connection, answer = self._ask_on_new(bind_and_ask, keep=True)
        return answer

    def _on_new(self, act: Callable[[LDAPObject], T], keep: bool = False) -> T:
        """Act on a new connection to the first server that is there; `keep` leaves it open.

        :raises TemporaryFailure: if none is there.
        :raises ldap.LDAPError: what a server that is there said.
        """
        failures = []
        for uri in list(self._uris):
            try:
                connection = self._connect(uri)
            except LOST as error:
                failures.append(f"{uri}: {described(error)}")
                continue
            kept = False
            try:
                result = act(connection)
                kept = keep
            except LOST as error:
                failures.append(f"{uri}: {described(error)}")
                continue
            finally:
                if not kept:
                    _unbind(connection)
            # Who waited for a server that is down need not do so again.
            self._uris.remove(uri)
            self._uris.insert(0, uri)
            return result
        raise TemporaryFailure(Reason.UNREACHABLE, "; ".join(failures))

    def _connect(self, uri: str) -> LDAPObject:
        settings = self._settings
        if problem := fifo_in((name, self._tls[name]) for name in _TLS_FILES if name in self._tls):
            raise TemporaryFailure(Reason.MISCONFIGURED, problem)
        try:
            connection = ldap.initialize(uri)
        except ldap.LDAPError:
            # The library says no more, neither here nor in other programs.
            shown = before_secret(without_password(uri))
            raise TemporaryFailure(Reason.MISCONFIGURED, f"the address {shown} can't be understood") from None
        connection.set_option(ldap.OPT_PROTOCOL_VERSION, settings.protocol_version)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, settings.timeout)
        connection.set_option(ldap.OPT_TIMEOUT, settings.timeout)
        connection.set_option(ldap.OPT_DEREF, _DEREFERENCING[settings.dereferencing])
        for name, option in _TLS_FILES.items():
            if name in self._tls:
                connection.set_option(option, self._tls[name])
        demanded = _TLS_REQUIRE.get(self._tls.get("LDAPTLS_REQCERT", "").lower())
        if demanded is not None:
            connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, demanded)
        if self._tls:
            try:
                connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
            except (ValueError, ldap.LDAPError):
                # The library names neither the file nor the reason.
                files = ", ".join(f"{name} {self._tls[name]}" for name in _TLS_FILES if name in self._tls)
                detail = f"TLS can't be set up with {files or 'the LDAPTLS settings'}"
                raise TemporaryFailure(Reason.MISCONFIGURED, detail) from None
        if settings.starts_tls or self._means_tls(uri):
            connection.start_tls_s()
        if self._encrypts(uri):
            # The library follows a referral by a new connection, which this makes one by TLS from its beginning.
            connection.set_option(ldap.OPT_X_TLS, ldap.OPT_X_TLS_HARD)
        return connection

    def _encrypts(self, uri: str) -> bool:
        return uri.startswith("ldaps://") or self._settings.starts_tls or self._means_tls(uri)

    def _not_followed(self, connection: LDAPObject, answer: Sequence[Any]) -> TemporaryFailure | None:
        """Return the failure that an answer is if it refers to a server without TLS, and the connection has TLS."""
        if not self._encrypts(connection.get_option(ldap.OPT_URI)):
            return None
        for dn, references, *_ in answer:
            if not dn and not any(reference.lower().startswith("ldaps://") for reference in references):
                detail = f"the server refers to {', '.join(references)}, which is not followed without TLS"
                return TemporaryFailure(Reason.QUERY_FAILED, detail)
        return None

    def _means_tls(self, uri: str) -> bool:
        """Tell whether certificates or ciphers in authdaemonrc mean TLS, where LDAP_TLS says neither yes nor no."""
        is_open = uri.startswith("ldap://") and "LDAP_TLS" not in self._settings.lines
        return is_open and any(name in self._tls for name in _TLS_FILES)


def _schema_attributes(connection: LDAPObject) -> frozenset[str]:
    dn = connection.search_subschemasubentry_s()
    entry = connection.read_subschemasubentry_s(dn, ["attributeTypes"]) if dn else None
    if not entry:
        return frozenset()
    schema = SubSchema(entry)
    types = [schema.get_obj(AttributeType, oid) for oid in schema.listall(AttributeType)]
    return frozenset(name for one in types for name in (one.oid, *one.names))


def _found(entries: Sequence[Any]) -> list[Found]:
    # Where a name should be, references to other servers have none.  A dictionary, since two entries for a login count as none.
    return list(
        {
            dn: {name.lower(): values for name, values in attributes.items()} for dn, attributes, *_ in entries if dn
        }.items()
    )


def _unreadable(error: Exception) -> TemporaryFailure:
    # Its text may quote what was read.
    return TemporaryFailure(Reason.UNREACHABLE, f"the answer can't be read: {type(error).__name__}")


def _asked(connection: LDAPObject, question: Callable[[LDAPObject], T]) -> T:
    """Ask on a connection that has been used before.

    :raises ldap.SERVER_DOWN: also if it has bytes that answer nothing.
    """
    if is_readable(connection.fileno()):
        raise ldap.SERVER_DOWN({"desc": "the server closed it, or said what nothing asked for"})
    return question(connection)


def _unbind(connection: LDAPObject) -> None:
    with suppress(Exception):
        connection.unbind_s()
