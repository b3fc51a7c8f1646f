"""The indicators over HTTP: what is asked wrongly is answered, and a token gets what is its own."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import httpx
import pyarrow.parquet as pq
import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException

from ops.indicators.admitting import admit_by
from ops.indicators.answering import Published
from ops.indicators.routes import indicator_routes
from ops.problems import http_problem, hub_problem
from ops.stream_tokens.port import StreamAccess
from ops.stream_tokens.refusals import unknown_token
from routing.filters import StreamFilter
from schemas.errors import HubError
from schemas.topics import Stream
from tests.support.indicating import TODAY, World, world_of
from tests.support.postgres import Database
from tests.support.telling import CONDITION, some_rows

PATH = f"/v1/indicators/{CONDITION}"


class Admission:
    def __init__(self, own: StreamFilter) -> None:
        self.filter = own

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Access:
    tokens: ClassVar = {
        "all": StreamFilter(),
        "flu": StreamFilter(conditions=frozenset({"influenza-a"})),
        "paris": StreamFilter(departments=frozenset({"75"})),
        "positives": StreamFilter(results=frozenset({"positive"})),
    }

    async def admit(self, header: str, stream: Stream, **_: Any) -> Admission:
        assert stream is Stream.PUBLIC_HEALTH
        token = header.removeprefix("Bearer ")
        if token not in self.tokens:
            raise unknown_token()
        return Admission(self.tokens[token])


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path) as made:
        await made.telling.tell(some_rows(11, 300, TODAY))
        yield made


def client_of(world: World, token: str = "all", most: int = 1_000) -> httpx.AsyncClient:
    app = Litestar(
        indicator_routes(Published(world.pool, most), admit_by(cast("StreamAccess", Access()))),
        exception_handlers={HubError: hub_problem, HTTPException: http_problem},
        openapi_config=None,
    )
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),  # type: ignore[arg-type]
        base_url="http://hub",
        headers={"Authorization": f"Bearer {token}"},
    )


async def test_figures_are_the_same_in_every_form_and_page(world: World) -> None:
    async with client_of(world) as client:
        early = await client.get(PATH)
        assert (early.status_code, early.json()["title"]) == (404, "no_extraction")
        await world.count()
        asked = {"area": "departments", "sex": "*", "age_class": "*"}
        told = (await client.get(PATH, params=asked)).json()
    assert told["extraction"]["number"] == 1
    figures, pages = [], 0
    async with client_of(world, most=150) as client:
        address: str | None = str(httpx.URL(PATH, params=asked))
        while address is not None:
            answer = await client.get(address)
            figures += answer.json()["figures"]
            pages += 1
            address = answer.json()["next"]
            assert ("link" in answer.headers) == (address is not None)
    assert pages > 3
    async with client_of(world, most=1_000_000) as client:
        whole = (await client.get(PATH, params=asked)).json()
        assert whole["next"] is None
        assert figures == whole["figures"]
        rows = list(csv.DictReader(io.StringIO(
            (await client.get(PATH, params={**asked, "format": "csv"})).text
        )))  # fmt: skip
        packed = (await client.get(PATH, params={**asked, "format": "parquet"})).content
        table = pq.read_table(io.BytesIO(packed)).to_pylist()
        contents = (await client.get("/v1/indicators")).json()["contents"]
    for name in ("label", "area", "tests", "cases", "population"):
        wanted = [each[name] for each in whole["figures"]]
        assert [row[name] for row in rows] == ["" if v is None else str(v) for v in wanted]
        assert [row[name] for row in table] == wanted
    assert [each["period"] for each in contents] == ["7days", "day", "week"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"area": "moon"}, "area"),
        ({"from": "yesterday"}, "from"),
        ({"period": "hour"}, "period"),
        ({"age_class": "12"}, "age_class"),
        ({"sex": "X"}, "sex"),
        ({"as_of": "2026-03-06T08:00:00"}, "as_of"),
        ({"after": "-1"}, "after"),
        ({"format": "xls"}, "format"),
        ({"colour": "red"}, "words"),
    ],
)
async def test_a_question_that_is_none_is_told_what_it_may_be(
    world: World, params: dict[str, str], says: str
) -> None:
    async with client_of(world) as client:
        answer = await client.get(PATH, params=params)
    assert answer.status_code == 400
    assert says in answer.json()["detail"]
    assert next(iter(params.values())) not in answer.text.replace("2026-03-06T08:00:00Z", "")


async def test_ten_years_are_answered_and_nothing_is_not_there(world: World) -> None:
    await world.count()
    async with client_of(world) as client:
        answer = await client.get(PATH, params={"from": "2016-01-01", "to": "2026-12-31"})
        assert answer.status_code == 200
        labels = [each["label"] for each in answer.json()["figures"]]
        assert labels == sorted(labels)
        assert (labels[0], labels[-1]) == ("2026-02-23", "2026-03-20")
        assert (await client.get("/v1/indicators/none")).status_code == 404
        empty = (await client.get("/v1/indicators/measles")).json()
        assert (empty["figures"], empty["next"]) == ([], None)


async def test_a_token_gets_what_its_filter_lets_it(world: World) -> None:
    await world.count()
    for token, params, status in (
        ("none", {}, 401),
        ("flu", {}, 403),
        ("positives", {}, 403),
        ("paris", {}, 403),
        ("paris", {"area": "department:69"}, 403),
    ):
        async with client_of(world, token) as client:
            assert (await client.get(PATH, params=params)).status_code == status, (token, params)
    async with client_of(world, "paris") as client:
        answer = await client.get(PATH, params={"area": "departments"})
    assert {each["area"] for each in answer.json()["figures"]} == {"department:75"}


async def test_a_file_of_sidep_says_what_the_figures_say(world: World) -> None:
    await world.count()
    async with client_of(world) as client:
        figures = (await client.get(PATH, params={"sex": "*", "to": "2026-03-20"})).json()[
            "figures"
        ]
        answer = await client.get(f"{PATH}/files/sp-pos-quot-fra")
        notes = await client.get(answer.links["describedby"]["url"])
        unknown = await client.get(f"{PATH}/files/sp-pos-quot-moon")
    name = "sp-pos-quot-fra-2026-03-20-13h00.csv"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert notes.headers["content-disposition"] == f'attachment; filename="notes-{name}"'
    assert notes.headers["x-extraction"] == answer.headers["x-extraction"] == "1"
    assert "link" not in notes.headers
    assert notes.text == "fra;jour;cl_age90;held;withheld;flags\n"
    lines = answer.text.splitlines()
    assert lines[0] == "fra;jour;P_f;P_h;P;T_f;T_h;T;cl_age90;pop"
    by_day = {line[1]: line for line in (each.split(";") for each in lines[1:]) if line[8] == "0"}
    for figure in figures:
        line = by_day[figure["label"]]
        place = {"F": 0, "M": 1, "": 2}[figure["sex"]]
        assert line[2 + place] == str(figure["cases"])
        assert line[5 + place] == str(figure["eligible_persons"])
    assert (unknown.status_code, unknown.json()["title"]) == (404, "no_such_file")
    assert "sp-pos-quot-dep" in unknown.json()["detail"]
