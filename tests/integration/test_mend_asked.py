"""A laboratory's day and parked messages over HTTP: who may ask, and nothing nominative."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException

from ingest.lab import Lab
from ops.accounting import commands
from ops.accounting.counting import day_of
from ops.accounting.keeping import count_now
from ops.accounting.routes import account_routes
from ops.asking import Asker
from ops.parking.routes import parked_routes
from ops.pausing import changes
from ops.pausing.routes import pause_routes
from ops.problems import http_problem, hub_problem
from ops.proofs import Proofs
from ops.register.access import Gate
from ops.runtime.postgres import lent
from ops.tokens import OPERATOR
from schemas.errors import HubError, TransientError
from schemas.finding import Finding, Level
from schemas.place import Place
from tests.support.hub import Road, scratch_hub
from tests.support.people import dominique, message, report
from tests.support.postgres import Database

CANARY = "ZZCANARY"
UNMAPPABLE = Finding(code="service_code_missing", level=Level.ERROR, place=Place(segment="OBR"))
WHO = {"X-Actor": "on call", "X-Reason": "the laboratory sends it again"}


class Register:
    """LAB1's own token is `of-lab1`."""

    def of_token(self, token: str) -> Lab | None:
        return Lab(lab_id=1, registry_id="LAB1") if token == "of-lab1" else None


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        road = Road(hub)
        somebody = dominique(birth_family=CANARY, birth_given=CANARY)
        await road.put(
            message(somebody), UNMAPPABLE, raws=[CANARY.encode(), b"2" + CANARY.encode()]
        )
        await road.dispatch()
        await count_now(hub)
        yield road


@pytest.fixture
async def asked(road: Road) -> AsyncIterator[httpx.AsyncClient]:
    register = cast("Any", Register())
    gate = Gate(tokens={OPERATOR: "operators-own"}, of_token=register.of_token)
    handlers = [
        *account_routes(road.hub, gate, Proofs(register, None)),
        *parked_routes(road.hub, gate),
        *pause_routes(road.hub, gate),
    ]
    application = Litestar(
        route_handlers=handlers,
        exception_handlers={HTTPException: http_problem, HubError: hub_problem},
    )
    transport = httpx.ASGITransport(app=cast("Any", application))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        yield client


def bearer(token: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **more}


async def test_a_laboratory_reads_its_own_day_and_nobody_elses(
    road: Road, asked: httpx.AsyncClient
) -> None:
    path = f"/v1/laboratories/LAB1/account/{day_of(road.hub.clock.now())}"
    for headers, status in (
        ({}, 401),
        (bearer("somebody"), 403),
        (bearer("of-lab1"), 200),
        (bearer("operators-own"), 200),
    ):
        assert (await asked.get(path, headers=headers)).status_code == status
    other = path.replace("LAB1", "LAB2")
    assert (await asked.get(other, headers=bearer("of-lab1"))).status_code == 403
    nobody = path.replace("LAB1", "NOBODY")
    assert (await asked.get(nobody, headers=bearer("of-lab1"))).status_code == 403
    assert (await asked.get(nobody, headers=bearer("operators-own"))).status_code == 404
    told = (await asked.get(path, headers=bearer("of-lab1"))).json()
    account = told["account"]
    assert (account["received"], account["dispatched"], account["parked"]) == (2, 1, 1)
    assert account["closes"]
    (item,) = told["items"]
    assert (item["control_id"], item["ending"], item["reason"]) == ("C-1", "parked", "unmappable")
    table = await asked.get(path, headers=bearer("of-lab1", Accept="text/csv"))
    assert table.headers["content-type"].startswith("text/csv")
    assert "parked message,unmappable,,C-1," in table.text
    assert CANARY not in table.text + str(told)


async def test_an_operator_works_on_parked_messages(road: Road, asked: httpx.AsyncClient) -> None:
    operator = bearer("operators-own", **WHO)
    assert (await asked.get("/v1/parked")).status_code == 401
    assert (await asked.get("/v1/parked", headers=bearer("of-lab1"))).status_code == 403
    (held,) = (await asked.get("/v1/parked", headers=operator)).json()
    shown = await asked.get(f"/v1/parked/{held['message_id']}", headers=operator)
    assert shown.json()["message"]["place"] == held["place"] == "OBR"
    assert CANARY not in shown.text
    nobody = f"/v1/parked/{UUID(int=1)}"
    assert (await asked.get(nobody, headers=operator)).status_code == 404
    wish = {"reason": "unmappable"}
    told = (await asked.post("/v1/parked/discard", json=wish, headers=operator)).json()
    assert (told["dry_run"], told["done"], told["plan"]["messages"]) == (True, 0, 1)
    given = {**wish, "to": "Camille", "dry_run": False}
    assert (await asked.post("/v1/parked/assign", json=given, headers=operator)).json()["done"] == 1
    act = {**wish, "dry_run": False}
    assert (await asked.post("/v1/parked/replay", json=act, headers=operator)).json()["done"] == 1
    assert (await asked.post("/v1/parked/discard", json=act, headers=operator)).json()["done"] == 1
    silent = bearer("operators-own")
    assert (await asked.post("/v1/parked/discard", json=act, headers=silent)).status_code == 400
    rows = await road.rows("SELECT actor, action FROM audit ORDER BY audit_id")
    assert [tuple(row) for row in rows] == [
        ("on call", "parked_assigned"),
        ("on call", "replay"),
        ("on call", "parked_discarded"),
    ]


async def test_the_commands_of_days_print_and_say_whether_it_closes(
    road: Road, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @asynccontextmanager
    async def instance_at(*_: Any, **__: Any) -> AsyncIterator[Any]:
        yield road.hub

    monkeypatch.setattr(commands, "instance_at", instance_at)
    today = day_of(road.hub.clock.now())
    assert await commands.print_day(tmp_path, today, "LAB1", as_json=False) == 0
    assert "the day's account closes" in capsys.readouterr().out
    assert await commands.print_days(tmp_path, 7, "", as_json=False) == 0
    assert str(today) in capsys.readouterr().out
    assert await commands.print_gaps(tmp_path, as_json=False) == 0
    assert "every day closes" in capsys.readouterr().out
    assert await commands.write_report(tmp_path, today, "LAB1", tmp_path / "out") == 0
    assert (tmp_path / "out" / "LAB1" / f"{today}.csv").exists()
    await road.rows("INSERT INTO account_gap VALUES ($1, 1, 1, $2, NULL)", today, datetime.now(UTC))
    assert await commands.print_day(tmp_path, today, "LAB1", as_json=False) == 1
    assert "DOES NOT CLOSE" in capsys.readouterr().out
    assert await commands.print_gaps(tmp_path, as_json=False) == 1


async def test_pauses_over_http_are_the_operators_and_stand_in_the_audit(
    road: Road, asked: httpx.AsyncClient
) -> None:
    wanted = {"what": "laboratory", "name": "LAB1"}
    for headers, status in ((bearer("of-lab1", **WHO), 403), (bearer("operators-own"), 400)):
        answer = await asked.post("/v1/pauses", json=wanted, headers=headers)
        assert answer.status_code == status, answer.text
    operator = bearer("operators-own", **WHO)
    made = await asked.post("/v1/pauses", json=wanted, headers=operator)
    assert (made.status_code, made.json()["reason"]) == (201, WHO["X-Reason"])
    again = await asked.post("/v1/pauses", json=wanted, headers=operator)
    assert (again.status_code, again.json()["title"]) == (409, "paused_already")
    (listed,) = (await asked.get("/v1/pauses", headers=operator)).json()["pauses"]
    assert (listed["name"], listed["actor"]) == ("LAB1", WHO["X-Actor"])

    for number in range(3):
        await road.put(message(dominique(), report(filler_order_number=f"P-{number}")))
    for _ in range(2):  # the fence sends the first batch of a pause back
        with contextlib.suppress(TransientError):
            await road.dispatch()
    gone_on = await asked.delete("/v1/pauses/laboratory/LAB1", headers=operator)
    assert (gone_on.status_code, gone_on.json()) == (
        200,
        {"what": "laboratory", "name": "LAB1", "replayed": 3, "waiting": 0},
    )
    missing = await asked.delete("/v1/pauses/laboratory/LAB1", headers=operator)
    assert missing.status_code == 404
    unknown = {"what": "stream", "name": "no stream"}
    assert (await asked.post("/v1/pauses", json=unknown, headers=operator)).status_code == 400
    said = await road.rows("SELECT action, actor FROM audit WHERE subject = 'laboratory LAB1'")
    assert [tuple(row) for row in said] == [("paused", "on call"), ("resumed", "on call")]


async def test_no_more_is_done_again_at_once_than_a_request_may_take(road: Road) -> None:
    async with lent(road.hub.pool) as connection:
        asker = Asker(actor="on call", reason="its numbers were wrong")
        await changes.pause(connection, "laboratory", "LAB1", asker, road.hub.clock.now())
    for number in range(3):
        await road.put(message(dominique(), report(filler_order_number=f"P-{number}")))
    for _ in range(2):
        with contextlib.suppress(TransientError):
            await road.dispatch()
    done = await changes.replay_some(road.hub, 1, asker, 2)
    assert (done.messages, done.waiting) == (2, 1)
