"""Exports on a real database: what is in the files, and that nobody could tell two runs apart."""

from __future__ import annotations

import asyncio
import csv
import errno
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from ops.bootstrap import Hub
from ops.exporting import blocks, command, export, printing
from ops.exporting.command import export_to, run_export
from ops.exporting.manifest import Ask, Form, Manifest, State, held_folder, read_manifest
from ops.exporting.printing import StreamAsk, print_stream
from ops.exporting.tables import CASE, RESULT
from ops.runtime import failpoints
from ops.runtime.failpoints import FailpointError
from ops.runtime.vault import SealClass
from schemas.errors import FatalError, PermanentError, TransientError
from schemas.topics import Stream
from tests.support.exporting import Filler, Silence, folded
from tests.support.hub import Road, scratch_hub
from tests.support.postgres import Database

AUDITED = "SELECT actor, action, subject, reason FROM audit ORDER BY audit_id"
HEALTH = Ask(stream=Stream.PUBLIC_HEALTH, state=State.LATEST, form=Form.PARQUET)


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as hub:
        yield hub


async def exported(hub: Hub, ask: Ask, out: Path, **more: Any) -> Manifest:
    return await export_to(hub, ask, out, tell=Silence(), **more)


def asked(**changes: Any) -> Ask:
    fields = {"stream": HEALTH.stream, "state": HEALTH.state, "form": HEALTH.form}
    return Ask(**{**fields, **changes})


def rows_of(out: Path, table: str) -> list[dict[str, Any]]:
    """Every row of a table, as DuckDB reads the files by their folders."""
    found = duckdb.sql(f"SELECT * FROM read_parquet('{out}/{table}/**/*.parquet')")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a file as the stream says it: nothing of null where it says an empty text."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in row.items()
        if value not in (None, "") and name not in {"day", "emitted_at"}
    }


def told(event: dict[str, Any]) -> dict[str, Any]:
    """An event of the stream, flat."""
    header = {n: v for n, v in event.items() if n not in {"body", "cursor", "stream"}}
    flat = header | (event["body"] or {})
    return {
        name: str(value) if name in {"report_id", "event_id"} else value
        for name, value in flat.items()
        if value not in (None, "") and name not in {"record", "emitted_at"}
    }


def by_part(rows: list[dict[str, Any]]) -> dict[tuple[str, str, int], dict[str, Any]]:
    return {(r["report_id"], r.get("part") or "", r["event_version"]): r for r in rows}


def contents(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


async def test_latest_is_the_fold_of_the_stream(hub: Hub, tmp_path: Path) -> None:
    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 600)
    out = tmp_path / "out"
    manifest = await exported(hub, HEALTH, out)
    standing = folded(await Road(hub).events(Stream.PUBLIC_HEALTH)).values()
    results = [told(e) for e in standing if e["body"]["record"] == "result"]
    replaced = [told(e) for e in standing if e["body"]["record"] != "result"]
    assert replaced
    found = rows_of(out, "result")
    assert by_part([plain(row) for row in found]) == by_part(results)
    assert by_part([plain(r) for r in rows_of(out, "pseudonym_replaced")]) == by_part(replaced)
    assert all(row["day"] == row["sampled_on"] for row in found)
    moments = {str(e["event_id"]): e["emitted_at"] for e in standing}
    assert {row["event_id"]: row["emitted_at"].astimezone(UTC) for row in found}.items() <= {
        key: datetime.fromisoformat(value).astimezone(UTC) for key, value in moments.items()
    }.items()
    assert manifest.complete
    assert manifest.rows == len(standing)
    assert manifest.events == 600
    assert not (out / ".unfinished").exists()


async def test_events_are_all_of_them_in_order_by_day_of_emission(hub: Hub, tmp_path: Path) -> None:
    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 400)
    out = tmp_path / "out"
    await exported(hub, asked(state=State.EVENTS), out)
    every = await Road(hub).events(Stream.PUBLIC_HEALTH)
    found = rows_of(out, "result") + rows_of(out, "pseudonym_replaced")
    assert by_part([plain(row) for row in found]) == by_part([told(event) for event in every])
    assert {r["kind"] for r in rows_of(out, "pseudonym_replaced")} >= {"published", "withdrawn"}
    for path in out.rglob("*.parquet"):
        table = pq.ParquetFile(path).read()
        places = list(
            zip(*(table.column(n).to_pylist() for n in ("partition", "seq")), strict=True)
        )
        assert places == sorted(places)
        days = {moment.date().isoformat() for moment in table.column("emitted_at").to_pylist()}
        assert [f"day={day}" for day in days] == [path.parent.name]


@pytest.mark.parametrize("form", Form)
async def test_the_same_extraction_gives_the_same_bytes(
    hub: Hub, tmp_path: Path, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it was read in between, and whatever the stream has told since."""
    filler = Filler(hub)
    await filler.fill(Stream.PUBLIC_HEALTH, 400)
    ask = asked(form=form, since=date(2026, 3, 2))
    first = await exported(hub, ask, tmp_path / "one")
    await filler.fill(Stream.PUBLIC_HEALTH, 300, at=datetime(2026, 3, 9, 9, tzinfo=UTC))
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "MOST_ROWS", 7)
        await exported(hub, ask, tmp_path / "two", extraction=first.extraction, segment_rows=17)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    later = await exported(hub, ask, tmp_path / "three")
    assert later.rows != first.rows


async def test_what_was_killed_goes_on_and_ends_the_same(hub: Hub, tmp_path: Path) -> None:
    filler = Filler(hub)
    await filler.fill(Stream.PUBLIC_HEALTH, 400)
    whole = await exported(hub, HEALTH, tmp_path / "whole")
    for number, where in enumerate(
        ("after_segment=raise@2", "after_file=raise@2", "after_file=raise")
    ):
        out = tmp_path / f"cut{number}"
        failpoints.arm(f"export.{where}")
        with pytest.raises(FailpointError):
            await exported(hub, HEALTH, out, extraction=whole.extraction, segment_rows=50)
        half = read_manifest(out)
        assert half is not None
        assert not half.complete
        await filler.fill(Stream.PUBLIC_HEALTH, 50, at=datetime(2026, 3, 9, 9, tzinfo=UTC))
        assert await exported(hub, HEALTH, out, segment_rows=50) == whole
        assert contents(out) == contents(tmp_path / "whole")
        assert await exported(hub, HEALTH, out) == whole
        assert not (out / ".unfinished").exists()


class Interrupting(Silence):
    """Cancels a run while it reads, or while it writes."""

    def __init__(self, *, while_writing: bool) -> None:
        self.running: asyncio.Task[Manifest] | None = None
        self._while_writing = while_writing
        self._loop = asyncio.get_running_loop()

    def reading(self, events: int, total: int) -> None:
        if not self._while_writing:
            self._cancel()

    def writing(self, rows: int, total: int) -> None:
        """In the thread that writes: each time the loop has its turn before it goes on."""
        told = threading.Event()
        self._loop.call_soon_threadsafe(self._cancel)
        self._loop.call_soon_threadsafe(told.set)
        assert told.wait(60)

    def _cancel(self) -> None:
        assert self.running is not None
        self.running.cancel()


async def test_who_interrupts_it_gets_its_end_and_the_next_run_the_rest(
    hub: Hub, tmp_path: Path
) -> None:
    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 200)
    whole = await exported(hub, HEALTH, tmp_path / "whole")
    for while_writing in (False, True):
        tell = Interrupting(while_writing=while_writing)
        out, given = tmp_path / f"cut{while_writing}", whole.extraction
        tell.running = asyncio.create_task(
            export_to(hub, HEALTH, out, extraction=given, tell=tell, segment_rows=20)
        )
        with pytest.raises(asyncio.CancelledError):
            await tell.running
        half = read_manifest(out)
        assert half is not None
        assert not half.complete
        assert bool(half.files) is while_writing
        assert await exported(hub, HEALTH, out, segment_rows=20) == whole
        assert contents(out) == contents(tmp_path / "whole")


async def test_a_line_cut_by_a_crash_and_an_altered_file_are_made_anew(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 400)
    whole = await exported(hub, HEALTH, tmp_path / "whole")
    cut = tmp_path / "cut"
    failpoints.arm("export.after_segment=raise@2")
    with pytest.raises(FailpointError):
        await exported(hub, HEALTH, cut, extraction=whole.extraction, segment_rows=50)
    with (cut / ".unfinished" / "segments.ndjson").open("ab") as notes:
        notes.write(b'{"behind":[1,')
    failpoints.arm("export.after_file=raise@2")
    with pytest.raises(FailpointError):
        await exported(hub, HEALTH, cut, segment_rows=50)
    half = read_manifest(cut)
    assert half is not None
    (cut / half.files[0].path).write_bytes(b"altered")
    with monkeypatch.context() as patch:
        patch.setattr(export, "WRITTEN_WITH", "pyarrow 1.0.0")
        with pytest.raises(PermanentError, match="other_library"):
            await exported(hub, HEALTH, cut)
    with monkeypatch.context() as patch:
        patch.setattr(export, "put", Mock(side_effect=OSError(errno.ENOSPC, "no room")))
        with pytest.raises(TransientError, match="export_not_written"):
            await exported(hub, HEALTH, cut)
    assert await exported(hub, HEALTH, cut, segment_rows=50) == whole
    assert contents(cut) == contents(tmp_path / "whole")
    failpoints.arm("export.after_segment=raise")
    with pytest.raises(FailpointError):
        await exported(hub, HEALTH, tmp_path / "other", segment_rows=50)
    for path in (tmp_path / "other" / ".unfinished").glob("*.arrow"):
        path.write_bytes(b"altered")
    with pytest.raises(FatalError, match="export_damaged"):
        await exported(hub, HEALTH, tmp_path / "other", segment_rows=50)


async def test_a_range_is_of_days_and_a_filter_of_rows(hub: Hub, tmp_path: Path) -> None:
    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 600)
    days = date(2026, 3, 2), date(2026, 3, 3)
    ask = asked(
        since=days[0], until=days[1], where=(("condition", "rsv,hiv"), ("result", "negative"))
    )
    await exported(hub, ask, tmp_path / "some")
    standing = folded(await Road(hub).events(Stream.PUBLIC_HEALTH)).values()
    wanted = [
        told(e)
        for e in standing
        if e["body"]["record"] == "result"
        and days[0].isoformat() <= e["body"]["sampled_on"] <= days[1].isoformat()
        and e["body"]["condition"] in {"rsv", "hiv"}
        and e["body"]["result"] == "negative"
    ]
    assert wanted
    found = rows_of(tmp_path / "some", "result")
    assert by_part([plain(row) for row in found]) == by_part(wanted)
    # Who counts persons needs every pseudonym that stands for another, whatever the range.
    assert len(rows_of(tmp_path / "some", "pseudonym_replaced")) == sum(
        e["body"]["record"] != "result" for e in standing
    )
    emitted = asked(state=State.EVENTS, since=date(2026, 3, 5), until=date(2026, 3, 5))
    await exported(hub, emitted, tmp_path / "emitted")
    folders = {path.name for path in (tmp_path / "emitted").glob("*/*")}
    assert folders == {"day=2026-03-05"}
    every = await Road(hub).events(Stream.PUBLIC_HEALTH)
    on_day = sum(e["emitted_at"].startswith("2026-03-05") for e in every)
    tables = sum(
        len(rows_of(tmp_path / "emitted", each.name))
        for each in (tmp_path / "emitted").iterdir()
        if each.is_dir()
    )
    assert tables == on_day


async def test_a_case_without_a_day_is_found_and_texts_are_joined_in_csv(
    hub: Hub, tmp_path: Path
) -> None:
    await Filler(hub).fill(Stream.CONTACT_TRACING, 200)
    ask = asked(stream=Stream.CONTACT_TRACING, since=date(2026, 3, 2))
    await exported(hub, ask, tmp_path / "out")
    found = rows_of(tmp_path / "out", "case")
    assert {type(row["day"]) for row in found} == {date, type(None)}
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "out").rglob("*")} == {
        "0o600",
        "0o700",
    }
    assert found[0]["phones"] == ["0639980001", "0199990002"]
    assert found[0]["emails"] == []
    assert found[0]["used_family"] is None
    await exported(hub, asked(stream=Stream.CONTACT_TRACING, form=Form.CSV), tmp_path / "csv")
    paths = sorted((tmp_path / "csv").rglob("*.csv"))
    row = pd.read_csv(paths[0], dtype=str).iloc[0]
    assert row["phones"] == "0639980001 | 0199990002"
    assert row["birth_given"] == 'DOMINIQUE, dite "DODO"'
    assert row["emitted_at"].endswith("Z")
    assert list(pd.read_csv(paths[0]).columns) == [column.name for column in CASE.columns]


async def test_any_text_of_a_laboratory_comes_out_as_it_went_in(hub: Hub, tmp_path: Path) -> None:
    await Filler(hub).fill(Stream.CONTACT_TRACING, 60)
    every = await Road(hub).events(Stream.CONTACT_TRACING)
    ask = asked(stream=Stream.CONTACT_TRACING, state=State.EVENTS)
    await exported(hub, ask, tmp_path / "out")
    found = rows_of(tmp_path / "out", "case")
    assert by_part([plain(row) for row in found]) == by_part([told(event) for event in every])


async def test_the_dossier_is_bundles(hub: Hub, tmp_path: Path) -> None:
    await Filler(hub).fill(Stream.DOSSIER, 100)
    await exported(hub, asked(stream=Stream.DOSSIER), tmp_path / "out")
    standing = folded(await Road(hub).events(Stream.DOSSIER)).values()
    found = rows_of(tmp_path / "out", "bundle")
    assert sorted(json.loads(row["body"])["id"] for row in found) == sorted(
        event["body"]["id"] for event in standing
    )


async def test_pandas_polars_and_duckdb_read_the_folder(hub: Hub, tmp_path: Path) -> None:
    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 300)
    out = tmp_path / "out"
    manifest = await exported(hub, HEALTH, out)
    rows = sum(each.rows for each in manifest.files if each.table == "result")
    frame = pd.read_parquet(out / "result")
    assert len(frame) == rows
    assert list(frame.columns) == [*(column.name for column in RESULT.columns), "day"]
    assert frame["condition"].dtype == object  # texts, no categories
    lazy = pl.scan_parquet(f"{out}/result/**/*.parquet", hive_partitioning=True)
    counted = lazy.group_by("condition").len().collect()
    assert sum(counted["len"]) == rows
    by_duck = duckdb.sql(
        f"SELECT condition, count(*) FROM read_parquet('{out}/result/**/*.parquet')"
        " WHERE day >= DATE '2026-03-02' GROUP BY 1"
    ).fetchall()
    late = frame[frame["sampled_on"] >= date(2026, 3, 2)]
    assert dict(by_duck) == late.groupby("condition").size().to_dict()


async def test_retention_is_said_or_refused_never_passed_over(hub: Hub, tmp_path: Path) -> None:
    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 200)
    whole = await exported(hub, HEALTH, tmp_path / "whole")
    async with hub.pool.acquire() as connection:
        await connection.execute(
            "DELETE FROM stream_event WHERE stream = 'public-health' AND seq <= 3"
        )
    with pytest.raises(PermanentError) as caught:
        await exported(hub, HEALTH, tmp_path / "again", extraction=whole.extraction)
    assert caught.value.reason == "extraction_expired"
    left = await exported(hub, HEALTH, tmp_path / "left")
    assert left.events == 200 - 3 * 4
    hub.vault.destroy(SealClass.STREAM, hub.clock.now().date())
    gone = await exported(hub, HEALTH, tmp_path / "gone")
    assert (gone.rows, gone.files) == (0, ())
    assert gone.expired == left.rows


async def test_a_folder_is_one_exports_alone(hub: Hub, tmp_path: Path) -> None:
    async def refused(ask: Ask, out: Path, **more: Any) -> str:
        with pytest.raises(PermanentError) as caught:
            await exported(hub, ask, out, **more)
        return caught.value.reason

    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 20)
    first = await exported(hub, HEALTH, tmp_path / "one")
    assert await refused(asked(form=Form.CSV), tmp_path / "one") == "other_export"
    other = await exported(hub, HEALTH, tmp_path / "two")
    assert await refused(HEALTH, tmp_path / "one", extraction=other.extraction) == "other_export"
    assert await refused(HEALTH, tmp_path) == "folder_not_empty"
    (tmp_path / "file").write_text("x")
    assert await refused(HEALTH, tmp_path / "file") == "folder_unusable"
    for text in ("x", "é", first.extraction[:-2], other.extraction + "A" * 9):
        assert await refused(HEALTH, tmp_path / "three", extraction=text) == "bad_extraction"
    dossier = asked(stream=Stream.DOSSIER)
    assert (
        await refused(dossier, tmp_path / "four", extraction=first.extraction) == "bad_extraction"
    )
    with held_folder(tmp_path / "held"):
        assert await refused(HEALTH, tmp_path / "held") == "folder_in_use"
    (tmp_path / "one" / "_manifest.json").write_text("{}")
    assert await refused(HEALTH, tmp_path / "one") == "bad_manifest"


async def test_names_are_exported_by_somebody_for_a_reason(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @asynccontextmanager
    async def this(_: Path, **__: Any) -> AsyncIterator[Hub]:
        yield hub

    monkeypatch.setattr(command, "instance_at", this)
    await Filler(hub).fill(Stream.CONTACT_TRACING, 40)
    ask = asked(stream=Stream.CONTACT_TRACING, since=date(2026, 3, 2))

    async def run(out: str, **who: Any) -> int:
        given = {"extraction": "", "actor": None, "reason": "", "as_json": False, **who}
        return await run_export(tmp_path, ask, tmp_path / out, **given)

    for who in ({}, {"actor": "tracer.one"}, {"actor": " ", "reason": "because"}):
        with pytest.raises(PermanentError) as caught:
            await run("none", **who)
        assert caught.value.reason == "who_asks"
    assert not (tmp_path / "none").exists()
    assert await run("out", actor="tracer.one", reason="study 7") == 0
    assert "tracer" not in capsys.readouterr().out
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    said = await Road(hub).rows(AUDITED)
    where, what = "stream contact-tracing", "command export, latest, parquet, from=2026-03-02"
    assert [tuple(row) for row in said] == [
        ("tracer.one", "stream_read", where, f"{what}; study 7"),
        ("tracer.one", "stream_read_ended", where, f"{manifest.rows} events of read 1"),
    ]
    with pytest.raises(PermanentError) as caught:
        await run("out", actor="tracer.one", reason="study 7", extraction="x")
    assert caught.value.reason == "other_export"
    last = (await Road(hub).rows(AUDITED))[-1]
    assert last["reason"] == "0 events of read 3"


async def test_asks_that_make_no_sense_say_so_before_anything_is_touched(
    hub: Hub, tmp_path: Path
) -> None:
    for ask, reason in (
        (asked(since=date(2026, 3, 2), until=date(2026, 3, 1)), "bad_range"),
        (asked(state=State.EVENTS, where=(("condition", "rsv"),)), "bad_filter"),
        (asked(where=(("condition", "nonsense"),)), "bad_filter"),
        (asked(where=(("colour", "red"),)), "bad_filter"),
        (asked(stream=Stream.DOSSIER, where=(("condition", "rsv"),)), "bad_filter"),
    ):
        with pytest.raises(PermanentError) as caught:
            await exported(hub, ask, tmp_path / "out")
        assert caught.value.reason == reason
    assert not (tmp_path / "out").exists()


async def test_ten_years_are_answered_by_what_is_there(hub: Hub, tmp_path: Path) -> None:
    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 50)
    ask = asked(since=date(2020, 1, 1), until=date(2030, 1, 1) + timedelta(days=1))
    whole = await exported(hub, HEALTH, tmp_path / "whole")
    assert (await exported(hub, ask, tmp_path / "years")).rows == whole.rows
    empty = await exported(hub, asked(since=date(2029, 1, 1)), tmp_path / "empty")
    assert {each.table for each in empty.files} <= {"pseudonym_replaced"}


async def test_a_stream_is_printed_as_lines_columns_or_a_table(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    @asynccontextmanager
    async def this(_: Path, **__: Any) -> AsyncIterator[Hub]:
        yield hub

    monkeypatch.setattr(printing, "instance_at", this)
    await Filler(hub).fill(Stream.PUBLIC_HEALTH, 120)
    every = await Road(hub).events(Stream.PUBLIC_HEALTH)

    async def printed(**changes: Any) -> str:
        ask = StreamAsk(**{"stream": Stream.PUBLIC_HEALTH, **changes})
        assert await print_stream(Path(), ask, actor=None, reason="") == 0
        return capsysbinary.readouterr().out.decode()

    lines = (await printed()).splitlines()
    ids = sorted(str(each["event_id"]) for each in every)
    assert sorted(json.loads(line)["event_id"] for line in lines) == ids
    rest = await printed(after=json.loads(lines[99])["cursor"])
    assert len(rest.splitlines()) == 20
    rows = list(csv.DictReader((await printed(form="csv")).splitlines()))
    assert sorted(row["event_id"] for row in rows) == ids
    assert {row["record"] for row in rows} == {"result", "pseudonym_replaced"}
    assert all((row["condition"] == "") == (row["old"] != "") for row in rows
               if row["kind"] != "withdrawn")  # fmt: skip
    table = (await printed(form="table", limit=5)).splitlines()
    assert len(table) == 6
    assert table[0].startswith("emitted_at")
    latest = (await printed(state=State.LATEST)).splitlines()
    assert len(latest) == len(folded(every))
    some = (await printed(where=(("condition", "rsv"),))).splitlines()
    given = [json.loads(line) for line in some]
    fold = folded(event for event in given if "report_id" in event)
    again = (await printed(where=(("condition", "rsv"),), after=given[-1]["cursor"])).splitlines()
    assert again == []
    # Behind the last alias, which fits every filter, a filter can keep all that is left back.
    alias = max(n for n, line in enumerate(lines) if json.loads(line)["part"] == "")
    assert alias < len(lines) - 1
    behind = json.loads(lines[alias])["cursor"]
    kept = json.loads(await printed(where=(("condition", "plague"),), after=behind))
    assert list(kept) == ["cursor"]
    assert await printed(after=kept["cursor"]) == ""
    assert (
        len(
            (await printed(form="csv", where=(("condition", "plague"),), after=behind)).splitlines()
        )
        == 1
    )
    assert {key[1] for key in fold} <= {"rsv", ""}
    assert {key for key in fold if key[1]} == {key for key in folded(every) if key[1] == "rsv"}
    for wrong, reason in (
        ({"where": (("condition", "x"),)}, "bad_filter"),
        ({"after": "x"}, "bad_cursor"),
        ({"after": "x", "state": State.LATEST}, "bad_state"),
        ({"stream": Stream.DOSSIER}, "who_asks"),
    ):
        with pytest.raises(PermanentError) as caught:
            await printed(**wrong)
        assert caught.value.reason == reason


async def test_what_follows_a_nominative_stream_is_audited_to_its_end(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    @asynccontextmanager
    async def this(_: Path, **__: Any) -> AsyncIterator[Hub]:
        yield hub

    monkeypatch.setattr(printing, "instance_at", this)
    filler = Filler(hub)
    await filler.fill(Stream.CONTACT_TRACING, 10)
    where = (("result", "positive"),)
    ask = StreamAsk(stream=Stream.CONTACT_TRACING, follow=True, form="table", where=where)
    following = asyncio.create_task(print_stream(Path(), ask, actor="t.one", reason="watch"))
    seen = b""
    async with asyncio.timeout(120):
        while seen.count(b"\n") < 11:
            await asyncio.sleep(0.01)
            seen += capsysbinary.readouterr().out
        await filler.fill(Stream.CONTACT_TRACING, 5, at=datetime(2026, 3, 9, 9, tzinfo=UTC))
        while seen.count(b"\n") < 16:
            await asyncio.sleep(0.01)
            seen += capsysbinary.readouterr().out
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert b"DOMINIQUE" not in seen
    said = await Road(hub).rows(AUDITED)
    assert [(row["action"], row["reason"]) for row in said] == [
        ("stream_read", "command stream, table, followed, result=positive; watch"),
        ("stream_read_ended", "15 events of read 1"),
    ]
