"""HL7 as laboratories send it, and what each stream tells of it: `tests/golden/streams`.

NAME.hl7 holds one message or several, in the order in which they come, about somebody of its own;
NAME.STREAM.json the events and holds that they lead to, through door and dispatch on one hub. What
differs from run to run (ids, digests, the day of reception) is numbered in the order in which it
comes; versions are left out. `python -m tests.golden.test_streams` writes the JSON anew: read what
it changes.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingest.header import read_header
from ingest.judge import LabProfile, Ruling, judge
from ops.splitting import split_parts
from schemas.decision import Realm
from schemas.topics import STREAMS
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.postgres import (
    Database,
    clone,
    make_template,
    open_folder,
    scratch_server,
)

FOLDER = Path(__file__).parent / "streams"
NAMES = sorted(path.stem for path in FOLDER.glob("*.hl7"))
_LABORATORIES = (b"990010001", b"990010019")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
_OF_THE_RUN = frozenset(
    {"rule_version", "stream", "partition", "seq", "event_id", "emitted_at", "cursor"}
)
_VERSIONS = tuple({"text": name} for name in ("rules", "matcher", "mapping"))
"""Of the device in a Provenance: other versions are no other result."""
Told = dict[str, Any]


async def sent(road: Road, name: str) -> list[tuple[int, int]]:
    """Send the messages of a file, one after the other; return where they stand in the log."""
    places = []
    for part in split_parts((FOLDER / f"{name}.hl7").read_bytes()):
        header = read_header(part.raw)
        judged = judge(part.raw, header, LabProfile(), Realm.TEST)  # type: ignore[arg-type]
        assert judged.ruling is Ruling.ACCEPT, f"{name}: {judged.findings}"
        content = judged.mapped or judged.unmappable
        assert content is not None
        lab = _LABORATORIES.index(header.sending_facility)  # type: ignore[union-attr]
        (offset,) = await road.put(content, partition=lab, raws=[part.raw])
        places.append((lab, offset))
        await road.dispatch()
    return places


async def told(road: Road, sent_: Mapping[str, list[tuple[int, int]]]) -> dict[str, Told]:
    """Return what each file led to: stream -> events and holds."""
    days = {
        row["day"]
        for row in await road.rows(
            "SELECT DISTINCT date(received_at at time zone 'utc')::text AS day FROM intake"
        )
    }
    days |= {f"{day[:8]}01" for day in days}  # where days would tell too much, months are told
    files: dict[str, str] = {}
    for name, places in sent_.items():
        for partition, offset in places:
            rows = await road.rows(
                'SELECT report_ids FROM outcome WHERE partition = $1 AND "offset" = $2',
                partition,
                offset,
            )
            files |= {str(each): name for row in rows for each in row["report_ids"]}
    for row in await road.rows("SELECT report_id, told_as FROM emitted WHERE told_as IS NOT NULL"):
        files[str(row["told_as"])] = files[str(row["report_id"])]
    found: dict[str, Told] = {
        name: {stream.value: {"events": [], "holds": []} for stream in STREAMS} for name in sent_
    }
    for stream in STREAMS:
        events = await road.events(stream)
        for event in sorted(events, key=_place):
            kept = {k: v for k, v in event.items() if k not in _OF_THE_RUN}
            found[files[event["report_id"]]][stream.value]["events"].append(kept)
    for row in await road.rows("SELECT report_id, stream, reason FROM hold ORDER BY since"):
        hold = {"report_id": str(row["report_id"]), "reason": row["reason"]}
        found[files[str(row["report_id"])]][row["stream"]]["holds"].append(hold)
    return {name: _numbered(each, days) for name, each in found.items()}


def _place(event: Told) -> tuple[Any, int, int]:
    return event["emitted_at"], event["partition"], event["seq"]


def _numbered(told_: Told, days: set[str]) -> Told:
    """Number ids and digests in the order in which they come; leave the day of the run out."""
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match.group(), f"(id {len(numbers) + 1})")

    def plain(value: Any) -> Any:
        if isinstance(value, dict) and value.get("type") in _VERSIONS:
            return {**value, "value": "(version)"}
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, list):
            return [plain(each) for each in value]
        if isinstance(value, str):
            if value[:10] in days:
                return "(the day of the run)"
            return _ID.sub(number, value)
        return value

    found: Told = plain(json.loads(json.dumps(told_, default=str)))
    return found


def golden(name: str, stream: str) -> Path:
    return FOLDER / f"{name}.{stream}.json"


def written(told_: Told) -> str:
    return json.dumps(told_, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


async def of_every_file(database: Database, folder: Path) -> dict[str, Told]:
    async with scratch_hub(database, folder) as hub:
        road = Road(hub)
        places = {name: await sent(road, name) for name in NAMES}
        while await road.dispatcher.stewards.reemit_due():
            pass
        await verified(road)
        return await told(road, places)


async def test_hl7_to_each_stream(database: Database, tmp_path: Path) -> None:
    found = await of_every_file(database, tmp_path)
    for name in NAMES:
        for stream in STREAMS:
            wanted = golden(name, stream.value).read_text("utf-8")
            assert written(found[name][stream.value]) == wanted, f"{name}: {stream}"


def test_no_golden_file_is_left_over() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    wanted = {golden(name, stream.value).name for name in NAMES for stream in STREAMS}
    assert files == wanted | {f"{name}.hl7" for name in NAMES}


def main() -> None:
    """Write what each file leads to anew."""
    folder = open_folder()
    server = scratch_server(folder)
    keys = Path(tempfile.mkdtemp())
    try:
        server.start()

        async def work() -> dict[str, Told]:
            await make_template(server)
            return await of_every_file(await clone(server), keys)

        found = asyncio.run(work())
    finally:
        server.stop()
        shutil.rmtree(folder)
        shutil.rmtree(keys)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, streams in found.items():
        for stream, told_ in streams.items():
            golden(name, stream).write_text(written(told_), "utf-8")
    sys.stdout.write(f"{len(found)} files, read what has changed\n")


if __name__ == "__main__":
    main()
