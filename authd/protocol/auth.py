"""The body of an ``AUTH`` request.

::

    body     = service LF authtype LF authdata          ; ends at a NUL if there is one
    authdata = userid LF password [LF]                                    ; authtype "login"
             | base64(challenge) LF base64(userid SP hexdigest) [LF]      ; authtype "cram-…"

Empty lines behind the password, and in a CRAM's authdata, are skipped, so that an empty user name or password can't be sent.
"""

from __future__ import annotations

from authd.protocol.request import Cram, Dropped, Login, Rejected, Request
from authd.protocol.strict64 import decode_base64

CRAM_DIGESTS = {b"cram-md5": "md5", b"cram-sha1": "sha1", b"cram-sha256": "sha256"}
"""Authentication types of CRAM, and the hash that each uses."""


def parse_auth_body(body: bytes) -> Request:
    """Return the request in an ``AUTH`` body, which was read whole."""
    text = body.partition(b"\0")[0]
    service, first, rest = text.partition(b"\n")
    authtype, second, authdata = rest.partition(b"\n")
    if not first or not second:
        return Dropped("AUTH body with fewer than three fields")
    if authtype == b"login":
        return _parse_login(service, authdata, body[len(text) :])
    fields = [field for field in authdata.split(b"\n") if field]
    digest = CRAM_DIGESTS.get(authtype)
    if digest is None:
        return Rejected(service, "unknown authentication type")
    return _parse_cram(service, digest, fields)


def _parse_login(service: bytes, authdata: bytes, ending: bytes) -> Request:
    """Return the login in `authdata`.

    :param ending: what follows it from a NUL on; empty where there is none.
    """
    lines = authdata.rstrip(b"\n").split(b"\n")
    user = lines[0]
    # The last line is never empty unless it is the only one.
    if not any(lines[:-1]):
        return Rejected(service, f"{'NUL in' if ending.strip(bytes(1)) else 'empty'} user name or password", user)
    if len(lines) > 2:
        # The client meant one of these newlines to be part of a name or password; whichever it was, the account
        # that would be looked up is not the one that it believes in.
        return Rejected(service, "newline in user name or password", user)
    if ending and (ending.strip(b"\0") or not authdata.endswith(b"\n")):
        # Only a NUL behind the whole text is the end of a C string, and part of neither.
        return Rejected(service, "NUL in user name or password", user)
    return Login(service, user, lines[1])


def _parse_cram(service: bytes, digest: str, fields: list[bytes]) -> Request:
    if len(fields) < 2:
        return Rejected(service, "CRAM without challenge or response")
    challenge, reply = decode_base64(fields[0]), decode_base64(fields[1])
    if challenge is None or reply is None:
        return Rejected(service, "CRAM with invalid base64")
    # A user name may have spaces; the digest has none.
    user, space, response = reply.rpartition(b" ")
    if not space:
        return Rejected(service, "CRAM response without a digest")
    return Cram(service, user, digest, challenge.partition(b"\0")[0], response.partition(b"\0")[0])
