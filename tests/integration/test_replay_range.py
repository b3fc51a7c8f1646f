"""A range done again: what is told before is what happens, and nothing but the difference does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from ops.asking import Asker
from ops.behind_the_door import dispatcher_of
from ops.bootstrap import Hub
from ops.cli import main
from ops.dispatch import Dispatcher
from ops.parking import acting
from ops.parking.looking import Wish
from ops.replay import append_replay, append_replays
from ops.replaying import running
from ops.replaying.difference import Differences, RangeDifference, difference_as_text
from ops.replaying.looking import Looking
from ops.replaying.ranges import Range, range_of
from ops.replaying.running import Limits, abandon, begin, go_on, list_runs, rehearse_range
from ops.runtime.postgres import lent
from routing.rule_file import load_own_rules
from schemas.errors import PermanentError, TransientError
from schemas.finding import Finding, Level
from schemas.place import Place
from schemas.report import Coded, MappedMessage, Organisation
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.people import OTHER_INS, dominique, message, observation, report
from tests.support.postgres import Database

WHY = Asker(actor="on call", reason="release 1.9 maps the laboratory's codes")
NEGATIVE = Coded(code="260415000", text="Not detected", system="SCT")
UNMAPPABLE = Finding(code="service_code_missing", level=Level.ERROR, place=Place(segment="OBR"))
SOMEBODY = dominique(ins=(OTHER_INS,), birth_family="AUTRE", birth_given="CLAUDE", sex="M")


class Mapping:
    """Today's mapping, as a test says it is."""

    def __init__(self) -> None:
        self.now: dict[bytes, MappedMessage | Finding] = {}

    def __call__(self, raw: bytes, _: object) -> MappedMessage | Finding:
        return self.now[raw]


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as made:
        fast = made.settings.model_copy(update={"replay_per_second": 100_000.0})
        yield settled_as(made, fast)


def settled_as(hub: Hub, settings: Any) -> Hub:

    return msgspec.structs.replace(hub, settings=settings)


@pytest.fixture
def mapping(monkeypatch: pytest.MonkeyPatch) -> Mapping:
    made = Mapping()
    monkeypatch.setattr("ops.prepare.map_again", made)
    return made


async def sent(road: Road, mapping: Mapping, *messages: Any, partition: int = 0) -> list[bytes]:
    raws = [b"%d-%d-%d" % (partition, n, len(mapping.now)) for n in range(len(messages))]
    mapping.now |= dict(zip(raws, messages, strict=True))
    await road.put(*messages, raws=raws, partition=partition)
    await road.dispatch()
    return raws


async def whole(hub: Hub, **changes: Any) -> Range:
    now = hub.clock.now()
    given = {"laboratory": "", "stream": "", **changes}
    async with lent(hub.pool) as connection:
        return await range_of(
            hub, connection, now - timedelta(hours=1), now + timedelta(hours=1), **given
        )


def looking(hub: Hub, stream: str = "", **tried: Any) -> tuple[Looking, Differences]:
    differences = Differences(stream, "", "m")
    return Looking(hub.pool, dispatcher_of(hub, **tried), differences), differences


async def rehearsed(hub: Hub, of: Range, **tried: Any) -> RangeDifference:
    look, differences = looking(hub, of.stream, **tried)
    await rehearse_range(
        hub, look, of, Limits(per_second=1e6, page=3), most=1_000, progress=lambda _: None
    )
    return differences.finish()


async def state(road: Road) -> list[Any]:
    """Everything a rehearsal must leave as it is."""
    counts = []
    for table in ("outcome", "report_version", "emitted", "stream_event", "hold", "parked",
                  "person", "person_key", "link_event", "intake", "audit", "account_change",
                  "case_report", "review_item"):  # fmt: skip
        rows = await road.rows(
            f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"
        )
        counts.append((table, rows[0][0]))
    return counts


def elsewhere() -> MappedMessage:
    performer = Organisation(name="LABO DES LIONS", identifier="590000003", commune="13205")
    return message(None, report(performer=performer))


async def test_nothing_differs_and_nothing_is_written(hub: Hub, mapping: Mapping) -> None:
    road = Road(hub)
    await sent(road, mapping, message(), message(SOMEBODY, report(filler_order_number="F-2")))
    await sent(road, mapping, UNMAPPABLE, partition=1)
    before = await state(road)
    found = await rehearsed(hub, await whole(hub))
    assert (found.looked, found.differ, found.gone, found.failed) == (3, 0, 0, 0)
    assert not found.streams and not found.endings
    assert await state(road) == before


async def test_what_is_told_before_is_what_happens(hub: Hub, mapping: Mapping) -> None:
    road = Road(hub)
    first, second = await sent(
        road, mapping, message(), message(SOMEBODY, report(filler_order_number="F-2"))
    )
    (third,) = await sent(road, mapping, UNMAPPABLE, partition=1)
    negative = report(observations=(observation(coded=NEGATIVE, value="Not detected"),))
    mapping.now[first] = message(None, negative)
    mapping.now[third] = message(SOMEBODY, report(filler_order_number="F-3"))
    before = await state(road)
    of = await whole(hub)
    found = await rehearsed(hub, of)
    assert await state(road) == before
    assert (found.looked, found.differ) == (3, 2)
    told = {(c.stream, c.kind): c.events for c in found.streams}
    assert [(e.before, e.after, e.messages) for e in found.endings] == [
        ("parked unmappable", "dispatched", 1)
    ]
    assert "PAT-TROIS" not in difference_as_text(found)

    events = await road.rows("SELECT count(*) AS n FROM stream_event")
    await begin(hub, of, WHY)
    run = await go_on(hub, lambda stream: looking(hub, stream)[0], lambda _: None)
    assert (run.state, run.looked, run.differ, run.replayed) == ("done", 3, 2, 2)
    await road.dispatch()
    rows = await road.rows("SELECT stream, kind, count(*) AS n FROM stream_event GROUP BY 1, 2")
    assert sum(row["n"] for row in rows) - events[0]["n"] == sum(told.values())
    assert told["contact-tracing", "withdrawn"] >= 1
    assert ("dispatched", "unmappable") not in await road.endings()
    await verified(road)
    assert (await road.account()).closes
    again = await rehearsed(hub, of)
    assert again.differ == 0, "once it is done nothing differs"
    assert second in mapping.now


async def test_of_one_stream_only_what_it_would_be_told(hub: Hub, mapping: Mapping) -> None:
    road = Road(hub)
    (first,) = await sent(road, mapping, message())
    mapping.now[first] = elsewhere()
    dossier = await rehearsed(hub, await whole(hub, stream="dossier"))
    health = await rehearsed(hub, await whole(hub, stream="contact-tracing"))
    assert {c.stream for c in dossier.streams} == {"dossier"}
    assert {c.stream for c in health.streams} <= {"contact-tracing"}
    assert dossier.differ == 1


async def test_of_one_laboratory_and_of_a_time(hub: Hub, mapping: Mapping) -> None:
    road = Road(hub)
    await sent(road, mapping, message())
    async with lent(hub.pool) as connection:
        await connection.execute(
            "UPDATE outcome SET lab_id = 2, received_at = now() - interval '3 hours'"
        )
    assert (await rehearsed(hub, await whole(hub))).looked == 0
    now = hub.clock.now()
    old = Range(since=now - timedelta(hours=4), until=now - timedelta(hours=2))
    assert (await rehearsed(hub, old)).looked == 1
    with pytest.raises(PermanentError, match="no_such_laboratory"):
        await whole(hub, laboratory="NOBODY")
    with pytest.raises(PermanentError, match="no_such_stream"):
        await whole(hub, stream="letters")


async def test_other_rules_are_tried_without_being_in_effect(hub: Hub, mapping: Mapping) -> None:
    road = Road(hub)
    await sent(road, mapping, message())
    own = load_own_rules()

    fewer = msgspec.structs.replace(own, version="none-1", rules=())
    before = await state(road)
    found = await rehearsed(hub, await whole(hub), tried=fewer)
    assert {change.kind for change in found.streams} == {"withdrawn"}
    assert await state(road) == before


async def test_a_run_that_was_cut_goes_on_where_it_was(
    hub: Hub, mapping: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = Road(hub)
    raws = await sent(
        road, mapping, *(message(None, report(filler_order_number=f"F-{n}")) for n in range(6))
    )
    for raw in raws:
        held = mapping.now[raw]
        assert isinstance(held, MappedMessage)
        number = held.reports[0].filler_order_number
        negative = (observation(coded=NEGATIVE, value="Not detected"),)
        told = report(filler_order_number=number, observations=negative)
        mapping.now[raw] = message(None, told)
    slow = settled_as(hub, hub.settings.model_copy(update={"replay_batch_messages": 2}))
    await begin(slow, await whole(hub), WHY)
    with pytest.raises(PermanentError, match="one_at_a_time"):
        await begin(slow, await whole(hub), WHY)
    calls = []

    async def failing(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise TransientError("log_away", "it is tried again")
        return await append_replays(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(running, "append_replays", failing)
        with pytest.raises(TransientError):
            await go_on(slow, lambda stream: looking(slow, stream)[0], lambda _: None)
    async with lent(hub.pool) as connection:
        (cut,) = await list_runs(connection)
    assert (cut.state, cut.looked, cut.replayed, cut.left_to_look) == ("running", 2, 2, 4)
    run = await go_on(slow, lambda stream: looking(slow, stream)[0], lambda _: None)
    assert (run.state, run.looked, run.replayed, run.left_to_look) == ("done", 6, 6, 0)
    await road.dispatch()
    rows = await road.rows("SELECT count(*) AS n FROM intake WHERE kind = 3")
    assert rows[0]["n"] == 6
    await verified(road)


async def test_a_range_can_be_given_up(hub: Hub, mapping: Mapping) -> None:
    road = Road(hub)
    await sent(road, mapping, message())
    with pytest.raises(PermanentError, match="bad_reason"):
        await begin(hub, await whole(hub), Asker(actor="x"))
    await begin(hub, await whole(hub), WHY)
    async with lent(hub.pool) as connection:
        await abandon(connection, WHY, hub.clock.now())
        with pytest.raises(PermanentError, match="nothing_runs"):
            await abandon(connection, WHY, hub.clock.now())
    actions = [row["action"] for row in await road.rows("SELECT action FROM audit")]
    assert actions == ["replay_range", "replay_range_abandoned"]


async def test_what_was_discarded_has_its_end(hub: Hub, mapping: Mapping) -> None:
    road = Road(hub)
    (raw,) = await sent(road, mapping, UNMAPPABLE)
    await acting.discard(hub, Wish(reason="unmappable"), WHY, dry_run=False)
    mapping.now[raw] = message()
    assert (await rehearsed(hub, await whole(hub))).looked == 0


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["ID", "--resume"],
        ["--from", "2026-11-01"],
        ["--from", "2026-11-01", "--to", "2026-11-02", "--rules", "x", "--reason", "y"],
        ["--list", "--abandon"],
    ],
)
def test_what_the_command_does_not_take(given: list[str]) -> None:
    assert CliRunner().invoke(main, ["replay", *given]).exit_code == 2


def numbered(**changes: Any) -> MappedMessage:
    return message(None, report(**changes))


async def health(road: Road) -> list[Any]:
    return await road.rows("SELECT stream, kind, seq FROM stream_event ORDER BY stream, seq")


async def test_a_duplicate_is_not_done_again_over_what_came_between(
    hub: Hub, mapping: Mapping
) -> None:
    road = Road(hub)
    negative = numbered(observations=(observation(coded=NEGATIVE, value="Not detected"),))
    mapping.now |= {b"positive": numbered(), b"negative": negative}
    await road.put(
        numbered(), negative, numbered(), raws=[b"positive", b"negative", b"positive"]
    )  # fmt: skip
    with pytest.raises(PermanentError, match="in_flight"):
        await append_replay(hub, partition=0, offset=2, reason="r", actor="a")
    await road.dispatch()
    assert [ending for ending, _ in await road.endings()] == [
        "dispatched", "dispatched", "duplicate",
    ]  # fmt: skip
    before = await health(road)
    found = await rehearsed(hub, await whole(hub))
    assert (found.looked, found.differ) == (2, 0)
    with pytest.raises(PermanentError, match="duplicate") as refused:
        await append_replay(hub, partition=0, offset=2, reason="r", actor="a")
    (original,) = await road.rows('SELECT message_id FROM outcome WHERE "offset" = 0')
    assert str(original["message_id"]) in str(refused.value)
    await road.put_replay(2)  # of a release that did not refuse it
    await road.dispatch()
    assert await health(road) == before
    assert (await road.endings())[2] == ("duplicate", "same_message")
    assert (await road.account()).closes


async def test_a_duplicate_without_a_number_stays_one_report(hub: Hub, mapping: Mapping) -> None:
    road = Road(hub)
    alone = numbered(filler_order_number="", placer_order_number="")
    mapping.now[b"alone"] = alone
    await road.put(alone, alone, raws=[b"alone", b"alone"])
    await road.dispatch()
    await road.put_replay(1)
    await road.dispatch()
    (reports,) = await road.rows("SELECT count(*) AS n FROM report")
    assert reports["n"] == 1
    assert (await rehearsed(hub, await whole(hub))).looked == 1


async def test_a_collision_with_the_live_line_does_not_end_a_run(
    hub: Hub, mapping: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = Road(hub)
    (raw,) = await sent(road, mapping, UNMAPPABLE)
    mapping.now[raw] = message()
    monkeypatch.setattr("ops.replaying.looking._FIRST_WAIT_SECONDS", 0.001)
    collisions = 0
    once = Dispatcher.rehearse

    async def colliding(self: Dispatcher, originals: Any) -> Any:
        nonlocal collisions
        if collisions < 3:
            collisions += 1
            raise TransientError("deadlock", "it is tried again")
        return await once(self, originals)

    monkeypatch.setattr(Dispatcher, "rehearse", colliding)
    await begin(hub, await whole(hub), WHY)
    run = await go_on(hub, lambda stream: looking(hub, stream)[0], lambda _: None)
    assert (run.state, run.looked, run.differ, run.replayed) == ("done", 1, 1, 1)

    async def away(self: Dispatcher, originals: Any) -> Any:
        raise TransientError("database_away", "it is tried again")

    monkeypatch.setattr(Dispatcher, "rehearse", away)
    await begin(hub, await whole(hub), WHY)
    with pytest.raises(TransientError, match="database_away"):
        await go_on(hub, lambda stream: looking(hub, stream)[0], lambda _: None)
