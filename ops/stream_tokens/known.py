"""The tokens of readers in memory, read again every few seconds: a read asks no database for them.

What is revoked stops within one refresh; what is new is found at once, by a refresh that a stranger
can cause a few times a second at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, lent
from ops.tokens import OPERATOR
from schemas.errors import HubError, TransientError
from schemas.topics import STREAMS, Stream

from . import queries, refusals
from .changes import MAX_TOKENS
from .token import Pairs, StreamToken, built_in

_STRANGERS: Final = timedelta(days=90)
"""Whoever was revoked longer ago is told that the token is unknown."""
_MOST: Final = 2 * MAX_TOKENS
_MISS_SECONDS: Final = 0.2
_DAY_SECONDS: Final = 86_400


class KnownTokens:
    """Who may read, as far as this process knows.

    Args:
        pool: Connections to the database.
        clock: Says whose time is over.
        built_in_secrets: Those of `tokens.json`.
        places: The most connections of one of these.
        stale_seconds: From which age on the copy lets nobody in.
        monotonic: Measures that age.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        built_in_secrets: Mapping[str, str],
        *,
        places: int,
        stale_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._monotonic = monotonic
        self._built_in = {
            _digest(built_in_secrets[stream.value]): built_in(stream, places)
            for stream in STREAMS
            if built_in_secrets.get(stream.value)
        }
        operator = built_in_secrets.get(OPERATOR)
        self._operator = _digest(operator) if operator else None
        self._by_digest: dict[bytes, StreamToken] = {}
        self._by_number: dict[int, StreamToken] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._turn = asyncio.Lock()

    async def of_header(self, header: str) -> StreamToken:
        """Return the token of an `Authorization`, whether or not it still counts.

        Raises:
            Refused: `no_token`, `unknown_token`, and `token_not_for_stream` to the operator's.
            TransientError: Who may read cannot be asked (`tokens_unread`).
        """
        scheme, _, given = header.partition(" ")
        secret = given.strip()
        if scheme.lower() != "bearer" or not secret:
            raise refusals.no_token()
        digest = _digest(secret)
        found = self._built_in.get(digest)
        if found is not None:
            return found
        if digest == self._operator:
            raise refusals.not_for_stream("no stream, for it is the operator's")
        await self._ask_for(digest)
        found = self._by_digest.get(digest)
        if found is None:
            raise refusals.unknown_token()
        return found

    def standing(self, token: StreamToken) -> StreamToken:
        """Return a token as it stands by now.

        Raises:
            Refused: `token_revoked`, `token_expired`.
            TransientError: The copy is too old to say so (`tokens_unread`).
        """
        if token.is_built_in:
            return token
        self._check_age()
        found = self._by_number.get(token.token_id)
        if found is None:
            raise refusals.revoked()
        found.check(self._clock.now())
        return found

    async def refresh(self) -> None:
        """Read all tokens.

        Raises:
            HubError: The database is away, or answers otherwise than with rows.
        """
        began = self._monotonic()
        now = self._clock.now()
        async with lent(self._pool) as connection:
            rows = await connection.fetch(queries.KNOWN, now - _STRANGERS, _MOST)
        tokens = [(bytes(row["digest"]), _token(row)) for row in rows]
        self._by_digest = dict(tokens)
        self._by_number = {token.token_id: token for _, token in tokens}
        self._read_at = began
        METRICS.stream_tokens.set(sum(not token.revoked for _, token in tokens))
        METRICS.stream_token_days.set(self._soonest_days(now))

    async def _ask_for(self, digest: bytes) -> None:
        """Read again where that may make a token known, and where the copy is too old."""
        if digest in self._by_digest and not self._is_stale():
            return
        async with self._turn:
            # Whoever waited here for a database that is away does not wait for it once more.
            if self._tried_at is None or self._monotonic() - self._tried_at >= _MISS_SECONDS:
                try:
                    await self.refresh()
                except HubError as error:
                    METRICS.errors.labels("stream_tokens", error.reason).inc()
                self._tried_at = self._monotonic()
        self._check_age()

    def _check_age(self) -> None:
        if self._is_stale():
            raise TransientError(
                "tokens_unread", "who may read cannot be asked now: ask again, your cursor is good"
            )

    def _is_stale(self) -> bool:
        age = self._age()
        return age is None or age > self._stale_seconds

    def _age(self) -> float | None:
        return None if self._read_at is None else self._monotonic() - self._read_at

    def _soonest_days(self, now: datetime) -> float:
        ends = [
            token.expires_at
            for token in self._by_number.values()
            if token.expires_at is not None and not token.revoked and token.expires_at > now
        ]
        return (min(ends) - now).total_seconds() / _DAY_SECONDS if ends else float("inf")


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _token(row: Any) -> StreamToken:
    return StreamToken(
        token_id=row["token_id"],
        name=row["name"],
        streams=frozenset(Stream(each) for each in row["streams"]),
        pairs=msgspec.json.decode(row["filter"], type=Pairs),
        daily_events=row["daily_events"],
        max_connections=row["max_connections"],
        expires_at=row["expires_at"],
        revoked=row["revoked"],
    )
