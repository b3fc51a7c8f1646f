"""A mail server for tests: aiosmtpd, which is nobody of ours, on a port of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER, PASSWORD = "hub", "word"


class Mailbox:
    """Takes letters; `refuse` may answer RCPT and DATA otherwise."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, bytes]] = []
        """Recipient and content, as they came."""
        self.refuse: Callable[[str, str], str] = lambda _command, _address: ""
        self.said: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(
                self,
                hostname="mail.example.org",
                authenticator=self._authenticate,
                auth_require_tls=False,
                loop=loop,
            ),
            "127.0.0.1",
            self.port,
            ssl=tls,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be away."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def messages(self) -> list[EmailMessage]:
        """The letters, parsed."""
        return [message_from_bytes(content, policy=default) for _, content in self.letters]

    def _authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, auth_data: Any
    ) -> AuthResult:
        wanted = LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=auth_data == wanted, handled=False)

    async def handle_MAIL(  # noqa: N802 - the names are aiosmtpd's
        self, _server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        if not session.authenticated:
            return "530 who are you"
        return self.refuse("MAIL", address) or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        self.said.append(address)
        refused = self.refuse("RCPT", address)
        if not refused:
            envelope.rcpt_tos.append(address)
        return refused or "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        refused = self.refuse("DATA", envelope.rcpt_tos[0])
        if not refused:
            self.letters.append((envelope.rcpt_tos[0], envelope.original_content))
        return refused or "250 taken"
