"""The sessions of a sandbox: in memory only, bounded, gone after 24 hours or a restart.

A session is a code that nobody can guess. What is kept of a message is its entry (places, shapes,
findings) and the answer that it got, never the message.
"""

from __future__ import annotations

import secrets
from base64 import b32encode
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ops.checking.entries import Entry
from ops.runtime.clock import Clock
from schemas.errors import TransientError

from .second import Opinion

KEPT: Final = timedelta(hours=24)
CODE_BYTES: Final = 15
"""120 bits: 24 letters and digits, which fit MSH-6 and MSH-8 of every version."""


class SandboxLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox keeps at most."""

    sessions: int = 500
    messages_per_session: int = 50
    bytes_in_all: int = 64 * 1024 * 1024


class Exchange(msgspec.Struct, kw_only=True):
    """One message that came: what was found, in both languages, and what was answered."""

    number: int
    received_at: datetime
    entries: dict[str, Entry]
    answer: str
    """The acknowledgement as written, a segment a line; empty where none was."""
    size_bytes: int = 0
    opinion: Opinion = Opinion()
    """Of hl7apy: it comes later, or not at all."""

    def __repr__(self) -> str:
        """Return the number alone."""
        return f"<Exchange {self.number}>"


class Session:
    """One session: its code, when it ends if it is not used, and its last messages."""

    def __init__(self, code: str, at: datetime) -> None:
        self.code = code
        self.used_at = at
        self.received = 0
        self.exchanges: deque[Exchange] = deque()

    def __repr__(self) -> str:
        """Return the number of messages: the code is a secret."""
        return f"<Session of {self.received} messages>"


class Sessions:
    """All sessions of a sandbox.

    Args:
        clock: Says what time it is.
        limits: What is kept at most.
    """

    def __init__(self, clock: Clock, limits: SandboxLimits) -> None:
        self._clock = clock
        self._limits = limits
        self._by_code: dict[str, Session] = {}
        self._kept_bytes = 0
        self.own = self._opened()
        """Of whoever started the sandbox: takes what names no session. It does not end."""

    def open(self) -> Session:
        """Open a session.

        Raises:
            TransientError: There are as many as may be (`sandbox_full`).
        """
        self.sweep()
        if len(self._by_code) >= self._limits.sessions:
            raise TransientError("sandbox_full", "every session is taken: try again later")
        return self._opened()

    def _opened(self) -> Session:
        code = b32encode(secrets.token_bytes(CODE_BYTES)).decode()
        session = Session(code, self._clock.now())
        self._by_code[code] = session
        return session

    def get(self, code: str) -> Session | None:
        """Return the session of a code, None when there is none (any more)."""
        session = self._by_code.get(code.strip().upper())
        if session is None or self._has_ended(session):
            return None
        return session

    def close(self, session: Session) -> None:
        """Forget a session and what it holds; the own one is emptied only."""
        while session.exchanges:
            self._drop_oldest(session)
        if session is not self.own:
            self._by_code.pop(session.code, None)

    def keep(self, session: Session, entries: dict[str, Entry], answer: str) -> Exchange:
        """Keep what came of a message, and let go of what is too old or too much."""
        now = self._clock.now()
        session.used_at = now
        session.received += 1
        size = len(answer) + sum(len(msgspec.json.encode(each)) for each in entries.values())
        exchange = Exchange(
            number=session.received,
            received_at=now,
            entries=entries,
            answer=answer,
            size_bytes=size,
        )
        session.exchanges.append(exchange)
        self._kept_bytes += size
        while len(session.exchanges) > self._limits.messages_per_session:
            self._drop_oldest(session)
        while self._kept_bytes > self._limits.bytes_in_all:
            oldest = min(self._filled(), key=lambda each: each.exchanges[0].received_at)
            self._drop_oldest(oldest)
        return exchange

    def last(self, session: Session) -> list[Exchange]:
        """Return the messages of a session that are not 24 hours old, newest first."""
        since = self._clock.now() - KEPT
        return [each for each in reversed(session.exchanges) if each.received_at > since]

    def sweep(self) -> None:
        """Let go of what is 24 hours old: messages, and sessions that were not used."""
        since = self._clock.now() - KEPT
        for session in list(self._by_code.values()):
            while session.exchanges and session.exchanges[0].received_at <= since:
                self._drop_oldest(session)
            if self._has_ended(session):
                self.close(session)

    def _has_ended(self, session: Session) -> bool:
        return session is not self.own and session.used_at <= self._clock.now() - KEPT

    def _filled(self) -> Iterator[Session]:
        return (session for session in self._by_code.values() if session.exchanges)

    def _drop_oldest(self, session: Session) -> None:
        self._kept_bytes -= session.exchanges.popleft().size_bytes
