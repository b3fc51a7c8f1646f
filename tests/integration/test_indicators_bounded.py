"""One question about indicators takes no more than its share of the process that answers."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Self, cast

import httpx
import msgspec
import pyarrow.parquet as pq
import pytest
from litestar import Litestar

from ops.indicators import commands, revising, unpacking, writing
from ops.indicators.admitting import admit_by
from ops.indicators.answering import Published
from ops.indicators.asking import read_asked
from ops.indicators.routes import indicator_routes
from ops.indicators.stored import Kept, unpack_table
from ops.problems import hub_problem
from ops.stream_tokens.port import StreamAccess
from routing.filters import StreamFilter
from schemas.errors import HubError, PermanentError, TransientError
from schemas.figures import Figure, Revision
from tests.support.indicating import NOW, TODAY, World, world_of
from tests.support.postgres import Database
from tests.support.telling import CONDITION, some_rows

ASKED = [("area", "france,departments"), ("age_class", "*"), ("sex", "*")]
FEW = 700
"""Figures to unpack for an answer: one table of a few departments."""


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path) as made:
        for turn in range(3):
            made.clock.at = NOW + timedelta(hours=2 * turn)
            await made.telling.tell(some_rows(turn + 1, 60, TODAY))
            await made.count()
        yield made


def counting(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[int]:
    unpacked: list[int] = []

    def counted(packed: bytes, kept: Kept) -> list[Figure]:
        table = unpack_table(packed, kept)
        unpacked.append(len(table))
        return table

    monkeypatch.setattr(module, "unpack_table", counted)
    return unpacked


async def test_revisions_come_in_pages_that_unpack_little(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await Published(world.pool, 1_000_000).revisions(CONDITION, read_asked(ASKED))
    assert whole.next is None
    assert any(each.before is not None for each in whole.revisions)
    unpacked = counting(monkeypatch, revising)
    published = Published(world.pool, 1_000_000, unpacked=FEW)
    found: list[Revision] = []
    pages, after = 0, ""
    while pages == 0 or after:
        unpacked.clear()
        answer = await published.revisions(CONDITION, read_asked([*ASKED, ("after", after)]))
        # Of small tables a few are unpacked at once, of large ones one that is too many.
        assert sum(unpacked) <= FEW + 64 * 33 + 2 * max(unpacked)
        found += answer.revisions
        after, pages = answer.next or "", pages + 1
    assert pages > 3
    assert found == whole.revisions


async def test_figures_of_one_area_come_in_pages_that_unpack_little(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = read_asked([("area", "department:75")])
    whole = await Published(world.pool, 1_000_000).figures(CONDITION, asked)
    unpacked = counting(monkeypatch, unpacking)
    published = Published(world.pool, 1_000_000, unpacked=FEW)
    found: list[Figure] = []
    pages, after = 0, 0
    while pages == 0 or after:
        unpacked.clear()
        answer = await published.figures(CONDITION, msgspec.structs.replace(asked, after=after))
        assert sum(unpacked) <= FEW + max(unpacked)
        found += answer.figures
        after, pages = int(answer.next or 0), pages + 1
    assert pages > 3
    assert found == whole.figures


@pytest.mark.parametrize("of", ["figures", "revisions"])
async def test_while_tables_are_unpacked_no_connection_is_held_and_others_are_answered(
    world: World, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(packed: bytes, kept: Kept) -> list[Figure]:
        begun.set()
        assert go_on.wait(120)
        return unpack_table(packed, kept)

    monkeypatch.setattr(unpacking, "unpack_table", slow)
    monkeypatch.setattr(revising, "unpack_table", slow)
    published = Published(world.pool, 1_000, at_once=1)
    asked = read_asked([("area", "departments")])
    ask: Any = getattr(published, of)
    large = asyncio.ensure_future(ask(CONDITION, asked))
    try:
        assert await asyncio.to_thread(begun.wait, 120)
        assert (await published.extraction(None)).number == 3
        published._tables.wait_seconds = 0.01
        with pytest.raises(TransientError, match="answers_held"):
            await ask(CONDITION, asked)
    finally:
        published._tables.wait_seconds = 120.0
        go_on.set()
    await large


class Admission:
    def __init__(self, most: int) -> None:
        self.filter = StreamFilter()
        self.most = most
        self.checks = 0
        self.is_open = True

    def check(self) -> None:
        assert self.is_open
        self.checks += 1
        if self.checks > self.most:
            raise PermanentError("token_revoked", "ask the operator")

    def close(self) -> None:
        self.is_open = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Access:
    def __init__(self, most: int) -> None:
        self.admission = Admission(most)

    async def admit(self, header: str, stream: object, **_: object) -> Admission:
        return self.admission


@pytest.mark.parametrize("most", [10_000, 3])
async def test_a_file_holds_its_place_until_its_end_and_ends_with_its_token(
    world: World, most: int
) -> None:
    access = Access(most)
    app = Litestar(
        indicator_routes(Published(world.pool, 1_000), admit_by(cast("StreamAccess", access))),
        exception_handlers={HubError: hub_problem},
        openapi_config=None,
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        answer = await client.get(f"/v1/indicators/{CONDITION}/files/sp-pos-quot-dep")
    days = {line.split(";")[1] for line in answer.text.splitlines()[1:]}
    if most == 3:  # its header is checked too
        assert (access.admission.checks, len(days)) == (most + 1, most - 1)
    else:
        assert access.admission.checks == len(days) + 1 > 10
    assert not access.admission.is_open


@pytest.fixture
def small_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> Published:
    published = Published(world.pool, 100)

    @asynccontextmanager
    async def instance_at(_: Path) -> AsyncIterator[None]:
        yield None

    monkeypatch.setattr(commands, "instance_at", instance_at)
    monkeypatch.setattr(commands, "published_of", lambda _: published)
    return published


async def test_the_command_writes_all_pages_as_one(
    world: World, small_pages: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["area=france", "age_class=*", "sex=*"]
    asked = read_asked(commands.pairs_of(where))
    assert (await small_pages.figures(CONDITION, asked)).next is not None
    whole = (await Published(world.pool, 1_000_000).figures(CONDITION, asked)).figures
    out = tmp_path / "figures"
    for form in ("json", "csv", "parquet"):
        assert await commands.show(tmp_path, CONDITION, where, form, out) == 0
        content = out.read_bytes()
        if form == "json":
            told = msgspec.json.decode(content)["figures"]
            assert msgspec.convert(told, list[Figure]) == whole
        else:
            rows: list[dict[str, Any]] = (
                list(csv.DictReader(io.StringIO(content.decode())))
                if form == "csv"
                else pq.read_table(io.BytesIO(content)).to_pylist()
            )
            found = [(each["label"], each["age_class"], str(each["tests"])) for each in rows]
            assert found == [(each.label, each.age_class, str(each.tests)) for each in whole]
    wanted = (await Published(world.pool, 1_000_000).revisions(CONDITION, asked)).revisions
    assert len(wanted) > 100
    for as_json in (True, False):
        capsys.readouterr()
        assert await commands.changes(tmp_path, CONDITION, where, as_json=as_json) == 0
        text = capsys.readouterr().out
        if as_json:
            assert msgspec.json.decode(text, type=list[Revision]) == wanted
        else:
            lines = list(csv.DictReader(io.StringIO(text)))
            assert [each["label"] for each in lines] == [each.after.label for each in wanted]


async def test_files_are_written_with_the_notes_beside_them(
    small_pages: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "files"
    assert await commands.write_files(tmp_path, CONDITION, ["sp-pos-quot-fra"], out, "") == 0
    notes, file = sorted(out.iterdir())
    assert (notes.name, file.name[:15]) == (f"notes-{file.name}", "sp-pos-quot-fra")
    assert capsys.readouterr().out.splitlines() == [str(file), str(notes)]
    assert len(file.read_text("utf-8").splitlines()) > 10
    assert notes.read_text("utf-8").splitlines()[0] == "fra;jour;cl_age90;held;withheld;flags"
    layouts = ["sp-pos-quot-dep", "sp-pos-quot-moon"]
    with pytest.raises(PermanentError, match="no_such_file"):
        await commands.write_files(tmp_path, CONDITION, layouts, out, "")
    assert sorted(out.iterdir()) == [notes, file]


async def test_a_table_for_eyes_has_a_bound_and_leaves_no_file(
    small_pages: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_PRINTED", 150)
    out = tmp_path / "folder" / "table.txt"
    assert await commands.show(tmp_path, CONDITION, [], "table", out) == 0
    kept = out.read_bytes()
    assert b"2026-03" in kept
    with pytest.raises(PermanentError, match="too_many_to_print"):
        await commands.show(tmp_path, CONDITION, ["age_class=*", "sex=*"], "table", out)
    assert [each.name for each in out.parent.iterdir()] == [out.name]
    assert out.read_bytes() == kept
    assert await commands.show(tmp_path, "measles", [], "json", out) == 1
    assert msgspec.json.decode(out.read_bytes())["figures"] == []
