"""`labdispatch batches`: what it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final
from uuid import UUID

from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.printing import print_json, table_of
from schemas.errors import PermanentError

from .batch import Summary, summary_of
from .store import BatchStore

_HEAD: Final = (
    "batch", "sender", "name", "state", "read", "messages", "AA", "AE", "AR", "found", "received",
)  # fmt: skip


async def print_batches(data_dir: Path, *, lab: str, limit: int, as_json: bool) -> None:
    """Print the latest files."""
    async with instance_at(data_dir) as hub:
        found = [summary_of(batch) for batch in await _store(hub).recent(limit, lab)]
    if as_json:
        print_json(found)
    elif not found:
        sys.stdout.write("no file has come yet\n")
    else:
        sys.stdout.write(table_of(_HEAD, [_row(each) for each in found]))


async def print_batch(data_dir: Path, batch_id: UUID, *, ack: bool, as_json: bool) -> None:
    """Print one file, or the answer to it.

    Raises:
        PermanentError: There is no such file (any more): `batch_unknown`.
    """
    async with instance_at(data_dir) as hub:
        store = _store(hub)
        batch = await store.find(batch_id)
        if batch is None:
            raise PermanentError("batch_unknown", "see `labdispatch batches list`")
        if ack:
            async for piece in store.answers(batch):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
    shown = summary_of(batch)
    if as_json:
        print_json(shown)
        return
    sys.stdout.write(table_of(_HEAD, [_row(shown)]))
    for found in shown.findings:
        numbers = "" if found.found is None else f" (said {found.said}, found {found.found})"
        sys.stdout.write(
            f"  {found.level}[{found.code}] after message {found.message:,}, byte {found.at:,}:"
            f" {found.text}{numbers}\n"
        )
    if shown.more_findings:
        sys.stdout.write(f"  and {shown.more_findings:,} more\n")


def _store(hub: Hub) -> BatchStore:
    return BatchStore(hub.pool, hub.vault, hub.clock)


def _row(each: Summary) -> tuple[object, ...]:
    share = 100 * each.position // each.size_bytes if each.size_bytes else 100
    answers = each.answers
    return (
        each.batch_id, each.sender, each.name or "-", each.state, f"{share} %", each.messages,
        answers.AA, answers.AE, answers.AR, len(each.findings) + each.more_findings,
        f"{each.received_at:%Y-%m-%d %H:%M}",
    )  # fmt: skip
