"""Who sends a file's messages: the laboratory that its folder or its request has proved."""

from __future__ import annotations

import asyncio
from typing import Final

from ingest.accept import Acceptor, Receipt
from ingest.header import Header, read_header
from ingest.lab import Peer, Proof
from ingest.labs import LabRegister
from ingest.peers import peer_of

ANYBODY: Final = "http"
"""The sender of uploads in clear text on loopback; no registry id, which has capitals only."""
_NOBODY: Final = 0


class SenderDoor:
    """The one way in, for the messages of one file; it waits where a connection would not be read.

    Args:
        acceptor: The one way in.
        register: Where the laboratory is looked up, with each message: a file may take hours.
        sender: Its registry id, or `ANYBODY`.
        proof: What proved it.
    """

    def __init__(
        self, acceptor: Acceptor, register: LabRegister, sender: str, proof: Proof
    ) -> None:
        self._acceptor = acceptor
        self._register = register
        self._sender = sender
        self._proof: Proof = proof
        self._line = acceptor.fairness.line_of_file()

    async def pause(self) -> None:
        """Wait as long as a connection that was over a limit of its laboratory is not read."""
        seconds, self._line.hold_seconds = self._line.hold_seconds, 0.0
        if seconds:
            await asyncio.sleep(seconds)

    def receive(self, raw: bytes) -> Receipt:
        """Take one message; another laboratory's is answered AR. Never raises."""
        if self._sender == ANYBODY:
            return self._acceptor.receive(raw, None, self._line)
        lab = self._register.get(self._sender)
        if lab is not None:
            return self._acceptor.receive(raw, peer_of(lab, self._proof), self._line)
        header = read_header(raw)
        if isinstance(header, Header) and header.registry_id == self._sender:
            # Not registered yet: at first sight where that is allowed, else refused as anywhere.
            return self._acceptor.receive(raw, None, self._line)
        stranger = Peer(lab_id=_NOBODY, registry_id=self._sender, proof=self._proof)
        return self._acceptor.receive(raw, stranger, self._line)

    def turn_away(self, reason: str, head: bytes) -> Receipt | None:
        """Answer a message that is not whole, if its header can be read."""
        return self._acceptor.turn_away(reason, head)
