"""Sets of rules: in effect from a time on, standing on each event, tried before they are loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from litestar import Litestar

from ops.bootstrap import Hub
from ops.register.access import Gate
from ops.ruling.commands import difference, explain_held
from ops.ruling.differing import difference_as_text
from ops.ruling.explained import as_text
from ops.ruling.loading import (
    SHIPPED_BY,
    Effect,
    Loaded,
    Order,
    effects,
    put_into_effect,
    source_of,
    take_shipped,
)
from ops.ruling.routes import rule_routes
from ops.tokens import OPERATOR
from routing.rule_file import load_own_rules, load_rules, own_source
from schemas.errors import FatalError, PermanentError
from schemas.report import Coded, LabReport, ResultStatus
from schemas.topics import Stream
from tests.support.hub import Road, scratch_hub
from tests.support.people import dominique, message, observation, report
from tests.support.postgres import Database

SHIPPED = load_own_rules().version
CANARY = "PAT-TROIS"
TRACING, PUBLIC = Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH


class Hands:
    """A clock that is moved by hand."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(msgspec.structs.replace(hub, clock=Hands(hub.clock.now())))


def other(version: str, **changes: Any) -> bytes:
    """Our own rules, with another version and other rules for tracing."""
    rules = msgspec.json.decode(own_source())
    rules["version"] = version
    for rule in rules["rules"]:
        if rule["stream"] == "contact-tracing":
            rule.update(changes)
    return msgspec.json.encode(rules)


def without_tracing(version: str) -> bytes:
    rules = msgspec.json.decode(own_source())
    rules["version"] = version
    rules["rules"] = [r for r in rules["rules"] if r["stream"] != "contact-tracing"]
    return msgspec.json.encode(rules)


async def load(road: Road, source: bytes, *, ahead: int = 0, actor: str = "a.martin") -> Loaded:
    now = road.hub.clock.now()
    order = Order(actor=actor, why="a test", now=now)
    async with road.hub.pool.acquire() as connection, connection.transaction():
        return await put_into_effect(connection, source, order, now + timedelta(seconds=ahead))


def pass_time(road: Road, seconds: int) -> None:
    clock: Any = road.hub.clock
    clock.at += timedelta(seconds=seconds)


async def send(road: Road, *reports: LabReport, partition: int = 0, **about: Any) -> None:
    await road.put(message(dominique(**about), *reports), partition=partition)
    await road.dispatch()


async def states(road: Road) -> list[tuple[str, str]]:
    async with road.hub.pool.acquire() as connection:
        return [(e.version, e.state) for e in await effects(connection, road.hub.clock.now())]


def corrected() -> LabReport:
    again = observation(status=ResultStatus.CORRECTED)
    return report(status=ResultStatus.CORRECTED, observations=(again,))


async def test_a_set_counts_from_its_time_on_and_stands_on_its_events(road: Road) -> None:
    await send(road)
    assert await load(road, without_tracing("t-1"), ahead=60) == Loaded(
        version="t-1",
        effective_at=road.hub.clock.now() + timedelta(seconds=60),
        before="",
        is_new=True,
    )
    await send(road, report(filler_order_number="F-2", collected_at="2026-08-01T09:00:00+01:00"))
    events = await road.events(TRACING)
    assert [(e["kind"], e["rule_version"]) for e in events] == [("published", SHIPPED)] * 2
    pass_time(road, 60)
    await send(road, corrected())
    (gone,) = (await road.events(TRACING))[2:]
    assert (gone["kind"], gone["rule_version"], gone["rule"]) == ("withdrawn", "t-1", "none")
    revised = (await road.events(PUBLIC))[-1]
    assert (revised["kind"], revised["rule_version"]) == ("revised", "t-1")
    assert await states(road) == [("t-1", "in effect")]


async def test_a_set_alone_sends_no_event_and_changes_nothing_that_was_sent(road: Road) -> None:
    (offset,) = await road.put(message())
    await road.dispatch()
    before = {stream: await road.events(stream) for stream in Stream}
    await load(road, other("t-1"))
    await road.put_replay(offset)
    await road.dispatch()
    assert {stream: await road.events(stream) for stream in Stream} == before


async def test_a_set_is_taken_back_by_the_one_before(road: Road) -> None:
    await load(road, other("t-1"))
    await load(road, without_tracing("t-2"), ahead=60)
    assert (await load(road, other("t-1"), ahead=60)).before == "t-2"
    assert await states(road) == [
        ("t-1", "to come"),
        ("t-2", "replaced"),
        ("t-1", "in effect"),
    ]
    pass_time(road, 60)
    await send(road)
    assert len(await road.events(TRACING)) == 1
    assert not (await load(road, other("t-1"))).is_new, "it is in effect already"


@pytest.mark.parametrize(
    ("source", "ahead", "actor", "reason"),
    [
        (other("t-1", must=[]), 0, "a.martin", "rules_invalid"),
        (b"{", 0, "a.martin", "rules_invalid"),
        (other("t-1"), -1, "a.martin", "bad_from"),
        (other("t-1"), 400 * 86_400, "a.martin", "bad_from"),
        (other("t-1"), 0, " ", "bad_actor"),
        (other("t-0", why="Other words."), 0, "a.martin", "rules_version_taken"),
    ],
)
async def test_what_does_not_load_leaves_the_old_rules(
    road: Road, source: bytes, ahead: int, actor: str, reason: str
) -> None:
    await load(road, other("t-0"))
    with pytest.raises((FatalError, PermanentError)) as refused:
        await load(road, source, ahead=ahead, actor=actor)
    assert refused.value.reason == reason
    assert await states(road) == [("t-0", "in effect")]
    assert len(await road.rows("SELECT 1 FROM rule_set")) == 1
    await send(road)
    assert {e["rule_version"] for e in await road.events(PUBLIC)} == {"t-0"}


async def test_each_load_is_audited_and_no_row_ever_changes(road: Road) -> None:
    await load(road, other("t-1"))
    (row,) = await road.rows("SELECT actor, action, subject, reason FROM audit")
    assert (row["actor"], row["action"], row["subject"]) == ("a.martin", "rules", "set t-1")
    assert row["reason"].endswith(": a test")
    for change in (
        "UPDATE rule_set SET source = ''",
        "DELETE FROM rule_effect",
        "UPDATE rule_effect SET effective_at = now()",
    ):
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await road.rows(change)


async def test_the_release_brings_its_rules_but_never_over_what_a_person_chose(
    road: Road,
) -> None:
    """An instance of before this release has no rows: the shipped set is in effect all the same."""
    await send(road)
    assert {e["rule_version"] for e in await road.events(PUBLIC)} == {SHIPPED}

    async def start() -> Loaded | None:
        async with road.hub.pool.acquire() as connection, connection.transaction():
            return await take_shipped(connection, road.hub.clock.now())

    first = await start()
    assert first is not None and first.version == SHIPPED
    assert await start() is None
    pass_time(road, 1)
    await load(road, other("t-1"))
    pass_time(road, 1)
    assert await start() is None
    assert await states(road) == [("t-1", "in effect"), (SHIPPED, "past")]
    (row, _) = await road.rows("SELECT actor FROM rule_effect ORDER BY rule_effect_id")
    assert row["actor"] == SHIPPED_BY


async def test_the_release_does_not_start_with_other_rules_under_a_version_that_is_kept(
    road: Road,
) -> None:
    await road.rows(
        "INSERT INTO rule_set (version, source, actor, why) VALUES ($1, '{}', 'labdispatch', 'x')",
        SHIPPED,
    )
    async with road.hub.pool.acquire() as connection, connection.transaction():
        with pytest.raises(FatalError, match="rules_version_taken"):
            await take_shipped(connection, road.hub.clock.now())


async def test_a_set_that_this_release_cannot_read_stops_dispatch_before_it_guesses(
    road: Road,
) -> None:
    await road.rows(
        "INSERT INTO rule_set (version, source, actor, why) VALUES ('t-9', '{}', 'later', 'x')"
    )
    await road.rows(
        "INSERT INTO rule_effect (version, effective_at, actor, why)"
        " VALUES ('t-9', $1, 'later', 'x')",
        road.hub.clock.now(),
    )
    await road.put(message())
    with pytest.raises(FatalError, match="rules_invalid"):
        await road.dispatch()
    assert await road.endings() == []
    await load(road, other("t-1"))
    assert await road.dispatch() == 1


async def test_rules_may_look_at_laboratory_place_and_age(road: Road) -> None:
    positive = {"status": "F", "findings": [["sars-cov-2", "rna", "positive"]]}
    narrow = {
        "laboratories": ["LAB2"],
        "departments": ["63"],
        "ages": [40, 59],
        "conditions": ["sars-cov-2"],
        "kinds": ["rna"],
        "must": [positive | {"laboratory": "LAB2", "department": "63", "age": 47}],
        "must_not": [positive],
    }
    await load(road, other("t-1", **narrow))
    await send(road, partition=0)
    assert await road.events(TRACING) == [], "of another laboratory"
    elder = report(filler_order_number="F-2", collected_at="2026-10-01T09:00:00+01:00")
    await send(road, elder, partition=1)
    (event,) = await road.events(TRACING)
    assert event["body"]["sampled_at"] == "2026-10-01T09:00:00+01:00"
    child = report(filler_order_number="F-3", collected_at="2018-10-01T09:00:00+01:00")
    await send(road, child, partition=1)
    assert len(await road.events(TRACING)) == 1, "39 years old then"


# ---------------------------------------------------------------- looking back


FLU = Coded(code="92142-9", text="Influenza A RNA", system="LN")


async def differ(road: Road, source: bytes, since: timedelta, until: timedelta) -> Any:
    now = road.hub.clock.now()
    async with road.hub.pool.acquire() as connection:
        return await difference(road.hub, connection, load_rules(source), now + since, now + until)


HOUR = timedelta(hours=1)


async def test_what_other_rules_would_do_with_past_reports_is_counted(road: Road) -> None:
    await send(road)
    await send(road, corrected())
    await send(
        road,
        report(filler_order_number="F-2", observations=(observation(code=FLU),), code=FLU),
        partition=1,
        ins=(),
        birth_family="AUTRE",
    )
    before = await road.rows("SELECT count(*) AS n FROM stream_event")
    found = await differ(road, without_tracing("t-1"), -HOUR, HOUR)
    assert (found.before, found.after, found.reports, found.moved) == (SHIPPED, "t-1", 2, 2)
    told = {(c.stream, c.before.condition, c.after.state, c.reports) for c in found.changes}
    assert {each[2:] for each in told} == {("no", 1)}
    assert {each[0] for each in told} == {TRACING}
    ids = {row["report_id"] for row in await road.rows("SELECT report_id FROM report")}
    assert {i for change in found.changes for i in change.some} == ids
    assert await road.rows("SELECT count(*) AS n FROM stream_event") == before
    text = difference_as_text(found)
    assert "2 would go elsewhere" in text and CANARY not in text


async def test_the_same_rules_move_nothing(road: Road) -> None:
    await send(road)
    found = await differ(road, other("t-1"), -HOUR, HOUR)
    assert (found.reports, found.moved, found.changes) == (1, 0, [])
    renamed = await differ(road, renamed_tracing("t-2"), -HOUR, HOUR)
    assert renamed.moved == 0
    assert [change.moves for change in renamed.changes] == [False]


def renamed_tracing(version: str) -> bytes:
    return other(version).replace(b"tracing-direct-detection", b"tracing-by-another-name")


async def test_only_reports_of_the_asked_time_are_looked_at(road: Road) -> None:
    for number in range(7):
        day = f"2026-11-{number + 10}T09:00:00+01:00"
        await send(road, report(filler_order_number=f"F-{number}", collected_at=day))
        pass_time(road, 3_600)
    for since, until, reports in (
        (-8 * HOUR, HOUR, 7),
        (-3 * HOUR, HOUR, 3),
        (-3 * HOUR, -HOUR, 2),
        (-HOUR / 2, HOUR, 0),
    ):
        for page in (1, 3, 200):
            found = await differ(paged(road, page), other("t-1"), since, until)
            assert found.reports == reports, (since, until, page)


async def test_what_waits_for_a_doubt_would_go_where_no_rule_waits_for_it(road: Road) -> None:
    await send(road, report(collected_at="1970-01-01T09:00:00+01:00"))
    rules = msgspec.json.decode(own_source())
    rules["version"] = "t-1"
    for rule in rules["rules"]:
        if rule["stream"] == "dossier":
            rule["holds_on"] = []
            rule["must_not"] = [each for each in rule["must_not"] if not each.get("doubts")]
    found = await differ(road, msgspec.json.encode(rules), -HOUR, HOUR)
    (change,) = found.changes
    assert (change.stream, change.before.state, change.before.what, change.after.state) == (
        Stream.DOSSIER,
        "hold",
        "birth_date_after_sampling",
        "due",
    )
    assert change.moves and change.reports == 1
    text = difference_as_text(found)
    assert "waits for birth_date_after_sampling by dossier-every-report -> due as dossier" in text


async def test_a_report_is_looked_at_where_its_current_version_came(road: Road) -> None:
    await send(road)
    pass_time(road, 7_200)
    await send(road, corrected())
    for since, until, reports in ((-3 * HOUR, HOUR, 1), (-3 * HOUR, -HOUR, 0), (-HOUR, HOUR, 1)):
        found = await differ(paged(road, 1), other("t-1"), since, until)
        assert found.reports == reports


def paged(road: Road, page: int) -> Road:
    settings = road.hub.settings.model_copy(update={"steward_page": page})
    return Road(msgspec.structs.replace(road.hub, settings=settings), road.dispatcher)


async def test_a_message_is_explained_as_it_stands_without_a_name(road: Road) -> None:
    await send(road, ins=(), identity_status="PROV")
    async with road.hub.pool.acquire() as connection:
        (told,) = await explain_held(road.hub, connection, "C-1")
        (tried,) = await explain_held(
            road.hub, connection, "C-1", load_rules(without_tracing("t-1"))
        )
        assert await explain_held(road.hub, connection, "C-2") == []
        (one,) = told.reports
        (same,) = await explain_held(road.hub, connection, str(one.report_id))
        assert same.reports == told.reports
    by_stream = {each.stream: each for each in one.streams}
    assert by_stream[Stream.DOSSIER].hold == "identity_not_qualified"
    assert by_stream[TRACING].due and by_stream[PUBLIC].due
    assert {(h.stream, h.kind, h.rule_version) for h in one.held} == {
        (TRACING, "published", SHIPPED),
        (PUBLIC, "published", SHIPPED),
    }
    assert not {each.stream: each for each in tried.reports[0].streams}[TRACING].due
    shown = as_text([told]) + msgspec.json.encode(told).decode()
    assert "WAITS for identity_not_qualified" in shown
    for value in (CANARY, "DOMINIQUE", "1979", "63113", "0639980001", "279035121518989"):
        assert value not in shown


async def test_sets_are_read_over_http_by_the_operator(road: Road) -> None:
    await load(road, other("t-1"))
    hub: Hub = road.hub
    gate = Gate(tokens={OPERATOR: "let-me-in"})
    app = Litestar(route_handlers=rule_routes(hub.pool, hub.clock, gate))
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        assert (await http.get("/v1/routing/rules")).status_code == 401
        mine = {"Authorization": "Bearer let-me-in"}
        listed = await http.get("/v1/routing/rules", headers=mine)
        (effect,) = msgspec.json.decode(listed.content, type=list[Effect])
        assert (effect.version, effect.state) == ("t-1", "in effect")
        assert (await http.get("/v1/routing/rules/t-1", headers=mine)).content == other("t-1")
        assert (await http.get("/v1/routing/rules/t-2", headers=mine)).status_code == 404


async def test_the_file_of_a_set_comes_back_as_it_was_loaded(road: Road) -> None:
    async with road.hub.pool.acquire() as connection:
        now = road.hub.clock.now()
        assert await source_of(connection, "", now) == own_source()
        source = b" " + other("t-1") + b"\n"
        await load(road, source)
        assert await source_of(connection, "", now) == source
        with pytest.raises(PermanentError, match="rules_unknown"):
            await source_of(connection, "t-7", now)
