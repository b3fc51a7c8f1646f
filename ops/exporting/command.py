"""`labdispatch export`: what it does and prints."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import msgspec

from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.runtime import failpoints
from ops.runtime.lifecycle import settle_memory
from routing.filters import fits, pairs_of, parse_filter
from schemas.errors import PermanentError

from .audit import audited, check_asked, told
from .blocks import take_extraction
from .columns import Fits
from .export import SEGMENT_ROWS, Exporter, Tell
from .extraction import Extraction, decode_extraction, encode_extraction
from .files import WRITTEN_WITH
from .manifest import Ask, Manifest, State, held_folder, on_disk, read_manifest, write_manifest
from .progress import Bars


async def run_export(
    data_dir: Path,
    ask: Ask,
    out: Path,
    *,
    extraction: str,
    actor: str | None,
    reason: str,
    as_json: bool,
) -> int:
    """Write an export, or go on with one, and say what is there."""
    asker = check_asked(ask.stream, actor, reason)
    ask = checked(ask)
    async with instance_at(data_dir) as hub:
        failpoints.arm(hub.settings.failpoints)
        settle_memory()
        days = [("from", ask.since), ("to", ask.until)]
        where = [*((name, day.isoformat()) for name, day in days if day), *ask.where]
        what = f"command export, {ask.state.value}, {ask.form.value}{told(where)}"
        async with audited(hub.pool, asker, ask.stream, what) as tally:
            with Bars(shown=not as_json) as bars:
                manifest = await export_to(hub, ask, out, extraction=extraction, tell=bars)
            tally.events = manifest.rows
    if as_json:
        print_json(manifest)
    else:
        sys.stdout.write(as_text(manifest))
    return 0


async def export_to(
    hub: Hub,
    ask: Ask,
    out: Path,
    *,
    extraction: str = "",
    tell: Tell,
    segment_rows: int = SEGMENT_ROWS,
) -> Manifest:
    """Write an export to a folder, or go on with what an earlier run has begun there.

    Raises:
        PermanentError: The folder is another export's or not ours, the ask makes no sense, or
            retention has taken part of the extraction.
        TransientError: The database is away, or the disk full: the same again goes on.
    """
    ask = checked(ask)
    with held_folder(out) as folder, on_disk():
        manifest = read_manifest(folder)
        if manifest is None:
            taken = await _taken(hub, ask, extraction)
            manifest = Manifest(
                ask=ask,
                extraction=encode_extraction(taken),
                extracted_at=taken.at,
                written_with=WRITTEN_WITH,
            )
            write_manifest(folder, manifest)
        elif manifest.ask != ask or extraction not in {"", manifest.extraction}:
            raise PermanentError(
                "other_export", "what is there was asked for otherwise: name another folder"
            )
        taken = decode_extraction(manifest.extraction, ask.stream, hub.instance.instance_id)
        exporter = Exporter(
            hub.pool,
            hub.vault,
            folder,
            manifest,
            taken,
            tell=tell,
            fits=fits_of(ask),
            segment_rows=segment_rows,
        )
        return await exporter.run()


def checked(ask: Ask) -> Ask:
    """Return an ask as it stands in a manifest, and refuse what makes no sense.

    Raises:
        PermanentError: `bad_range` or `bad_filter`.
    """
    if ask.since is not None and ask.until is not None and ask.since > ask.until:
        raise PermanentError("bad_range", "--from is after --to")
    where = tuple(pairs_of(parse_filter(ask.stream, ask.where)))
    if ask.where and ask.state is not State.LATEST:
        raise PermanentError(
            "bad_filter", "--where needs --state latest: a withdrawal says not of what it is"
        )
    return msgspec.structs.replace(ask, where=where)


def fits_of(ask: Ask) -> Fits | None:
    """Return the filter of an ask; None: it asks for every row.

    Raises:
        PermanentError: `bad_filter`.
    """
    asked = parse_filter(ask.stream, ask.where)
    return functools.partial(fits, ask.stream, asked) if asked else None


def as_text(manifest: Manifest) -> str:
    """Return what an export holds, for a terminal."""
    tables = sorted({each.table for each in manifest.files})
    rows = []
    for table in tables:
        files = [each for each in manifest.files if each.table == table]
        rows.append(
            [
                table,
                len(files),
                sum(each.rows for each in files),
                sum(each.size_bytes for each in files),
            ]
        )
    text = table_of(["table", "files", "rows", "bytes"], rows) if rows else "no rows\n"
    text += f"{manifest.events:,} events as of {manifest.extracted_at:%Y-%m-%d %H:%M:%S} UTC\n"
    if manifest.expired:
        text += f"{manifest.expired:,} of them could be opened no more: their retention passed\n"
    return text + f"the same again: --extraction {manifest.extraction}\n"


async def _taken(hub: Hub, ask: Ask, extraction: str) -> Extraction:
    if extraction:
        return decode_extraction(extraction, ask.stream, hub.instance.instance_id)
    now = hub.clock.now()
    return await take_extraction(hub.pool, ask.stream, hub.instance.instance_id, now)
