"""Holds over HTTP and on the command line: the same answers, nothing nominative, who may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.holding import commands
from ops.holding.looking import Wish
from ops.holding.routes import hold_routes
from ops.problems import http_problem, hub_problem
from ops.register.access import Gate
from ops.stewards.acts import Stewards
from ops.stewards.credentials import add_steward
from ops.stewards.routes import ReviewDesk
from ops.tokens import OPERATOR
from routing.doubts import Doubt
from schemas.errors import HubError
from schemas.report import ResultStatus
from tests.support.hub import Road, scratch_hub
from tests.support.identity import STEWARD
from tests.support.people import dominique, message, observation, report
from tests.support.postgres import Database

CANARY = "ZZCANARY"
DOSSIER = "dossier"


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        road = Road(hub)
        somebody = dominique(birth_family=CANARY, birth_given=CANARY)
        taken_back = observation(status=ResultStatus.DELETED, notes=(CANARY,))
        await road.put(message(somebody, report(observations=(taken_back,))))
        await road.dispatch()
        yield road


@pytest.fixture
def here(road: Road, monkeypatch: pytest.MonkeyPatch) -> Road:
    """The commands find this hub instead of a running instance."""

    @asynccontextmanager
    async def instance_at(_: Path, **__: Any) -> AsyncIterator[Hub]:
        yield road.hub

    @asynccontextmanager
    async def desk_at(_: Path, **__: Any) -> AsyncIterator[tuple[Hub, Stewards]]:
        yield road.hub, road.dispatcher.stewards

    monkeypatch.setattr(commands, "instance_at", instance_at)
    monkeypatch.setattr(commands, "desk_at", desk_at)
    return road


@asynccontextmanager
async def served(road: Road) -> AsyncIterator[httpx.AsyncClient]:
    desk = ReviewDesk(
        road.hub.pool, Gate(tokens={OPERATOR: "operators-own"}), lambda: road.dispatcher.stewards
    )
    app = Litestar(
        route_handlers=hold_routes(road.hub, desk),
        exception_handlers={HubError: hub_problem, HTTPException: http_problem},
        logging_config=None,
    )
    transport = httpx.ASGITransport(app=cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        yield http


async def test_a_steward_sees_releases_and_asks_again_over_http(road: Road) -> None:
    async with road.hub.pool.acquire() as connection:
        steward = await add_steward(connection, "one", sees_identity=False, asker=STEWARD)
    about = {"Authorization": f"Bearer {steward.token}", "X-Reason": "laboratory asked"}
    async with served(road) as http:
        told = await http.get("/v1/holds", params={"stream": DOSSIER}, headers=about)
        (held,) = told.json()
        assert held["reason"] == Doubt.STATUS_CONTRADICTS
        place = f"/v1/holds/{held['report_id']}"
        shown = await http.get(place, headers=about)
        assert len(shown.json()["holds"]) == 3
        wish = {"stream": DOSSIER, "reason": Doubt.STATUS_CONTRADICTS.value}
        dry = await http.post("/v1/holds/release", json=wish, headers=about)
        assert (dry.json()["dry_run"], dry.json()["found"]) == (True, 1)
        done = await http.post(f"{place}/release", json={"stream": DOSSIER}, headers=about)
        assert (done.status_code, done.json()["stream_events"]) == (200, 1)
        again = await http.post(f"{place}/release", json={"stream": DOSSIER}, headers=about)
        assert again.status_code == 409
        assert again.json()["title"] == "not_on_hold"
        replayed = await http.post(f"{place}/retry", headers=about)
        assert replayed.json()["replay"]
        for each in (told, shown, dry, done, again, replayed):
            assert CANARY not in each.text
    rows = await road.rows("SELECT actor, action FROM audit ORDER BY audit_id")
    assert [tuple(row.values()) for row in rows] == [
        ("steward.one", "steward_token"),
        ("one", "hold_release"),
        ("one", "replay"),
    ]


@pytest.mark.parametrize("token", ["", "operators-own", "made-up"])
async def test_nobody_else_is_told(road: Road, token: str) -> None:
    about = {"Authorization": f"Bearer {token}"} if token else {}
    async with served(road) as http:
        told = await http.get("/v1/holds", headers=about)
        wish = {"stream": DOSSIER, "reason": "x", "dry_run": False}
        done = await http.post("/v1/holds/release", json=wish, headers=about)
    assert told.status_code == done.status_code == (403 if token else 401)


async def test_the_commands_print_what_there_is_and_nothing_nominative(
    here: Road, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asker = Asker(actor="op", reason="asked by phone")
    (row,) = await here.rows("SELECT report_id FROM report")
    which = row["report_id"]
    wish = Wish(stream=DOSSIER, reason=Doubt.STATUS_CONTRADICTS)
    assert await commands.print_holds(tmp_path, Wish(), as_json=False) == 0
    assert await commands.print_held(tmp_path, which, as_json=False) == 0
    dry = await commands.release_many(tmp_path, wish, asker, dry_run=True, as_json=False)
    assert dry == 0
    assert await commands.release_one(tmp_path, which, DOSSIER, asker, as_json=False) == 0
    assert await commands.release_many(tmp_path, wish, asker, dry_run=False, as_json=False) == 0
    assert await commands.print_held(tmp_path, which, as_json=False) == 0
    assert await commands.ask_again(tmp_path, which, asker, as_json=False) == 0
    said = capsys.readouterr().out
    for wanted in (
        str(which), Doubt.STATUS_CONTRADICTS, "LAB1", "to do: ask the laboratory",
        "1 would be released; nothing was done", "dossier: released; 1 event(s)",
        "0 of 0 released", "was released", "op: asked by phone", "replay ",
    ):  # fmt: skip
        assert wanted in said
    assert CANARY not in said
    assert await commands.print_holds(tmp_path, wish, as_json=True) == 0
    assert msgspec.json.decode(capsys.readouterr().out) == []


async def test_the_command_exits_1_where_some_wait_on(here: Road, tmp_path: Path) -> None:
    asker = Asker(actor="op", reason="asked by phone")
    wish = Wish(stream=DOSSIER, reason=Doubt.STATUS_CONTRADICTS)
    await here.rows("DELETE FROM intake RETURNING 1")  # its retention has passed
    for _ in range(2):
        code = await commands.release_many(tmp_path, wish, asker, dry_run=False, as_json=True)
        assert code == 1
