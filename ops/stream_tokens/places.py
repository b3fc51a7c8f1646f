"""How many read at once, and how often names are read: bounds that no token takes from another."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from ingest.token_bucket import TokenBucket
from ops.runtime.metrics import METRICS
from schemas.topics import NOMINATIVE_STREAMS, Stream

from . import refusals
from .token import StreamToken


class Places:
    """How many read here at once: together, and by each token.

    Args:
        most: Of all; one token never has more than half, so that the others can read.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all = 0
        self._by_token: Counter[tuple[int, str]] = Counter()

    @property
    def of_one(self) -> int:
        """The most of one token, whatever its own limit."""
        return max(1, self._most // 2)

    def take(self, token: StreamToken) -> None:
        """Take a place.

        Raises:
            Refused: `connections_used`, `readers_full`.
        """
        most = min(token.max_connections, self.of_one)
        key = token.token_id, token.name
        if self._by_token[key] >= most:
            METRICS.limit_hits.labels("stream_token_connections").inc()
            raise refusals.connections_used(most)
        if self._all >= self._most:
            METRICS.limit_hits.labels("stream_connections").inc()
            raise refusals.readers_full()
        self._all += 1
        self._by_token[key] += 1

    def leave(self, token: StreamToken) -> None:
        """Give a place back."""
        key = token.token_id, token.name
        self._all -= 1
        self._by_token[key] -= 1
        if not self._by_token[key]:
            del self._by_token[key]

    @property
    def tokens(self) -> set[int]:
        """The numbers of the tokens that somebody reads by."""
        return {number for number, _ in self._by_token}


class Pace:
    """How often a token reads names: each read is two entries of a chain that forgets nothing.

    Args:
        a_second: Reads, ten seconds' worth at once.
        monotonic: Measures time.
    """

    def __init__(self, a_second: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._monotonic = monotonic
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, token: StreamToken, stream: Stream) -> None:
        """Count a read.

        Raises:
            Refused: `reads_too_fast`.
        """
        if stream not in NOMINATIVE_STREAMS:
            return
        now = self._monotonic()
        bucket = self._buckets.get(token.name)
        if bucket is None:
            burst = max(1.0, 10 * self._a_second)
            bucket = self._buckets[token.name] = TokenBucket(self._a_second, burst, now)
        if not bucket.take(now):
            METRICS.limit_hits.labels("stream_audited_reads").inc()
            raise refusals.reads_too_fast()

    def forget(self) -> None:
        """Let the buckets go that are full again: as good as new ones."""
        now = self._monotonic()
        for name, bucket in list(self._buckets.items()):
            if bucket.level(now) >= bucket.burst:
                del self._buckets[name]
