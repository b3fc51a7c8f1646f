"""Writes of a transaction that answer nothing, sent together: one round trip for many.

A round trip costs both sides a sleep and a wake-up, and on a busy machine each of these waits for
a core: a batch of dispatch has forty statements, fifteen of which nobody waits for (ADR 0055).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Any, Final

import msgspec

from .postgres import Connection

_WRITE: Final = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+([a-z_]+)")
_READ: Final = re.compile(r"\s*(?:SELECT|WITH)\b.*\bFROM\b", re.DOTALL)
_CHANGES: Final = re.compile(r"\b(?:INSERT INTO|DELETE FROM|SET)\b")
_CALL: Final = re.compile(r"([a-z_]+)\(")
_READERS: Final = frozenset(
    [
        "array",
        "array_agg",
        "array_length",
        "bool_or",
        "cardinality",
        "coalesce",
        "count",
        "generate_series",
        "greatest",
        "least",
        "max",
        "min",
        "now",
        "nextval",
        "pg_advisory_xact_lock",
        "pg_advisory_xact_lock_shared",
        "string_to_array",
        "string_to_table",
        "sum",
        "unnest",
    ]
)
"""Functions that look at no table; another one may be ours, and look at any."""
_WORD: Final = re.compile(r"[a-z_]+")
_PARAMETER: Final = re.compile(r"\$(\d+)")
_MOST_CHARACTERS: Final = 12_000
"""Of one statement: longer ones are not kept prepared."""
_MOST_PARAMETERS: Final = 500
_KNOWN_STATEMENTS: Final = 1_000


class _About(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement does."""

    writes: str = ""
    """The table it writes to, where that is all it does."""
    only_reads: bool = False
    words: frozenset[str] = frozenset()
    """All tables that it names, and more."""


class GatheredWrites:
    """A connection inside a transaction that keeps writes back until somebody could see them.

    For whoever uses it nothing changes: a statement that names a table to which something was
    written, or that does anything but read tables, comes after those writes. What goes together
    names different tables, so that it does not matter which is first. The errors of a write come
    with the statement that it went with. `send` must be awaited before COMMIT.

    Args:
        connection: Inside a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept: list[tuple[str, tuple[object, ...]]] = []
        self._tables: set[str] = set()
        self._characters = 0
        self._parameters = 0

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109
        """Keep a write for later, which answers nothing; run any other statement."""
        about = _about(query)
        if not about.writes or timeout is not None:
            await self.send()
            return await self._connection.execute(query, *args, timeout=timeout)
        if (
            not self._tables.isdisjoint(about.words)
            or self._characters + len(query) > _MOST_CHARACTERS
            or self._parameters + len(args) > _MOST_PARAMETERS
        ):
            await self.send()
        self._kept.append((query, args))
        self._tables.add(about.writes)
        self._characters += len(query)
        self._parameters += len(args)
        return ""

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[Any]:  # noqa: ASYNC109
        """Return all rows."""
        await self._send_before(query)
        return await self._connection.fetch(query, *args, timeout=timeout)

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Return the first row or None."""
        await self._send_before(query)
        return await self._connection.fetchrow(query, *args, timeout=timeout)

    async def fetchval(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Return the first column of the first row."""
        await self._send_before(query)
        return await self._connection.fetchval(query, *args, timeout=timeout)

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Refuse: what is kept would belong to the outer one or to the inner."""
        raise AssertionError("a transaction within a transaction")

    async def send(self) -> None:
        """Send what was kept, as one statement."""
        if not self._kept:
            return
        kept, self._kept = self._kept, []
        self._tables.clear()
        self._characters = self._parameters = 0
        if len(kept) == 1:
            query, args = kept[0]
            await self._connection.execute(query, *args)
            return
        counts = tuple((query, len(args)) for query, args in kept)
        together = [each for _, args in kept for each in args]
        await self._connection.execute(_joined(counts), *together)

    async def _send_before(self, query: str) -> None:
        about = _about(query)
        if not about.only_reads or not self._tables.isdisjoint(about.words):
            await self.send()


@lru_cache(maxsize=_KNOWN_STATEMENTS)
def _about(query: str) -> _About:
    words = frozenset(_WORD.findall(query))
    found = _WRITE.match(query)
    if found is not None and "RETURNING" not in query:
        return _About(writes=found[1], words=words)
    only_reads = (
        _READ.match(query) is not None
        and _CHANGES.search(query) is None
        and _READERS.issuperset(_CALL.findall(query))
    )
    return _About(only_reads=only_reads, words=words)


@lru_cache(maxsize=_KNOWN_STATEMENTS)
def _joined(statements: Sequence[tuple[str, int]]) -> str:
    """Make one statement of several; the parameters of each follow those of the one before."""
    parts, before = [], 0
    for number, (query, count) in enumerate(statements, 1):
        parts.append(f"w{number} AS (\n{_shifted(query, before)}\n)")
        before += count
    return f"WITH {', '.join(parts)} SELECT"


def _shifted(query: str, before: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + before}", query)
