"""Every condition of a report is told, and each by itself: on the real scripts and a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ops.holding.as_text import report_as_text
from ops.holding.looking import show_report
from ops.ruling.commands import explain_held
from ops.runtime.migrate import migrations
from ops.runtime.postgres import lent
from ops.tracing.asking import trace
from ops.tracing.finding import Wanted
from schemas.report import Coded, LabReport, ResultStatus
from schemas.topics import Stream
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.identity import STEWARD, person_of_offset, stream_fold
from tests.support.people import message, observation, report
from tests.support.postgres import Database

COVID, FLU, RSV, HIV, HEPATITIS = (
    Coded(code=code, text=code, system="LN")
    for code in ("94500-6", "92142-9", "92131-2", "77685-6", "22314-9")
)
FOUND = Coded(code="260373001", text="Detected", system="SCT")
NOT_FOUND = Coded(code="260415000", text="Not detected", system="SCT")


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def panel(answers: dict[Coded, Coded | None], status: str = "F", **changes: Any) -> LabReport:
    """A report of several tests; one without an answer says what no table knows."""
    said = tuple(
        observation(
            position=n,
            code=code,
            coded=coded,
            value="" if coded else "voir commentaire",
            status=ResultStatus(status),
        )
        for n, (code, coded) in enumerate(answers.items(), start=1)
    )
    return report(code=COVID, status=ResultStatus(status), observations=said, **changes)


async def sent(road: Road, of: LabReport) -> int:
    (offset,) = await road.put(message(None, of))
    await road.dispatch()
    return offset


async def told(road: Road, stream: Stream) -> dict[str, str]:
    """Condition -> result, as a consumer holds it."""
    return {b["condition"]: b["result"] for b in (await stream_fold(road))[stream.value].values()}


async def test_each_condition_of_a_panel_lives_by_itself(road: Road) -> None:
    await sent(road, panel({COVID: FOUND, FLU: NOT_FOUND, RSV: FOUND}))
    assert await told(road, Stream.CONTACT_TRACING) == {"sars-cov-2": "positive", "rsv": "positive"}
    assert await told(road, Stream.PUBLIC_HEALTH) == {
        "sars-cov-2": "positive",
        "influenza-a": "negative",
        "rsv": "positive",
    }
    await sent(road, panel({COVID: NOT_FOUND, FLU: NOT_FOUND}, "C"))
    assert await told(road, Stream.CONTACT_TRACING) == {}
    assert await told(road, Stream.PUBLIC_HEALTH) == {
        "sars-cov-2": "negative",
        "influenza-a": "negative",
    }
    kinds = [(e["part"], e["kind"]) for e in await road.events(Stream.PUBLIC_HEALTH)][3:]
    assert kinds == [
        ("sars-cov-2", "revised"),
        ("influenza-a", "revised"),
        ("rsv", "withdrawn"),
    ]
    await sent(road, panel({COVID: NOT_FOUND, FLU: NOT_FOUND}, "W"))
    assert await told(road, Stream.PUBLIC_HEALTH) == {}
    await verified(road)


async def test_what_is_in_doubt_of_a_panel_waits_and_the_rest_flows(road: Road) -> None:
    await sent(road, panel({COVID: FOUND, RSV: FOUND}))
    await sent(road, panel({COVID: FOUND, RSV: None}, "C"))
    assert await told(road, Stream.CONTACT_TRACING) == {"sars-cov-2": "positive"}
    gone = [e for e in await road.events(Stream.PUBLIC_HEALTH) if e["kind"] == "withdrawn"]
    assert [(e["part"], e["reason"]) for e in gone] == [("rsv", "on_hold")]
    holds = await road.rows("SELECT stream, reason FROM hold ORDER BY stream")
    assert [tuple(row.values()) for row in holds] == [
        ("contact-tracing", "result_not_understood"),
        ("public-health", "result_not_understood"),
    ]
    await verified(road)
    (of,) = await road.rows("SELECT report_id FROM report")
    async with lent(road.hub.pool) as connection:
        shown = await show_report(connection, of["report_id"])
    assert {(why.stream, why.conditions) for why in shown.holds} == {
        ("contact-tracing", ("rsv",)),
        ("public-health", ("rsv",)),
    }
    assert "result_not_understood (rsv)" in report_as_text(shown, road.hub.clock.now())


async def test_hiv_of_a_panel_is_told_under_an_id_of_its_own(road: Road) -> None:
    offset = await sent(road, panel({HIV: FOUND, HEPATITIS: FOUND}))
    first = {e["part"]: e for e in await road.events(Stream.PUBLIC_HEALTH)}
    assert set(first) == {"hiv", "hepatitis-a"}
    (of,) = await road.rows("SELECT report_id FROM report")
    assert str(first["hepatitis-a"]["report_id"]) == str(of["report_id"])
    assert str(first["hiv"]["report_id"]) != str(of["report_id"])
    assert first["hiv"]["body"]["pseudonym"] != first["hepatitis-a"]["body"]["pseudonym"]
    (row,) = await road.rows('SELECT message_id FROM outcome WHERE "offset" = $1', offset)
    (way,) = await trace(road.hub, Wanted(ids=(str(row["message_id"]),)))
    traced = {s["part"] for s in way.stations if s["station"] == "event"}
    assert {"hiv", "hepatitis-a"} <= traced, "an operator finds both"
    async with lent(road.hub.pool) as connection:
        (explained,) = await explain_held(road.hub, connection, str(row["message_id"]))
    last = {(held.stream, held.part) for held in explained.reports[0].held}
    assert (Stream.PUBLIC_HEALTH, "hiv") in last
    due = {(s.stream, s.part) for s in explained.reports[0].streams if s.due}
    assert {(Stream.PUBLIC_HEALTH, "hiv"), (Stream.PUBLIC_HEALTH, "hepatitis-a")} <= due
    await sent(road, panel({HIV: NOT_FOUND, HEPATITIS: FOUND}, "C"))
    (gone,) = [e for e in await road.events(Stream.PUBLIC_HEALTH) if e["kind"] == "withdrawn"]
    assert (gone["part"], gone["report_id"]) == ("hiv", first["hiv"]["report_id"])
    await verified(road)


async def test_what_was_told_of_before_is_told_again_by_parts(road: Road) -> None:
    """As the release before left it: one event a report, which names no part."""
    offset = await sent(road, panel({COVID: FOUND}))
    person = await person_of_offset(road, offset)
    await road.rows("UPDATE emitted SET part = '' RETURNING 1")
    await road.rows("UPDATE stream_event SET part = '' RETURNING 1")
    (statement,) = [
        each for each in _statements("parts") if each.startswith("INSERT INTO reemission")
    ]
    await road.rows(f"{statement} RETURNING 1")
    (row,) = await road.rows("SELECT person_id, reason, after_report FROM reemission")
    assert tuple(row.values()) == (person, "replayed", UUID(int=0))
    while await road.dispatcher.stewards.reemit_due():
        pass
    assert await told(road, Stream.PUBLIC_HEALTH) == {"sars-cov-2": "positive"}
    events = [
        (e["part"], e["event_version"], e["kind"])
        for e in await road.events(Stream.CONTACT_TRACING)
    ]
    assert events == [("", 1, "published"), ("sars-cov-2", 1, "published"), ("", 2, "withdrawn")]
    again = await road.dispatcher.stewards.reemit(person, STEWARD)
    assert again.stream_events == 0
    await verified(road)


def _statements(name: str) -> list[str]:
    (sql,) = [each.sql for each in migrations() if each.name == name]
    lines = [line for line in sql.splitlines() if not line.startswith("--")]
    return [each.strip() for each in "\n".join(lines).split(";")]
