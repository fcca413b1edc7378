"""Begins conversations in a listener's protocol."""

from __future__ import annotations

import os

from authd.config.listening import ListenerSettings
from authd.protocol.authdaemond import AuthdaemondConversation
from authd.protocol.control import ControlConversation
from authd.protocol.conversation import Conversation, Terms
from authd.protocol.dovecot_auth import DovecotAuthConversation
from authd.protocol.dovecot_userdb import DovecotUserdbConversation
from authd.protocol.saslauthd import SaslauthdConversation
from authd.server.responder import Responder
from authd.server.shortcuts import Shortcuts

PROTOCOLS: dict[str, type[Conversation]] = {
    "authdaemond": AuthdaemondConversation,
    "control": ControlConversation,
    "dovecot-auth": DovecotAuthConversation,
    "dovecot-userdb": DovecotUserdbConversation,
    "saslauthd": SaslauthdConversation,
}


class Speaker:
    """Knows what the clients of one listener are spoken to in.

    :param settings: the listener's.
    :ivar shortcuts: what can be said at once; ``None`` where nothing is remembered, or the protocol is not for that.
    :param responder: whose settings and modules the conversations are about.
    """

    def __init__(self, settings: ListenerSettings, responder: Responder) -> None:
        self._kind = PROTOCOLS[settings.protocol]
        self._terms = Terms(
            default_options=responder.default_options,
            passwords=settings.passwords,
            pid=os.getpid(),
            cram=lambda: responder.has_cleartext,
            random=os.urandom,
        )
        cache = responder.cache
        self.shortcuts = Shortcuts(cache, cache.size) if cache is not None and self._kind.shortcuts else None

    @property
    def lasting(self) -> bool:
        """Whether clients stay."""
        return self._kind.lasting

    def begin(self) -> Conversation:
        """Return the conversation with a client that has just connected."""
        return self._kind(self._terms)
