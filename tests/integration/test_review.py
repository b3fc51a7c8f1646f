"""The stewards' queue: what opens an item, what is shown of it and to whom, and what is audited."""

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

from dedup.review import PairVerdict
from ops.problems import http_problem, hub_problem
from ops.register.access import Gate
from ops.runtime.metrics import METRICS
from ops.stewards import seen
from ops.stewards.acts import Stewards
from ops.stewards.as_text import history_as_text, item_as_text, items_as_text
from ops.stewards.credentials import add_steward, revoke_steward
from ops.stewards.finding import DuplicateSearch
from ops.stewards.queue_watch import take_figures
from ops.stewards.routes import ReviewDesk, review_routes
from ops.tokens import OPERATOR
from schemas.errors import HubError, PermanentError
from tests.support.hub import Road, scratch_hub
from tests.support.identity import STEWARD, person_of_offset
from tests.support.people import dominique, message, report
from tests.support.postgres import Database

CANARY = "ZZCANARY"
TOKENS = {OPERATOR: "operators-own"}


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def stewards(road: Road) -> Stewards:
    return road.dispatcher.stewards


async def somebody_elses_card(road: Road) -> tuple[int, int]:
    """A child under a parent's INS: two persons, and an item of the first priority."""
    child = dominique(
        birth_family=CANARY, birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01"
    )
    offsets = await road.put(
        message(dominique(), report(filler_order_number="F-1")),
        message(child, report(filler_order_number="F-2")),
    )
    await road.dispatch()
    parent = await person_of_offset(road, offsets[0])
    return parent, await person_of_offset(road, offsets[1])


@asynccontextmanager
async def served(road: Road) -> AsyncIterator[httpx.AsyncClient]:
    app = Litestar(
        route_handlers=review_routes(
            ReviewDesk(road.hub.pool, Gate(tokens=TOKENS), lambda: stewards(road))
        ),
        exception_handlers={HubError: hub_problem, HTTPException: http_problem},
        logging_config=None,
    )
    transport = httpx.ASGITransport(app=cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        yield http


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "X-Reason": "test"}


async def audit_of(road: Road) -> list[tuple[str, str]]:
    rows = await road.rows("SELECT actor, action FROM audit ORDER BY audit_id")
    return [(row["actor"], row["action"]) for row in rows]


async def test_a_contradicting_ins_is_asked_about_first(road: Road) -> None:
    parent, child = await somebody_elses_card(road)
    async with road.hub.pool.acquire() as connection:
        (item,) = await seen.see_list(connection, STEWARD, guard="", priority=0, limit=10)
        shown = await seen.see_item(
            connection, stewards(road), STEWARD, item.item, with_values=False
        )
        values = await seen.see_item(
            connection, stewards(road), STEWARD, item.item, with_values=True
        )
    assert (item.kind, item.priority, item.guard) == ("ins", 1, "same_ins_other_traits")
    assert {item.person, item.other} == {parent, child}
    now = road.hub.clock.now()
    text = item_as_text(shown, now) + items_as_text([item], now) + history_as_text(shown.history)
    assert CANARY not in text and CANARY not in msgspec.json.encode(shown).decode()
    assert "birth_date" in text and "different" in text
    assert CANARY in item_as_text(values, now)
    assert {event.kind for event in shown.history} == {"new", "review"}
    assert await audit_of(road) == [
        ("steward.one", "review_list"),
        ("steward.one", "review_show"),
        ("steward.one", "review_show_identity"),
    ]


async def test_an_item_is_decided_over_http_and_undone(road: Road) -> None:
    await somebody_elses_card(road)
    async with road.hub.pool.acquire() as connection:
        blind = await add_steward(connection, "blind", sees_identity=False, asker=STEWARD)
        sees = await add_steward(connection, "sees", sees_identity=True, asker=STEWARD)
    async with served(road) as http:
        (item,) = (await http.get("/v1/review", headers=bearer(blind.token))).json()
        place = f"/v1/review/{item['item']}"
        told = await http.get(place, headers=bearer(blind.token))
        assert told.status_code == 200 and CANARY not in told.text
        refused = await http.get(f"{place}?show=identity", headers=bearer(blind.token))
        assert refused.status_code == 403
        told = await http.get(f"{place}?show=identity", headers=bearer(sees.token))
        assert CANARY in told.text
        body = {"verdict": "different"}
        done = await http.post(f"{place}/verdict", json=body, headers=bearer(blind.token))
        assert done.json()["act"] == "verdict"
        assert (await http.get("/v1/review", headers=bearer(blind.token))).json() == []
        event = {"event": done.json()["event"]}
        undone = await http.post("/v1/persons/undo", json=event, headers=bearer(blind.token))
        assert undone.status_code == 200
        assert len((await http.get("/v1/review", headers=bearer(blind.token))).json()) == 1
        history = await http.get(
            f"/v1/persons/{item['person']}/history", headers=bearer(blind.token)
        )
        assert [e["kind"] for e in history.json()][:2] == ["verdict", "verdict"]
        (row, *_) = await road.rows("SELECT report_id FROM report")
        decision = await http.get(
            f"/v1/reports/{row['report_id']}/decision", headers=bearer(blind.token)
        )
        assert decision.json()["recomputed"] == "same"
    assert {actor for actor, _ in await audit_of(road)} == {"steward.one", "blind", "sees"}


async def test_only_stewards_see_and_only_the_operator_makes_them(road: Road) -> None:
    await somebody_elses_card(road)
    async with served(road) as http:
        operator = bearer(TOKENS[OPERATOR])
        for headers, status in ({}, 401), (bearer("nobody"), 403), (operator, 403):
            assert (await http.get("/v1/review", headers=headers)).status_code == status
        made = await http.post(
            "/v1/review/stewards", json={"name": "j.doe", "sees_identity": False}, headers=operator
        )
        token = made.json()["token"]
        again = await http.post("/v1/review/stewards", json={"name": "j.doe"}, headers=operator)
        assert again.status_code == 409
        assert (await http.get("/v1/review", headers=bearer(token))).status_code == 200
        mine = await http.get("/v1/review/stewards", headers=bearer(token))
        assert mine.status_code == 403
        gone = await http.delete("/v1/review/stewards/j.doe", headers=operator)
        assert gone.status_code == 204
        assert (await http.get("/v1/review", headers=bearer(token))).status_code == 403
    kept = await road.rows("SELECT digest, name FROM steward")
    assert token.encode() not in kept[0]["digest"]


async def test_a_settled_pair_is_asked_about_no_more(road: Road) -> None:
    parent, child = await somebody_elses_card(road)
    done = await stewards(road).say(parent, child, PairVerdict.DIFFERENT, STEWARD)
    assert done.act == "verdict"
    again = dominique(
        birth_family=CANARY, birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01"
    )
    offsets = await road.put(message(again, report(filler_order_number="F-9")))
    await road.dispatch()
    assert await person_of_offset(road, offsets[0]) == child
    assert await road.rows("SELECT 1 FROM review_item WHERE closed_at IS NULL") == []


async def test_later_stays_and_goes_to_the_end(road: Road) -> None:
    parent, child = await somebody_elses_card(road)
    await stewards(road).say(parent, child, PairVerdict.LATER, STEWARD)
    async with road.hub.pool.acquire() as connection:
        (item,) = await seen.see_list(connection, STEWARD, guard="", priority=0, limit=10)
        await take_figures(connection, road.hub.clock, set())
    assert item.postponed_at is not None
    assert METRICS.review_age._value.get() == 0


async def test_more_than_the_share_stays_on_the_link_events(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABDISPATCH_REVIEW_SHARE", "0.001")
    monkeypatch.setenv("LABDISPATCH_REVIEW_BURST", "2")
    async with scratch_hub(database, tmp_path) as hub:
        road = Road(hub)
        await road.put(message(dominique(), report(filler_order_number="F-0")))
        for n in range(6):
            child = dominique(birth_given=f"LEA{'ABCDEF'[n]}", birth_date=f"201{n}-06-0{n + 1}")
            await road.put(message(child, report(filler_order_number=f"F-{n + 1}")))
        await road.dispatch()
        assert len(await road.rows("SELECT 1 FROM review_item")) == 2
        assert len(await road.rows("SELECT 1 FROM link_event WHERE kind = 'review'")) == 6


async def test_the_search_finds_who_could_be_one_and_goes_on(road: Road) -> None:
    await road.put(
        message(dominique(ins=()), report(filler_order_number="F-1")),
        message(dominique(ins=(), birth_given="ZOE"), report(filler_order_number="F-2")),
    )
    await road.dispatch()
    rows = await road.rows("SELECT person_id FROM person ORDER BY person_id")
    first, second = (row["person_id"] for row in rows)
    # As if the second had been made before the first could be found: equal traits by now.
    await road.rows(
        "INSERT INTO person_alias SELECT $2, alias_digest, payload, first_seen_on, last_seen_on"
        " FROM person_alias WHERE person_id = $1 RETURNING 1",
        first,
        second,
    )
    await road.rows("DELETE FROM review_item RETURNING 1")
    parts = stewards(road)
    search = DuplicateSearch(road.hub.pool, parts.store, parts.sources, road.hub.clock)
    part = await search.run(persons=1, items=10)
    assert (part.persons, part.next_person) == (1, first + 1)
    rest = await search.run(persons=10, items=10)
    assert rest.next_person == 0
    assert part.opened + rest.opened == 1
    (item,) = await road.rows("SELECT person_id, other_person_id, priority FROM review_item")
    assert tuple(item.values()) == (second, first, 3)
    again = await search.run(persons=10, items=10)
    assert again.opened == 0


async def test_a_revoked_steward_is_named_once(road: Road) -> None:
    async with road.hub.pool.acquire() as connection:
        await add_steward(connection, "a", sees_identity=False, asker=STEWARD)
        await revoke_steward(connection, "a", asker=STEWARD)
        with pytest.raises(PermanentError, match="no_such_steward"):
            await revoke_steward(connection, "a", asker=STEWARD)
        with pytest.raises(PermanentError, match="bad_name"):
            await add_steward(connection, " ", sees_identity=False, asker=STEWARD)
