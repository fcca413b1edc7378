"""Requests by hand: every command, every limit, every oddity that a client could send."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator

from tests.support.accounts import ROWS
from tests.support.wire import auth, login, pre

GOOD = b"postmaster@extmail.org"
GOOD_PASSWORD = b"extmail"
SERVICES = ("imap", "pop3", "smtp", "courier", "esmtp", "", "im ap", "login", "x" * 200, "ümlaut", "it's")


def cram(
    user: bytes,
    password: bytes,
    digest: str = "md5",
    authtype: bytes = b"",
    challenge: bytes = b"<123@host>",
    response: bytes | None = None,
) -> bytes:
    """Return an ``AUTH`` of type CRAM; `response` replaces the decoded reply."""
    if response is None:
        response = user + b" " + hmac.new(password, challenge, digest).hexdigest().encode()
    encoded = base64.b64encode(challenge), base64.b64encode(response)
    return auth(b"imap\n%b\n%b\n%b\n" % (authtype or b"cram-" + digest.encode(), *encoded))


def _lookups() -> Iterator[bytes]:
    for user, *_ in ROWS:
        if user is not None:
            yield pre(user)
            yield pre(user, "courier")
    for service in SERVICES:
        yield pre(GOOD, service)
    for modules in (".", "authmysql", "authsqlite", "authfoo", "AUTHMYSQL", "..", "authmysq", "authmysql,authfoo", "*"):
        yield pre(GOOD, modules=modules)
    for user in (
        "nobody@example.org",
        "user",
        "nobody",
        "@",
        "user@",
        "@default.example",
        "x" * 300,
        "USER@EXAMPLE.ORG",
        "user@example.org ",
        " user@example.org",
        "' OR 1=1 --",
        "\\",
        "%",
        "user@example.org\r",
    ):
        yield pre(user)
    for raw in (b"\xe9\xe8", b"user\xff@example.org", b"\xbf\x27 OR 1=1 -- ", b"uml\xe4ut@example.org", b"\x01\x02@x"):
        yield pre(raw)


def _lines() -> Iterator[bytes]:
    yield from (
        b"",
        b"\n",
        b" \n",
        b"\n\n",
        b"FOO\n",
        b"FOO bar\n",
        b"pre . imap x\n",
        b"PRE",
        b"PRE\n",
        b"PRE \n",
        b"PRE .\n",
        b"PRE . \n",
        b"PRE . imap\n",
        b"PRE . imap \n",
        b"PRE . imap  \n",
        b"PRE  .  imap  " + GOOD + b"\n",
        b"  PRE . imap " + GOOD + b"\n",
        b"PRE . imap " + GOOD + b" \n",
        b"PRE . imap " + GOOD + b"\r\n",
        b"PRE\t. imap " + GOOD + b"\n",
        b"PRE .\timap " + GOOD + b"\n",
        b"PRE . imap\t" + GOOD + b"\n",
        b"PRE . imap a b c\n",
        b"PRE . imap " + GOOD,
        b"PREX . imap " + GOOD + b"\n",
        b"PRE\0 . imap " + GOOD + b"\n",
        b"PRE . im\0ap " + GOOD + b"\n",
        b"\0\n",
        b"\nPRE . imap " + GOOD + b"\n",
        b"PRE . imap a=b@x\n",
        b"PRE . i=p " + GOOD + b"\n",
        b"PRE=1 . imap " + GOOD + b"\n",
        b"A=B\nPRE . imap " + GOOD + b"\n",
        b"A=\nPRE . imap " + GOOD + b"\n",
        b"=\nPRE . imap " + GOOD + b"\n",
        b"=x\nPRE . imap " + GOOD + b"\n",
        b"A B=C\nPRE . imap " + GOOD + b"\n",
        b" A=C\nPRE . imap " + GOOD + b"\n",
        b"A=C \nPRE . imap " + GOOD + b"\n",
        b"A\0=C\nPRE . imap " + GOOD + b"\n",
        b"A=\0C\nPRE . imap " + GOOD + b"\n",
        b"TCPREMOTEIP=192.0.2.7\nPRE . imap " + GOOD + b"\n",
        b"TCPREMOTEIP=" + b"9" * 300 + b"\nPRE . imap " + GOOD + b"\n",
        b"TCPREMOTEIP=2001:db8::1\nTCPREMOTEHOST=h\n" * 50 + b"PRE . imap " + GOOD + b"\n",
        b"A=B\n",
        b"A=B",
        b"A=B\nFOO\n",
        b"A\xff=\xfe\nPRE . imap " + GOOD + b"\n",
        b"ENUMERATE",
        b"ENUMERATE\n",
        b"ENUMERATE .\n",
        b"ENUMERATE imap\n",
        b"ENUMERATE  x y\n",
        b"ENUMERATEX\n",
        b"ENUMERATE\r\n",
        b"enumerate\n",
        b"QUIT\n",
        b"AUTH",
        b"PASSWD",
    )
    for length in (8180, 8188, 8189, 8190, 8191, 8192, 8193, 9000, 20000):
        yield b"PRE . imap " + b"x" * (length - 12) + b"\n"
        yield b"A=" + b"x" * (length - 3) + b"\nPRE . imap " + GOOD + b"\n"
        yield b"x" * length
        yield b"PASSWD imap\t" + b"x" * (length - 13) + b"\n"


def _logins() -> Iterator[bytes]:
    for user, _crypt, clear, *_ in ROWS:
        if user:
            yield login(user, "secret")
            yield login(user, "wrong")
            if clear and clear != "secret":
                yield login(user, clear)
    for service in SERVICES:
        yield login(GOOD, GOOD_PASSWORD, service)
    yield from (
        login(GOOD, GOOD_PASSWORD.upper()),
        login(GOOD, b"extmail "),
        login(GOOD, b" extmail"),
        login(GOOD, b"extmail\r"),
        login("twice@example.org", "first"),
        login("twice@example.org", "second"),
        login("both@example.org", "extmail"),
        login("both@example.org", "clear"),
        login("user", "secret"),
        login("nobody", "x"),
        login("' OR '1'='1", "x"),
        login(b"\xbf\x27 OR 1=1 -- ", "x"),
        login(b"\xff", b"\xff"),
        login("des@hash.example", "secretandmore"),
        login("des@hash.example", "secre"),
        login("quotes@example.org", 'it\'s "quoted" \\ %s'),
        login(GOOD, "x" * 8000),
        login(GOOD, "p\tq"),
    )


def _auth_framing() -> Iterator[bytes]:
    body = b"imap\nlogin\n" + GOOD + b"\n" + GOOD_PASSWORD + b"\n"
    n = b"%d" % len(body)
    for length in (
        n,
        b" " + n,
        b"  " + n,
        b"0" + n,
        b"+" + n,
        n + b" ",
        n + b"abc",
        b"\t" + n,
        b"\v" + n,
        b"-1",
        b"-0",
        b"0",
        b"",
        b"abc",
        b"1",
        b"8191",
        b"8192",
        b"99999999999999999999",
        b"-99999999999999999999",
        b"9" * 5000,
        b"0x2a",
        b"%d" % (len(body) - 1),
        b"%d" % (len(body) - 8),
        b"%d" % (len(body) + 1),
        b"%d" % 2**32,
        b"%d" % 2**31,
        b"%d" % (2**32 + len(body)),
        b"%d" % (2**64 + len(body)),
        b"- " + n,
        b"+-" + n,
        b"--1",
        n + b"\r",
        n + b".9",
    ):
        yield b"AUTH " + length + b"\n" + body
    yield b"AUTH\n" + body
    yield b"AUTH" + n + b"\n" + body
    yield b"auth " + n + b"\n" + body
    yield b"AUTH " + n + b"\n" + body + b"\n"
    yield b"AUTH " + n + b"\n" + body + b"AUTH"
    yield b"TCPREMOTEIP=192.0.2.1\nAUTH " + n + b"\n" + body
    for lengthened in (8100, 8180, 8190, 8191):
        start = b"imap\nlogin\n" + GOOD + b"\n"
        yield auth(start + b"x" * (lengthened - len(start) - 1) + b"\n")


def _auth_bodies() -> Iterator[bytes]:
    password = GOOD_PASSWORD
    for body in (
        b"",
        b"\n",
        b"\n\n",
        b"imap",
        b"imap\n",
        b"imap\nlogin",
        b"imap\nlogin\n",
        b"imap\nlogin\n\n",
        b"imap\n\n\n\n",
        b"imap\nlogin\n" + GOOD,
        b"imap\nlogin\n" + GOOD + b"\n",
        b"imap\nlogin\n" + GOOD + b"\n\n",
        b"imap\nlogin\n" + GOOD + b"\n" + password,
        b"imap\nlogin\n" + GOOD + b"\n" + password + b"\n\n\n",
        b"\nlogin\n" + GOOD + b"\n" + password + b"\n",
        b"\n\nlogin\n" + GOOD + b"\n" + password + b"\n",
        b"imap\n\nlogin\n" + GOOD + b"\n" + password + b"\n",
        b"imap\nLOGIN\n" + GOOD + b"\n" + password + b"\n",
        b"imap\nplain\n" + GOOD + b"\n" + password + b"\n",
        b"imap\nlogin \n" + GOOD + b"\n" + password + b"\n",
        b"imap\r\nlogin\r\n" + GOOD + b"\r\n" + password + b"\r\n",
        b"imap\nlogin\n" + GOOD + b"\n" + password + b"\n\0",
        b"imap\nlogin\n" + GOOD + b"\n" + password + b"\n\0\0\0",
        b"imap\nlogin\n" + GOOD + b"\0rest\n" + password + b"\n",
        b"im\0ap\nlogin\n" + GOOD + b"\n" + password + b"\n",
        b"imap\nlogin\0x\n" + GOOD + b"\n" + password + b"\n",
        b"imap\nlogin\n\0" + GOOD + b"\n" + password + b"\n",
        b"imap\nlogin\n" + GOOD + b"\n \n",
        b"imap\nlogin\n \n" + password + b"\n",
        b"imap\nlogin\t" + GOOD + b"\t" + password,
    ):
        yield auth(body)


def _crams() -> Iterator[bytes]:
    for digest in ("md5", "sha1", "sha256", "sha512", "sha224"):
        yield cram(GOOD, GOOD_PASSWORD, digest)
        yield cram(GOOD, b"wrong", digest)
    for authtype in (b"CRAM-MD5", b"cram-MD5", b"cram-", b"cram", b"cram-md5 ", b"cram-foo", b"cram-sha-1"):
        yield cram(GOOD, GOOD_PASSWORD, authtype=authtype)
    for user in (
        "user@example.org",
        "user",
        "nobody",
        "nouid@example.org",
        "nullhome@example.org",
        "nopassword@example.org",
        "emptypassword@example.org",
        "twice@example.org",
        "umläut@example.org",
        "md5crypt@hash.example",
    ):
        yield cram(user.encode(), b"secret")
        yield cram(user.encode(), b"")
    yield cram(b"longpassword@example.org", b"p" * 255)
    hexdigest = hmac.new(GOOD_PASSWORD, b"<123@host>", "md5").hexdigest().encode()
    for response in (
        GOOD + b" " + hexdigest.upper(),
        GOOD + b" " + hexdigest + b" ",
        GOOD + b"  " + hexdigest,
        b" " + GOOD + b" " + hexdigest,
        GOOD + b"\t" + hexdigest,
        GOOD + b" " + hexdigest[:-1],
        GOOD + b" " + hexdigest + b"00",
        GOOD,
        GOOD + b" ",
        b" " + hexdigest,
        b"",
        b" ",
        GOOD + b" zz" + hexdigest[2:],
        GOOD + b" x " + hexdigest,
        GOOD + b" " + hexdigest + b"\n",
        GOOD + b" " + hexdigest + b"\0",
        GOOD + b" " + hexdigest + b"\0zz",
        b"\0",
        GOOD + b" " + hexdigest + b"zz",
        b"x" * 3000,
    ):
        yield cram(GOOD, b"", response=response)
    yield from _cram_encodings()


def _cram_encodings() -> Iterator[bytes]:
    challenge = base64.b64encode(b"<1>")
    response = base64.b64encode(GOOD + b" " + hmac.new(GOOD_PASSWORD, b"<1>", "md5").hexdigest().encode())
    for data in (
        b"",
        b"\n",
        challenge,
        challenge + b"\n",
        challenge + b"\n" + response,
        challenge + b"\n\n" + response + b"\n",
        challenge + b"\n" + response + b"\nmore\n",
        challenge + b"\n" + response.rstrip(b"="),
        b"!!\n!!\n",
        challenge + b"\n!!!!\n",
        b"\n" + response + b"\n",
        challenge + b"=\n" + response,
        challenge + b"====\n" + response,
        challenge + b"\n" + response[:20] + b" " + response[20:],
        challenge + b"\r\n" + response + b"\r\n",
        challenge + b"\n" + response + b"====",
        challenge + b"\n=" + response,
        challenge + b"\n" + response[:-1] + b"!",
        b"PDE\n" + response,
        b"PD\n" + response,
        b"P\n" + response,
        challenge + b"\n" + b"=" * 4,
        b"====\n" + response,
        b"PDE-\n" + response,
        b"PA==\n" + base64.b64encode(GOOD + b" " + hmac.new(GOOD_PASSWORD, b"<", "md5").hexdigest().encode()),
    ):
        yield auth(b"imap\ncram-md5\n" + data)


def _refused_password_changes() -> Iterator[bytes]:
    """Yield changes that change nothing, so that they can be asked of both daemons in turn."""
    user = b"user@example.org"
    yield from (
        b"PASSWD\n",
        b"PASSWD \n",
        b"PASSWD imap\n",
        b"PASSWD imap\t" + user + b"\n",
        b"PASSWD imap\t" + user + b"\told\n",
        b"PASSWD imap\t" + user + b"\twrong\tnew\n",
        b"PASSWD imap\t" + user + b"\twrong\tnew\textra\n",
        b"PASSWD imap\t" + user + b"\0x\twrong\tnew\n",
        b"PASSWD \t" + user + b"\twrong\tnew\n",
        b"PASSWD imap\t\twrong\tnew\n",
        b"PASSWD imap\t" + user + b"\t\tnew\n",
        b"PASSWD imap\t\t" + user + b"\tsecret\tnew\n",
        b"PASSWD imap\t" + user + b"\tsecret\tn\x01ew\n",
        b"PASSWD im\x02ap\t" + user + b"\tsecret\tnew\n",
        b"PASSWD im\x02ap\n",
        b"PASSWD imap\t" + user + b"\tsecret\tnew\r\n",
        b"PASSWD imap\tnobody\ta\tb\n",
        b"PASSWD imap\tnouid@example.org\tsecret\tb\n",
        b"PASSWD\timap\tuser\ta\tb\n",
        b"PASSWD imap\tnogid@example.org\tsecret\tb\n",
        b"PASSWD imap\tnullhome@example.org\tsecret\tb\n",
        b"PASSWD imap\tnopassword@example.org\t\tb\n",
        b"PASSWD imap\tnopassword@example.org\ta\tb\n",
        b"PASSWD imap\tlocked@hash.example\t!\tb\n",
        b"PASSWD imap\t\xff\xfe\ta\tb\n",
        b"passwd imap\tx\ta\tb\n",
        b"PASSWD imap\t' OR 1=1 --\ta\tb\n",
        b"PASSWD imap " + user + b" wrong new\n",
    )


def misleading() -> list[bytes]:
    """Return requests with a NUL, line feed or tab within a name or password, by which Courier finds `GOOD` or a part of it."""
    body = b"imap\nlogin\n"
    digest = hmac.new(GOOD_PASSWORD, b"<123@host>", "md5").hexdigest().encode()
    return [
        b"PRE . imap " + GOOD + b"\0rest\n",
        b"PRE . imap " + GOOD + b"\0\n",
        b"PRE . imap " + GOOD + b"\nrest\n",
        b"PRE . imap " + GOOD + b"\nPRE . imap user@example.org\n",
        auth(body + GOOD + b"\n" + GOOD_PASSWORD + b"\0rest\n"),
        auth(body + GOOD + b"\n" + GOOD_PASSWORD + b"\0\n"),
        auth(body + GOOD + b"\n" + GOOD_PASSWORD + b"\0"),
        auth(body + GOOD + b"\n" + GOOD_PASSWORD + b"\n\0\nanything\n"),
        auth(body + b"\n" + GOOD + b"\n" + GOOD_PASSWORD + b"\n"),
        auth(body + GOOD + b"\n\n" + GOOD_PASSWORD + b"\n"),
        auth(body + GOOD + b"\n" + GOOD_PASSWORD + b"\nextra\n"),
        cram(GOOD, b"", response=GOOD + b"\0 " + digest),
        cram(GOOD, b"", response=GOOD + b"\0x " + digest),
        pre(b"tab\tname@forge.example"),
        login(b"tab\tname@forge.example", "secret"),
        cram(b"tab\tname@forge.example", b"secret"),
    ]


def hand_made() -> list[bytes]:
    """Return all requests, each once, in a fixed order."""
    requests = [
        request
        for group in (
            _lookups(),
            _lines(),
            _logins(),
            _auth_framing(),
            _auth_bodies(),
            _crams(),
            _refused_password_changes(),
        )
        for request in group
    ]
    return list(dict.fromkeys(requests))
