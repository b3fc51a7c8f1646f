"""What a route that serves a stream asks of whoever keeps the tokens: one port.

Use it so; anything it raises is a problem+json with the next step (`ops/problems.py`):

    admission = await access.admit(header, stream, asked, origin=peer, follows=True)
    async with admission:                       # or admission.close() in the end
        while ...:
            may = await admission.take(500)     # before each page; raises once it is over
            page = await reader.read_page(stream, after, may, admission.filter)
            admission.note(len(page.events))    # before they are given; 0 where nothing came
            ...                                 # while nothing comes: admission.check() each turn
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from routing.filters import EVERYTHING, StreamFilter
from schemas.topics import Stream


class Admission(Protocol):
    """A reader that may read: holds its place until it is closed, or nobody holds it any more."""

    @property
    def token_name(self) -> str:
        """Whose read this is; fit for logs and the audit chain."""
        ...

    @property
    def filter(self) -> StreamFilter:
        """What to read by: the token's own filter and the asked one together."""
        ...

    @property
    def left(self) -> int | None:
        """How many events of the day are left, as far as is known here; None: no quota."""
        ...

    async def take(self, most: int) -> int:
        """Return how many events may be read now, at least one and at most `most`.

        They count as read until `note` gives the rest back; what was never noted was not given.

        Raises:
            Refused: `token_revoked`, `token_expired`, `quota_used`: end here.
            TransientError: The database is away.
        """
        ...

    def note(self, events: int) -> None:
        """Say how many were given to the reader of those taken; the rest is free again."""
        ...

    def check(self) -> None:
        """Look whether it may still read, without asking the database: while nothing comes.

        Raises:
            Refused: `token_revoked`, `token_expired`.
        """
        ...

    def close(self) -> None:
        """Give the place back, and have the end of the read audited; twice is once."""
        ...

    async def __aenter__(self) -> Self:
        """Return itself."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        ...


class StreamAccess(Protocol):
    """Says who may read a stream."""

    async def admit(
        self,
        header: str,
        stream: Stream,
        asked: StreamFilter = EVERYTHING,
        *,
        origin: str = "",
        follows: bool = False,
    ) -> Admission:
        """Let a reader in. A read of a nominative stream is in the audit chain before it returns.

        Args:
            header: The request's `Authorization`.
            stream: What is read.
            asked: The filter that the request asks for.
            origin: Where from: the peer's address; audited.
            follows: Whether it stays for what comes.

        Raises:
            Refused: 401, 403 or 429, with the next step.
            TransientError: 503: who may read, or the audit chain, cannot be asked.
        """
        ...
