"""The client's side of the protocol: requests into bytes, replies into accounts.

What authdaemond's own commands and the tests speak.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

from authd.account import Account, Entry
from authd.numbers import MAX_UID, atoi
from authd.protocol.reply import FAIL


class ReplyError(Exception):
    """A reply that is neither an account nor ``FAIL``: nothing at all, or cut off."""


def encode_lookup(service: bytes, user: bytes, authlist: bytes = b".") -> bytes:
    """Return the bytes of a ``PRE`` request.

    :raises ValueError: if a field has a NUL or a newline, which would end the request.
    """
    if any(byte in field for field in (service, user, authlist) for byte in (b"\0", b"\n")):
        raise ValueError("a NUL or a newline can't be sent in a lookup")
    return b"PRE %b %b %b\n" % (authlist, service, user)


def encode_login(service: bytes, user: bytes, password: bytes) -> bytes:
    """Return the bytes of an ``AUTH`` request of type ``login``.

    :raises ValueError: if a field has a newline, which would make it two, or a NUL, which would end it.
    """
    if any(byte in field for field in (service, user, password) for byte in (b"\n", b"\0")):
        raise ValueError("a newline or a NUL can't be sent in a login")
    body = b"%b\nlogin\n%b\n%b\n" % (service, user, password)
    return b"AUTH %d\n%b" % (len(body), body)


def encode_cram(service: bytes, user: bytes, digest: str, challenge: bytes, response: bytes) -> bytes:
    """Return the bytes of an ``AUTH`` request of type ``cram-…``.

    :param digest: ``md5`` and so on.
    :param response: in hexadecimal.
    :raises ValueError: if the service has a newline, which would make it two fields.
    """
    if b"\n" in service:
        raise ValueError("a newline can't be sent in a login")
    encoded = b64encode(challenge), b64encode(b"%b %b" % (user, response))
    body = b"%b\ncram-%b\n%b\n%b\n" % (service, digest.encode(), *encoded)
    return b"AUTH %d\n%b" % (len(body), body)


def encode_passwd(service: bytes, user: bytes, old: bytes, new: bytes) -> bytes:
    """Return the bytes of a ``PASSWD`` request.

    :raises ValueError: if a field has a byte that the line can't carry.
    """
    fields = (service, user, old, new)
    if any(byte < 0x20 for field in fields for byte in field):
        raise ValueError("control characters can't be sent in a password change")
    return b"PASSWD %b\n" % b"\t".join(fields)


def encode_enumerate() -> bytes:
    """Return the bytes of an ``ENUMERATE`` request."""
    return b"ENUMERATE\n"


def decode_account(reply: bytes) -> Account | None:
    """Return the account in a reply to ``PRE`` or ``AUTH``, or ``None`` if it is a reject, as Courier's client understands it.

    :raises ReplyError: if the reply is neither.
    """
    if reply.startswith(FAIL):
        return None
    values: dict[bytes, bytes] = {}
    for line in reply.split(b"\n"):
        if line == b".":
            break
        if line == b"FAIL":
            return None
        name, equals, value = line.partition(b"=")
        if equals:
            values[name] = value
    else:
        raise ReplyError("the reply ended before its last line" if reply else "the daemon closed without a reply")
    return Account(
        address=values.get(b"ADDRESS"),
        uid=_number(values.get(b"UID")),
        gid=_number(values.get(b"GID")),
        home=values.get(b"HOME", b""),
        username=values.get(b"USERNAME"),
        name=values.get(b"NAME"),
        maildir=values.get(b"MAILDIR"),
        quota=values.get(b"QUOTA"),
        options=values.get(b"OPTIONS"),
        crypt=values.get(b"PASSWD"),
        clear=values.get(b"PASSWD2"),
        tells_uid=b"UID" in values,
    )


def decode_enumeration(reply: bytes) -> Iterator[Entry]:
    """Yield the accounts of a reply to ``ENUMERATE``; accounts with uid or gid 0 are passed over, as Courier's does.

    :raises ReplyError: at the end, if the list was cut off.
    """
    for line in reply.split(b"\n")[:-1]:
        if line == b".":
            return
        fields = line.partition(b"#")[0].split(b"\t")
        if len(fields) < 4:
            continue
        uid, gid = _listed_number(fields[1]), _listed_number(fields[2])
        if uid == 0 or gid == 0:
            continue
        maildir = fields[4] if len(fields) > 4 else b""
        options = fields[5] if len(fields) > 5 else b""
        yield Entry(fields[0], uid, gid, fields[3], maildir, options)
    raise ReplyError("the list of accounts was cut off")


def _number(text: bytes | None) -> int:
    return atoi(text or b"") % (MAX_UID + 1)


def _listed_number(text: bytes) -> int:
    """Return the number of an enumeration's column as Courier's client reads it: digits alone, and of the sum 32 bits."""
    number = 0
    for digit in text:
        if not 0x30 <= digit <= 0x39:
            break
        number = (number * 10 + digit - 0x30) % (MAX_UID + 1)
    return number
