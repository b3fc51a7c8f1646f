"""`labdispatch stream`: what it prints, as NDJSON, CSV or a table for the eye."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from ops.bootstrap import reader_of
from ops.looking import instance_at
from routing.filters import StreamFilter, pairs_of, parse_filter
from routing.streams import StreamReader
from schemas.errors import PermanentError
from schemas.topics import Stream

from .audit import Tally, audited, check_asked, told
from .lines import Lines, lines_of
from .manifest import State

_PAGE: Final = 1_000
_POLL_SECONDS: Final = 0.05


class StreamAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be printed."""

    stream: Stream
    after: str | None = None
    limit: int | None = None
    follow: bool = False
    where: tuple[tuple[str, str], ...] = ()
    state: State = State.EVENTS
    """`latest`: first the newest version of each part, then what comes behind it."""
    form: str = "ndjson"


async def print_stream(data_dir: Path, ask: StreamAsk, *, actor: str | None, reason: str) -> int:
    """Print events up to the present end, or on and on; a reader that goes away ends it."""
    asker = check_asked(ask.stream, actor, reason)
    if ask.after is not None and ask.state is State.LATEST:
        raise PermanentError("bad_state", "--after goes on from a cursor: give no --state latest")
    asked = parse_filter(ask.stream, ask.where)
    lines = lines_of(ask.form, ask.stream)
    async with instance_at(data_dir) as hub:
        how = ", followed" if ask.follow else ""
        what = f"command stream, {ask.form}{how}{told(pairs_of(asked))}"
        async with audited(hub.pool, asker, ask.stream, what) as tally:
            try:
                await _print(ask, asked, reader_of(hub), lines, tally)
            except BrokenPipeError:
                # `| head` has what it wants; Python would complain once more at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


async def _print(
    ask: StreamAsk, asked: StreamFilter, reader: StreamReader, lines: Lines, tally: Tally
) -> None:
    cursor, left = ask.after, ask.limit
    if ask.state is State.LATEST:
        cursor = await reader.snapshot(ask.stream)
    told = cursor
    _write(lines.head())
    while left is None or left > 0:
        page = await reader.read_page(ask.stream, cursor, min(_PAGE, left or _PAGE), asked)
        _write(b"".join(map(lines.line, page.events)))
        tally.events += len(page.events)
        cursor = page.cursor
        told = str(page.events[-1].cursor) if page.events else told
        left = None if left is None else left - len(page.events)
        if page.is_end and not ask.follow:
            break
        if page.is_end:
            await asyncio.sleep(_POLL_SECONDS)
    if asked and told != cursor:
        _write(lines.end(str(cursor)))


def _write(content: bytes) -> None:
    if content:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
