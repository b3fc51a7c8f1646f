"""A message is found by whatever somebody has in hand; across corrections and merges; no values."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ops import dispatch
from ops.asking import Asker
from ops.problems import http_problem, hub_problem
from ops.register.access import Gate
from ops.runtime.settings import load_settings
from ops.runtime.traces import Traces
from ops.tokens import OPERATOR
from ops.tracing import finding, queries
from ops.tracing.asking import identities, trace
from ops.tracing.finding import Wanted
from ops.tracing.routes import trace_routes
from ops.tracing.ways import Trace
from schemas.errors import HubError, PermanentError
from schemas.finding import Finding, Level
from schemas.place import Place
from schemas.report import Coded, ResultStatus
from tests.support.hub import Road, scratch_hub
from tests.support.identity import STEWARD
from tests.support.people import OTHER_INS, dominique, message, observation, report
from tests.support.postgres import Database

CANARY = "ZZCANARY"
UNMAPPABLE = Finding(code="service_code_missing", level=Level.ERROR, place=Place(segment="OBR"))
_NOBODYS = "ARRAY['00000000-0000-4000-8000-000000000000']"
LOCAL = Coded(code="PCRMAISON", text="une PCR", system="L")


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


async def found(road: Road, *ids: object, **more: Any) -> list[Trace]:
    return await trace(road.hub, Wanted(ids=tuple(map(str, ids)), **more))


def named(way: Trace, station: str) -> list[dict[str, Any]]:
    return [each for each in way.stations if each["station"] == station]


async def corrected(road: Road) -> list[Trace]:
    """A result and its correction, in two messages of one order."""
    somebody = dominique(birth_family=CANARY, birth_given=CANARY)
    await road.put(message(somebody))
    await road.dispatch()
    await road.put(
        message(
            somebody,
            report(
                status=ResultStatus.CORRECTED,
                observations=(
                    observation(coded=Coded(code="260415000", text="Not detected", system="SCT")),
                ),
            ),
        )
    )
    await road.dispatch()
    rows = await road.rows('SELECT message_id FROM outcome ORDER BY partition, "offset"')
    return await found(road, *(row["message_id"] for row in rows))


async def test_every_way_to_ask_leads_to_the_same_messages(road: Road) -> None:
    first, second = await corrected(road)
    both = {first.message_id, second.message_id}
    (way,) = first.reports
    assert [v["message_id"] for v in way.versions] == [first.message_id, second.message_id]
    assert second.reports[0].report_id == way.report_id
    (event, *_) = named(second, "event")
    place = f"{event['stream']}/{event['partition']}/{event['seq']}"
    for asked in (
        await found(road, way.report_id),
        await found(road, event["event_id"]),
        await found(road, place),
        await found(road, "F-1", laboratory="LAB1"),
    ):
        assert {each.message_id for each in asked} == both
    assert await found(road, "F-1", laboratory="LAB2") == []
    assert await found(road, "F-1") == []
    with pytest.raises(PermanentError, match="no_such_laboratory"):
        await found(road, "F-1", laboratory="NOBODY")


async def test_an_event_is_asked_for_by_the_narrow_summary_alone(road: Road) -> None:
    """The one of before reads more ranges for nothing, and the planner would rather take it."""
    await corrected(road)
    async with road.hub.pool.acquire() as connection, connection.transaction():
        await connection.execute(queries.SUMMARIES_ONLY)
        lines = await connection.fetch(f"EXPLAIN {queries.BY_EVENT.replace('$1', _NOBODYS)}")
    plan = [line["QUERY PLAN"] for line in lines]
    scans = [line for line in plan if "Scan on" in line or "Scan using" in line]
    summaries = [line for line in scans if "Bitmap Index Scan" in line]
    assert summaries
    assert all("uuid_hash_extended" in line for line in summaries)
    assert not [line for line in scans if "Seq Scan" in line or "Index Scan using" in line]


async def test_a_control_id_is_of_a_laboratory(road: Road) -> None:
    told = message(dominique())
    await road.put(told)
    await road.put(told, partition=1)
    await road.dispatch()
    assert len(await found(road, told.control_id)) == 2
    (one,) = await found(road, told.control_id, laboratory="LAB2")
    assert (one.laboratory, one.partition) == ("LAB2", 1)


async def test_what_is_left_out_is_told(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than is looked for in one go is an error: left out in silence it would read as lost."""
    first, second = await corrected(road)
    monkeypatch.setattr(finding, "_MATCHES", 1)
    for asked in ((first.message_id, second.message_id), (first.reports[0].report_id,)):
        with pytest.raises(PermanentError, match="more than 1 records fit"):
            await found(road, *asked)


async def test_events_are_looked_for_in_portions(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = await corrected(road)
    strangers = [str(UUID(int=number)) for number in range(3)]
    event = named(second, "event")[0]["event_id"]
    monkeypatch.setattr(finding, "_EVENTS", 1)
    assert len(await found(road, *strangers, event)) == 2
    monkeypatch.setattr(finding, "_EVENTS_IN_ALL", 3)
    with pytest.raises(PermanentError, match="more than 3 ids"):
        await found(road, *strangers, event)


async def test_a_second_group_of_an_order_is_found_where_the_first_says_nothing_new(
    road: Road,
) -> None:
    first = report(filler_order_number="F-8")
    for status in (ResultStatus.FINAL, ResultStatus.CORRECTED):
        second = report(filler_order_number="F-8", status=status)
        await road.put(message(dominique(), first, second))
        await road.dispatch()
    assert len(await found(road, "F-8", laboratory="LAB1")) == 2


async def test_an_order_of_a_code_that_no_table_knows_is_found_by_its_code(road: Road) -> None:
    await road.put(message(dominique(), report(code=LOCAL, filler_order_number="F-77")))
    await road.dispatch()
    assert await found(road, "F-77", laboratory="LAB1") == []
    (one,) = await found(road, "F-77", laboratory="LAB1", codes=("PCRMAISON",))
    assert one.reports[0].status == "F"


async def test_stations_tell_what_was_decided_and_why(road: Road) -> None:
    first, second = await corrected(road)
    assert [each["station"] for each in first.stations[:2]] == ["received", "answered"]
    assert named(first, "answered")[0]["answer"] == "AA"
    assert named(first, "identity")[0]["verdict"] == "new"
    (decided,) = named(second, "identity")
    assert (decided["verdict"], decided["rule"]) == ("link", "same_ins")
    assert named(second, "outcome")[0]["ending"] == "dispatched"
    streams = {each["stream"] for each in named(first, "event")}
    assert streams == {"dossier", "contact-tracing", "public-health"}
    assert second.reports[0].cases, "it is of a case"
    assert len(second.reports[0].events) > len(named(second, "event"))


async def test_a_merge_that_came_later_is_told(road: Road) -> None:
    (first, *_) = await corrected(road)
    other = dominique(ins=(OTHER_INS,), birth_family="DURAND", birth_given="CAMILLE")
    await road.put(message(other, report(filler_order_number="F-2")))
    await road.dispatch()
    (theirs,) = await found(road, "F-2", laboratory="LAB1")
    mine, their = first.reports[0].person_id, theirs.reports[0].person_id
    assert mine != their
    await road.dispatcher.stewards.merge(mine, their, STEWARD)
    for way in (*await found(road, first.message_id), *await found(road, theirs.message_id)):
        (joined,) = way.reports[0].joined
        assert joined["kind"] == "merge"
        assert {joined["person_id"], joined["other_person_id"]} == {mine, their}
        assert way.reports[0].person_id in {mine, their}


async def test_what_waits_is_found_before_dispatch_has_seen_it(road: Road) -> None:
    told = message(dominique())
    await road.put(told)
    (way,) = await found(road, told.control_id)
    assert named(way, "outcome")[0]["ending"] == "in flight"
    (again,) = await found(road, way.message_id, laboratory="LAB1")
    assert again.offset == way.offset
    assert await found(road, told.control_id, laboratory="LAB2") == []


async def test_what_was_parked_is_told_with_what_was_done(road: Road) -> None:
    await road.put(UNMAPPABLE, raws=[CANARY.encode()])
    await road.dispatch()
    (row,) = await road.rows("SELECT message_id FROM outcome")
    await road.rows(
        "SELECT audit_append('on call', 'parked_assigned', $1, 'asked the laboratory')",
        f"message {row['message_id']}",
    )
    (way,) = await found(road, row["message_id"])
    (parked,) = named(way, "parked")
    assert (parked["reason"], parked["code"]) == ("unmappable", "service_code_missing")
    (done,) = named(way, "done")
    assert (done["action"], done["actor"]) == ("parked_assigned", "on call")


async def test_a_patient_is_shown_to_who_said_why_once_it_is_audited(road: Road) -> None:
    ways = await corrected(road)
    assert CANARY not in json.dumps(msgspec.to_builtins(ways))
    with pytest.raises(PermanentError, match="no_reason"):
        await identities(road.hub, ways, Asker(actor="on call", reason=""))
    shown = await identities(road.hub, ways, Asker(actor="on call", reason="the doctor asks"))
    assert {each["birth_family"] for each in shown.values()} == {CANARY}
    rows = await road.rows("SELECT actor, reason FROM audit WHERE action = 'trace_identity'")
    assert [(row["actor"], row["reason"]) for row in rows] == [("on call", "the doctor asks")] * 2


async def test_nobody_is_shown_when_the_audit_cannot_be_written(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = await corrected(road)
    opened = []
    monkeypatch.setattr(queries, "AUDIT", "SELECT audit_away($1, $2, $3, $4)")
    vault = cast("Any", type(road.hub.vault))
    monkeypatch.setattr(vault, "open", lambda *_: opened.append(1))
    with pytest.raises((HubError, asyncpg.PostgresError)):
        await identities(road.hub, ways, Asker(actor="on call", reason="the doctor asks"))
    assert not opened


async def test_the_operator_asks_over_http_and_nobody_else(road: Road) -> None:
    (first, *_) = await corrected(road)
    gate = Gate(tokens={OPERATOR: "operators-own", "dossier": "a-reader"})
    application = Litestar(
        route_handlers=trace_routes(road.hub, gate),
        exception_handlers={HTTPException: http_problem, HubError: hub_problem},
    )
    transport = httpx.ASGITransport(app=cast("Any", application))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        path = f"/v1/trace/{first.message_id}"
        for token, status in (("", 401), ("a-reader", 403), ("operators-own", 200)):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answered = await client.get(path, headers=headers)
            assert answered.status_code == status
        (told,) = answered.json()
        assert told["message_id"] == str(first.message_id)
        assert CANARY not in answered.text
        nobody = await client.get("/v1/trace/no-such-id", headers=headers)
        assert nobody.status_code == 404


async def test_the_span_of_a_batch_links_to_its_messages(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, traces = InMemorySpanExporter(), Traces()
    settings = load_settings(traces_endpoint="http://127.0.0.1:9/")
    traces.start(settings, "dispatch", exporter)
    monkeypatch.setattr(dispatch, "TRACES", traces)
    (first, second) = await corrected(road)
    traces.stop()
    spans = exporter.get_finished_spans()
    linked = [link.context.trace_id for span in spans for link in span.links]
    assert linked == [first.message_id.int, second.message_id.int]
    assert {span.name for span in spans} == {"dispatch"}
    assert all((span.attributes or {})["records"] == 1 for span in spans)
    assert CANARY not in "".join(span.to_json() for span in spans)
