"""How many read at once, and how often names are read: bounds that no token takes from another."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from ingest.token_bucket import TokenBucket
from ops.runtime.metrics import METRICS
from ops.runtime.shared_counts import SharedCounts
from schemas.topics import NOMINATIVE_STREAMS, Stream

from . import refusals
from .token import StreamToken

COUNTED: Final = 1 << 16
"""So many numbers of tokens are counted over all processes; later ones by each alone."""


class Places:
    """How many read at once: all of them here, and by each token at all api processes.

    Args:
        most: Of all here; one token never has more than half, so that the others can read.
        shared: Adds up the processes of this machine; what a killed one held is free again. None:
            each process counts alone.
    """

    def __init__(self, most: int, shared: SharedCounts | None = None) -> None:
        self._most = most
        self._shared = shared
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
        if self._by_token[key] >= most or not self._share(token, most):
            METRICS.limit_hits.labels("stream_token_connections").inc()
            raise refusals.connections_used(most)
        if self._all >= self._most:
            self._give_back(token)
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
        self._give_back(token)

    def close(self) -> None:
        """Take back what this process counted; nothing is taken or left any more."""
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    def _share(self, token: StreamToken, most: int) -> bool:
        return self._shared is None or self._shared.take(_number_of(token), most)

    def _give_back(self, token: StreamToken) -> None:
        if self._shared is not None:
            self._shared.give_back(_number_of(token))

    @property
    def tokens(self) -> set[int]:
        """The numbers of the tokens that somebody reads by."""
        return {number for number, _ in self._by_token}


def _number_of(token: StreamToken) -> int:
    """Return by what a token is counted: those of `tokens.json` from above, one for each stream."""
    if not token.is_built_in:
        return token.token_id
    names = [stream.value for stream in Stream]
    return COUNTED - 1 - min(names.index(stream.value) for stream in token.streams)


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
