"""The how-tos, followed word by word on a machine where nobody has set up anything; each ends in a working login."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.peers.test_service import packages
from tests.support.apart import apart
from tests.support.machine import SYSTEMD, Machine
from tests.support.processes import wait_until

__all__ = ["packages"]

pytestmark = pytest.mark.timeout(600)  # a package is built, and installed on machines of its own

DOCS = Path(__file__).parents[2] / "docs"

STEP = re.compile(
    r"\b(?P<how>[Ii]n|into)\s`(?P<file>/[^`\n]+)`[^\n]*:\n\n```\n(?P<content>.*?)```\n|```console\n(?P<commands>.*?)```\n",
    re.DOTALL,
)

DONE_OUTSIDE = ("apt-get install -y make python3-venv", "make deb")
"""The package comes from the tests, which made it by these very words; the machine has no network to fetch what they need."""

USER, PASSWORD = "alice@example.org", "wonderland"

SESSION = """
import imaplib, json, poplib, smtplib, sys
user, password, action, mechanism = sys.argv[1:]
if action == "imap":
    imap = imaplib.IMAP4("127.0.0.1")
    imap.login(user, password)
    told = imap.select("INBOX")[1][0].decode()
elif action == "pop3":
    pop3 = poplib.POP3("127.0.0.1")
    pop3.user(user)
    pop3.pass_(password)
    told = pop3.stat()[0]
else:
    smtp = smtplib.SMTP("127.0.0.1", 25, "client.example.org")
    smtp.ehlo()
    smtp.user, smtp.password = user, password
    told = smtp.auth(mechanism, {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login}[mechanism])[0]
    if action == "send":
        smtp.sendmail("alice@example.org", [user], "Subject: hello\\n\\nworld\\n")
print(json.dumps(told))
"""


class Newcomer:
    """Somebody who does what the pages say, on a machine where nobody has set up anything yet."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def follow(self, page: str, *headings: str) -> None:
        """Follow a page, or no more of it than what is under some of its headings and above the first."""
        text = (DOCS / page).read_text()
        sections = re.split(r"(?m)^## ", text)
        chosen = [sections[0], *(section for section in sections[1:] if not headings or section.startswith(headings))]
        assert len(chosen) == 1 + len(headings or sections[1:])
        for step in STEP.finditer("\n".join(chosen)):
            if step["commands"] is not None:
                for command in re.findall(r"(?m)^# (.*)$", step["commands"]):
                    if command not in DONE_OUTSIDE:
                        self.machine.shell(f"cd /root && {command}")
            else:
                self.write(step["file"], step["content"], append=step["how"] != "into")

    def write(self, file: str, content: str, append: bool) -> None:
        """Write a file, or add to it; what several pages want of ``AUTHD_LISTEN`` goes into its one line."""
        path = self.machine.path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not append:
            path.write_text(content)
            return
        before = path.read_text() if path.exists() else ""
        listen = re.fullmatch(r'AUTHD_LISTEN="(.*)"\n', content)
        if listen is not None:
            lines = re.sub(r'(?m)^AUTHD_LISTEN="(.*)"$', rf'AUTHD_LISTEN="\1 {listen[1]}"', before)
            assert lines != before
            path.write_text(lines)
        else:
            path.write_text(before + content)

    def mail(self, action: str, password: str = PASSWORD, mechanism: str = "PLAIN") -> object:
        """Use the mail system as a mail program does; return what it was told."""
        said = self.machine.run("python3", "-c", SESSION, USER, password, action, mechanism, check=False).stdout
        try:
            return json.loads(said)
        except ValueError:
            return said

    def wait_for_mail(self, count: int) -> None:
        """Wait until as many messages are new in the maildir."""
        new = self.machine.path("/var/mailbox/example.org/alice/Maildir/new")
        wait_until(lambda: new.exists() and len(list(new.iterdir())) == count, f"{count} messages are delivered")


@pytest.fixture
def newcomer(packages: list[Path], tmp_path: Path) -> Iterator[Newcomer]:
    """A machine as it is after docs/install.md."""
    require("unshare", "nsenter", SYSTEMD, "mariadbd", "postfix", "testsaslauthd", apart("/.maildrop"))
    with Machine(tmp_path / "root") as machine:
        # Courier's packages are here for other tests; on this machine nobody has installed them.
        machine.shell(
            "apt-get purge -y 'courier-*' 'dovecot-*' maildrop && rm -rf /etc/courier && mkdir -p /root/build"
        )
        # Dovecot's package recommends what makes this.
        machine.run("make-ssl-cert", "generate-default-snakeoil")
        shutil.copy(packages[0], machine.path("/root/build/"))
        somebody = Newcomer(machine)
        somebody.follow("install.md", "Debian", "A first account", "Check", "Start")
        yield somebody


def test_postfix_and_courier(newcomer: Newcomer) -> None:
    newcomer.follow("clients/postfix.md")
    assert newcomer.mail("login") == 235
    assert newcomer.mail("login", mechanism="LOGIN") == 235
    assert "535" in str(newcomer.mail("login", "looking-glass"))
    newcomer.follow("clients/postfix-dovecot.md")
    assert newcomer.mail("login") == 235
    assert "535" in str(newcomer.mail("login", "looking-glass"))
    newcomer.follow("clients/mailboxes.md")
    assert newcomer.mail("send") == 235
    newcomer.wait_for_mail(1)
    newcomer.follow("clients/maildrop.md")
    assert newcomer.mail("send") == 235
    newcomer.wait_for_mail(2)
    newcomer.follow("clients/courier.md")
    newcomer.machine.shell("systemctl restart courier-imap courier-pop")
    assert newcomer.mail("imap") == "2"
    assert newcomer.mail("pop3") == 2
    assert "Login failed" in str(newcomer.mail("imap", "looking-glass"))
    newcomer.follow("clients/saslauthd.md")
    assert newcomer.mail("login") == 235


def test_dovecot(newcomer: Newcomer) -> None:
    newcomer.machine.shell("mkdir -p /var/mailbox && chown 2525:2525 /var/mailbox")
    newcomer.follow("clients/dovecot.md", "Install", "Dovecot 2.3")
    assert newcomer.mail("imap") == "0"
    assert newcomer.mail("pop3") == 0
    assert "AUTHENTICATIONFAILED" in str(newcomer.mail("imap", "looking-glass"))


@pytest.mark.parametrize("way", ["At Courier's socket", "As Dovecot"])
def test_exim(newcomer: Newcomer, way: str) -> None:
    newcomer.follow("clients/exim.md", way)
    assert newcomer.mail("login") == 235
    assert newcomer.mail("login", mechanism="LOGIN") == 235
    assert "535" in str(newcomer.mail("login", "looking-glass"))
