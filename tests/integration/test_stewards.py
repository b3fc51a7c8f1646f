"""Merge, unmerge, verdicts, oppositions: every stream follows, and every step can be taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dedup.model import load_model
from dedup.review import PairVerdict
from ops.behind_the_door import dispatcher_of
from ops.stewards import queries
from ops.stewards.acts import Stewards
from ops.stewards.as_of import last_before
from ops.stewards.explaining import as_text, explain
from ops.stewards.reemitting import NOTHING_YET
from ops.stewards.what_if import what_if
from schemas.errors import PermanentError
from schemas.patient import Traits
from schemas.report import ResultStatus
from schemas.topics import Stream
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.identity import (
    SECOND,
    STEWARD,
    identity_state,
    person_of_offset,
    stream_fold,
)
from tests.support.people import OTHER_INS, dominique, message, report
from tests.support.postgres import Database


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def stewards(road: Road) -> Stewards:
    return road.dispatcher.stewards


def with_ins(**changes: Any) -> Traits:
    return dominique(**changes)


def without_ins(**changes: Any) -> Traits:
    """The same human being under a name that no machine would join, validated, without an INS."""
    return dominique(
        **{
            "ins": (),
            "birth_family": "DURAND",
            "birth_given": "CAMILLE",
            "birth_givens": ("CAMILLE",),
            "birth_date": "1981-11-02",
            "birth_place": "75112",
            "phones": (),
            **changes,
        }
    )


async def two_persons(road: Road) -> tuple[int, int]:
    """One with an INS and a report in the dossier, one without; two positives in public health."""
    offsets = await road.put(
        message(with_ins(), report(filler_order_number="F-1")),
        message(without_ins(), report(filler_order_number="F-2")),
    )
    await road.dispatch()
    first = await person_of_offset(road, offsets[0])
    second = await person_of_offset(road, offsets[1])
    assert first != second
    return first, second


async def pseudonyms(road: Road) -> set[str]:
    fold = await stream_fold(road)
    rows = fold["public-health"].values()
    return {body["pseudonym"] for body in rows if body["record"] == "result"}


async def test_a_merge_reaches_every_stream_that_saw_the_old_identity(road: Road) -> None:
    first, second = await two_persons(road)
    assert len(await pseudonyms(road)) == 2
    done = await stewards(road).merge(first, second, STEWARD)
    assert (done.act, done.persons, done.reports) == ("merge", (first,), 2)
    assert len(await pseudonyms(road)) == 1
    assert len((await stream_fold(road))["dossier"]) == 2
    reasons = {event["reason"] for event in await road.events(Stream.PUBLIC_HEALTH)}
    assert reasons == {"new", "identity_changed"}
    assert (await road.account()).closes
    rows = await road.rows("SELECT person_id FROM report")
    assert {row["person_id"] for row in rows} == {first}


async def test_a_merge_and_its_undoing_leave_the_state_before(road: Road) -> None:
    first, second = await two_persons(road)
    before = await identity_state(road)
    done = await stewards(road).merge(first, second, STEWARD)
    assert await identity_state(road) != before
    undone = await stewards(road).undo(done.event, STEWARD)
    assert undone.persons == (first, second)
    assert await identity_state(road) == before
    assert await road.rows("SELECT verdict FROM pair_verdict") == []
    again = await stewards(road).undo(undone.event, STEWARD)
    assert again.persons == (first,)
    assert len(await pseudonyms(road)) == 1
    await stewards(road).undo(again.event, STEWARD)
    assert await identity_state(road) == before


async def test_on_the_cluster_reports_are_read_back_from_our_own_copy(
    database: Database, tmp_path: Path
) -> None:
    async with scratch_hub(database, tmp_path, engine="cluster") as hub:
        road = Road(hub)
        first, second = await two_persons(road)
        await road.rows("DELETE FROM intake RETURNING 1")  # the topic forgets
        before = await identity_state(road)
        done = await stewards(road).merge(first, second, STEWARD)
        assert (done.reports, done.unreadable) == (2, 0)
        assert len(await pseudonyms(road)) == 1
        await stewards(road).undo(done.event, STEWARD)
        assert await identity_state(road) == before


async def test_what_comes_during_a_merge_goes_to_whom_its_traits_say(road: Road) -> None:
    first, second = await two_persons(road)
    done = await stewards(road).merge(first, second, STEWARD)
    offsets = await road.put(
        message(with_ins(), report(filler_order_number="F-3")),
        message(without_ins(), report(filler_order_number="F-4")),
        message(without_ins(), report(filler_order_number="F-2", status=ResultStatus.CORRECTED)),
        message(
            without_ins(birth_family="DURANT"),
            report(filler_order_number="F-5"),
        ),
    )
    await road.dispatch()
    during = [await person_of_offset(road, offset) for offset in offsets]
    assert during == [first] * 4
    await stewards(road).undo(done.event, STEWARD)
    after = [await person_of_offset(road, offset) for offset in offsets]
    assert after == [first, second, second, second]
    dossier = (await stream_fold(road))["dossier"]
    assert len(dossier) == 2  # F-1 and F-3: of the person with an INS alone
    assert len(await pseudonyms(road)) >= 2
    told = await road.rows("SELECT person_id FROM link_event WHERE rule = 'unmerge'")
    assert [row["person_id"] for row in told] == [second, second, second]
    # Whoever comes next with either's traits finds the right one.
    late = await road.put(message(without_ins(), report(filler_order_number="F-9")))
    await road.dispatch()
    assert await person_of_offset(road, late[0]) == second


async def test_an_ins_that_came_during_a_merge_parts_with_its_record(road: Road) -> None:
    # As the digits of the number say: a card that contradicts its own record comes to nobody.
    holder = {"birth_date": "1979-03-15", "birth_place": "63220"}
    orders = [
        message(dominique(ins=()), report(filler_order_number="F-1")),
        message(without_ins(**holder), report(filler_order_number="F-2")),
    ]
    offsets = await road.put(*orders)
    await road.dispatch()
    first, second = [await person_of_offset(road, offset) for offset in offsets]
    before = await identity_state(road)
    done = await stewards(road).merge(first, second, STEWARD)
    card = without_ins(ins=(OTHER_INS,), **holder)
    late = await road.put(message(card, report(filler_order_number="F-3")))
    await road.dispatch()
    await drain(road)
    assert await person_of_offset(road, late[0]) == first
    assert len((await stream_fold(road))["dossier"]) == 2  # F-3, and F-2 of the same traits
    await stewards(road).undo(done.event, STEWARD)
    await drain(road)
    assert await person_of_offset(road, late[0]) == second
    held = await road.rows("SELECT person_id FROM person_ins")
    assert [row["person_id"] for row in held] == [second]
    assert len((await stream_fold(road))["dossier"]) == 2
    after = await identity_state(road)
    assert [k for k in after["keys"] if k.startswith(f"({first},")] == [
        k for k in before["keys"] if k.startswith(f"({first},")
    ]


async def test_traits_that_came_since_a_merge_open_no_dossier(road: Road) -> None:
    """They are linked by likeness alone: emitting again must not make of it what nobody said."""
    offsets = await road.put(
        message(without_ins(), report(filler_order_number="F-1")),
        message(with_ins(), report(filler_order_number="F-2")),
    )
    await road.dispatch()
    one, other = [await person_of_offset(road, offset) for offset in offsets]
    await stewards(road).merge(one, other, STEWARD)
    slip = without_ins(birth_place="75111")
    (offset,) = await road.put(message(slip, report(filler_order_number="F-3")))
    await road.dispatch()
    assert await person_of_offset(road, offset) == min(one, other)
    held = await road.rows("SELECT report_id, reason FROM hold WHERE stream = 'dossier'")
    assert [row["reason"] for row in held] == ["identity_not_qualified"]
    await verified(road)
    assert (await stewards(road).reemit(one, STEWARD)).stream_events == 0
    assert len(await road.rows("SELECT 1 FROM hold WHERE stream = 'dossier'")) == 1


async def drain(road: Road) -> None:
    while await stewards(road).reemit_due():
        pass


async def test_merges_of_merges_part_in_any_order(road: Road) -> None:
    people = [
        without_ins(birth_given=name, birth_givens=(name,), birth_date=f"19{50 + n}-03-0{n + 1}")
        for n, name in enumerate(("ALPHA", "BRAVO", "CHARLIE", "DELTA"))
    ]
    offsets = await road.put(
        *(message(who, report(filler_order_number=f"F-{n}")) for n, who in enumerate(people))
    )
    await road.dispatch()
    a, b, c, d = [await person_of_offset(road, offset) for offset in offsets]
    states = [await identity_state(road)]
    one = await stewards(road).merge(a, b, STEWARD)
    two = await stewards(road).merge(c, d, STEWARD)
    three = await stewards(road).merge(b, d, STEWARD)
    assert three.persons == (a,)
    # Somebody's report while all four are one, then the lowest merge is undone first.
    late = await road.put(message(people[1], report(filler_order_number="F-9")))
    await road.dispatch()
    assert await person_of_offset(road, late[0]) == a
    await stewards(road).undo(one.event, STEWARD)
    assert await person_of_offset(road, late[0]) == b
    await stewards(road).undo(three.event, STEWARD)
    await stewards(road).undo(two.event, STEWARD)
    found = [await person_of_offset(road, offset) for offset in offsets]
    assert found == [a, b, c, d]
    after = await identity_state(road)
    for name in ("persons", "ins", "aliases", "keys", "oppositions"):
        assert after[name] == states[0][name]


async def test_a_verdict_merges_parts_and_is_final_for_the_pair(road: Road) -> None:
    first, second = await two_persons(road)
    noted = await stewards(road).say(first, second, PairVerdict.DIFFERENT, STEWARD)
    assert noted.act == "verdict"
    joined = await stewards(road).say(second, first, PairVerdict.SAME, STEWARD)
    assert joined.act == "merge"
    parted = await stewards(road).say(first, second, PairVerdict.DIFFERENT, STEWARD)
    assert parted.act == "unmerge"
    (row,) = await road.rows("SELECT person_id, other_person_id, verdict FROM pair_verdict")
    assert tuple(row.values()) == (first, second, "different")
    await stewards(road).undo(parted.event, STEWARD)
    (row,) = await road.rows("SELECT verdict FROM pair_verdict")
    assert row["verdict"] == "same"


async def test_two_who_differ_are_not_joined_through_a_third(road: Road) -> None:
    first, second = await two_persons(road)
    third = without_ins(birth_given="SACHA", birth_date="1990-01-05", birth_givens=("SACHA",))
    offsets = await road.put(message(third, report(filler_order_number="F-3")))
    await road.dispatch()
    other = await person_of_offset(road, offsets[0])
    await stewards(road).say(first, second, PairVerdict.DIFFERENT, STEWARD)
    await stewards(road).merge(first, other, STEWARD)
    with pytest.raises(PermanentError, match="verdicts_contradict"):
        await stewards(road).merge(other, second, STEWARD)


async def test_four_eyes_ask_for_another_steward(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABDISPATCH_REVIEW_FOUR_EYES", "true")
    async with scratch_hub(database, tmp_path) as hub:
        road = Road(hub)
        first, second = await two_persons(road)
        assert (await stewards(road).merge(first, second, STEWARD)).act == "proposed"
        assert (await stewards(road).merge(first, second, STEWARD)).act == "proposed"
        assert len(await pseudonyms(road)) == 2
        assert (await stewards(road).merge(first, second, SECOND)).act == "merge"
        assert len(await pseudonyms(road)) == 1


async def test_an_opposition_empties_the_dossier_and_nothing_else(road: Road) -> None:
    first, second = await two_persons(road)
    before = await identity_state(road)
    done = await stewards(road).oppose(first, STEWARD)
    fold = await stream_fold(road)
    assert fold["dossier"] == {}
    assert len(fold["public-health"]) == 2
    assert (await road.events(Stream.DOSSIER))[-1]["reason"] == "opposition"
    await road.put(message(with_ins(), report(filler_order_number="F-3")))
    await road.dispatch()
    assert (await stream_fold(road))["dossier"] == {}
    # It holds for whoever the person becomes one with, and parts with it.
    joined = await stewards(road).merge(first, second, STEWARD)
    assert (await stream_fold(road))["dossier"] == {}
    await stewards(road).undo(joined.event, STEWARD)
    await stewards(road).undo(done.event, STEWARD)
    fold = await stream_fold(road)
    assert len(fold["dossier"]) == 2
    after = await identity_state(road)
    assert after["oppositions"] == before["oppositions"]
    with pytest.raises(PermanentError, match="not_standing"):
        await stewards(road).undo(done.event, STEWARD)


async def test_an_opposition_that_was_ended_comes_back_with_whom_it_was_of(road: Road) -> None:
    first, second = await two_persons(road)
    await stewards(road).oppose(second, STEWARD)
    joined = await stewards(road).merge(first, second, STEWARD)
    ended = await stewards(road).allow(first, STEWARD)
    assert len((await stream_fold(road))["dossier"]) == 2
    await stewards(road).undo(ended.event, STEWARD)
    assert (await stream_fold(road))["dossier"] == {}
    await stewards(road).undo(joined.event, STEWARD)
    (row,) = await road.rows("SELECT person_id, standing_id FROM opposition WHERE ended_at IS NULL")
    assert tuple(row.values()) == (second, second)
    assert len((await stream_fold(road))["dossier"]) == 1


async def test_reports_that_waited_for_an_ins_go_once_it_is_there(road: Road) -> None:
    await road.put(message(dominique(ins=()), report(filler_order_number="F-1")))
    await road.dispatch()
    assert len(await road.rows("SELECT 1 FROM hold")) == 1
    await road.put(message(dominique(), report(filler_order_number="F-2")))
    await road.dispatch()
    assert len((await stream_fold(road))["dossier"]) == 1
    await drain(road)
    assert len((await stream_fold(road))["dossier"]) == 2
    assert await road.rows("SELECT 1 FROM hold") == []
    assert await road.rows("SELECT 1 FROM reemission") == []


@pytest.mark.parametrize("most_held", [100, 1], ids=["together", "too many to hold at once"])
async def test_all_that_is_due_is_emitted_again_in_one_transaction_or_one_by_one(
    road: Road, most_held: int
) -> None:
    first, second = await two_persons(road)
    await road.rows(
        "INSERT INTO reemission (person_id, reason, after_report, since) VALUES"
        " ($1, 'ins_gained', $3, now()), ($2, 'ins_gained', $3, now()) RETURNING 1",
        first,
        second,
        NOTHING_YET,
    )
    stewards(road).script.most_persons = most_held
    before = await road.rows("SELECT person_id, version FROM person ORDER BY person_id")
    done = await stewards(road).reemit_due()
    left = await road.rows("SELECT person_id FROM reemission")
    assert (done, len(left)) == ((2, 0) if most_held > 1 else (stewards(road).most_due, 1))
    await drain(road)
    after = await road.rows("SELECT person_id, version FROM person ORDER BY person_id")
    assert [row["version"] for row in after] == [row["version"] + 1 for row in before]
    assert await road.rows("SELECT 1 FROM reemission") == []
    await verified(road)


async def test_who_cannot_be_emitted_again_waits_for_an_hour_and_holds_nobody_up(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = set(await two_persons(road))
    third = without_ins(birth_given="ALPHA", birth_givens=("ALPHA",), birth_date="1950-03-01")
    (offset,) = await road.put(message(third, report(filler_order_number="F-3")))
    await road.dispatch()
    whole = await person_of_offset(road, offset)
    script, tries = stewards(road).script, []
    reemit = script.reemit

    async def sometimes(act: Any, ends: set[int], **how: Any) -> Any:
        tries.append(ends)
        if ends & broken:
            raise PermanentError("too_many_persons", "this test says so")
        return await reemit(act, ends, **how)

    monkeypatch.setattr(script, "reemit", sometimes)

    async def due_again() -> None:
        async with road.hub.pool.acquire() as connection:
            at, persons = road.hub.clock.now(), sorted({*broken, whole})
            await connection.execute(queries.REMAINS, persons, "ins_gained", NOTHING_YET, at)

    await due_again()
    told = [await stewards(road).reemit_due() for _ in range(8)]
    assert sum(told) == 1, "one was done, and of the others none is to be tried at once"
    assert len(tries) == 5, "all, one alone; the other two, the next alone; the whole one"
    left = await road.rows("SELECT person_id, since FROM reemission")
    assert {row["person_id"] for row in left} == broken and whole not in broken
    later = road.hub.clock.now() + timedelta(minutes=30)
    assert all(row["since"] > later for row in left)

    await due_again()  # there is a new cause, which may have mended the old one
    monkeypatch.undo()
    await drain(road)
    assert await road.rows("SELECT 1 FROM reemission") == []
    await verified(road)


async def test_more_reports_than_one_transaction_takes_are_gone_on_with(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABDISPATCH_STEWARD_REPORTS", "3")
    monkeypatch.setenv("LABDISPATCH_STEWARD_PAGE", "2")
    async with scratch_hub(database, tmp_path) as hub:
        road = Road(hub)
        first, second = await two_persons(road)
        await road.put(
            *(message(without_ins(), report(filler_order_number=f"X-{n}")) for n in range(8))
        )
        await road.dispatch()
        done = await stewards(road).merge(first, second, STEWARD)
        assert (done.reports, done.remaining) == (3, True)
        await drain(road)
        assert len(await pseudonyms(road)) == 1
        assert len((await stream_fold(road))["dossier"]) == 10


async def test_what_can_be_read_no_more_moves_and_leaves_a_wrong_dossier(road: Road) -> None:
    first, second = await two_persons(road)
    done = await stewards(road).merge(first, second, STEWARD)
    assert len((await stream_fold(road))["dossier"]) == 2
    await road.rows('DELETE FROM intake WHERE "offset" = 1 AND partition = 0')
    undone = await stewards(road).undo(done.event, STEWARD)
    assert undone.unreadable == 1
    assert len((await stream_fold(road))["dossier"]) == 1


async def test_what_a_steward_does_is_in_the_audit_chain_without_a_value(road: Road) -> None:
    first, second = await two_persons(road)
    done = await stewards(road).merge(first, second, STEWARD)
    await stewards(road).undo(done.event, SECOND)
    rows = await road.rows("SELECT actor, action, subject, reason FROM audit ORDER BY audit_id")
    assert [(r["actor"], r["action"]) for r in rows] == [
        ("steward.one", "verdict_same"),
        ("steward.two", "undo"),
    ]
    told = str([tuple(r.values()) for r in rows]) + str(
        [tuple(r.values()) for r in await road.rows("SELECT evidence, rule FROM link_event")]
    )
    for value in ("DURAND", "PAT-TROIS", "CAMILLE", "1979", "27903"):
        assert value not in told


@pytest.mark.parametrize("rounds", [6])
async def test_beside_dispatch_workers_nothing_is_lost(
    database: Database, tmp_path: Path, rounds: int
) -> None:
    """Results of both persons come while they are merged and parted, again and again."""
    async with scratch_hub(database, tmp_path, connections=8) as hub:
        road = Road(hub)
        first, second = await two_persons(road)
        other = Road(hub, dispatcher_of(hub))

        async def results() -> None:
            for n in range(rounds * 4):
                who = with_ins() if n % 2 else without_ins()
                await other.put(message(who, report(filler_order_number=f"R-{n}")), partition=1)
                await other.dispatch(limit=1)

        async def changes() -> None:
            for _ in range(rounds):
                done = await stewards(road).merge(first, second, STEWARD)
                await asyncio.sleep(0)
                await stewards(road).undo(done.event, STEWARD)

        await asyncio.gather(results(), changes())
        await drain(road)
        rows = await road.rows(
            'SELECT r.person_id, r."offset" FROM report r WHERE r.partition = 1 ORDER BY r."offset"'
        )
        assert [row["person_id"] for row in rows] == [
            first if n % 2 else second for n in range(rounds * 4)
        ]
        assert len(await pseudonyms(road)) == 2
        assert (await road.account()).closes


async def test_unknown_persons_and_events_are_refused_with_a_remedy(road: Road) -> None:
    first, second = await two_persons(road)
    with pytest.raises(PermanentError, match="no_such_person"):
        await stewards(road).merge(first, 4711, STEWARD)
    with pytest.raises(PermanentError, match="no_such_event"):
        await stewards(road).undo(4711, STEWARD)
    with pytest.raises(PermanentError, match="not_undoable"):
        await stewards(road).undo(1, STEWARD)
    with pytest.raises(PermanentError, match="not_merged"):
        await stewards(road).unmerge(first, second, STEWARD)
    with pytest.raises(PermanentError, match="same_person"):
        await stewards(road).merge(first, first, STEWARD)
    assert msgspec.json.encode(await stewards(road).reemit(first, STEWARD))


# ---------------------------------------------------------------- looking


async def test_a_decision_is_explained_and_recomputed_bit_for_bit(road: Road) -> None:
    await two_persons(road)
    twin = with_ins(ins=(), birth_given="DOMINIC", birth_givens=("DOMINIC",))
    await road.put(
        message(with_ins(ins=()), report(filler_order_number="F-3")),
        message(twin, report(filler_order_number="F-4")),
        message(without_ins(), report(filler_order_number="F-5")),
    )
    await road.dispatch()
    rows = await road.rows("SELECT report_id FROM report")
    assert len(rows) == 5
    parts = stewards(road)
    for row in rows:
        async with road.hub.pool.acquire() as connection:
            told = await explain(connection, parts.store, parts.sources, row["report_id"])
        assert told.recomputed == "same", told
        assert "PAT-TROIS" not in as_text(told)
        for candidate in told.candidates:
            assert candidate.steps[-1].running == candidate.total


async def test_another_model_is_tried_and_nothing_is_written(road: Road) -> None:
    first, second = await two_persons(road)
    await road.put(message(with_ins(ins=()), report(filler_order_number="F-3")))
    await road.dispatch()
    before = await identity_state(road)
    model = load_model("fr")
    never = msgspec.structs.replace(model, link=10**6, review=10**6, version="never")
    since = datetime.now(UTC) - timedelta(hours=1)
    parts = stewards(road)
    async with road.hub.pool.acquire() as connection:
        same = await what_if(
            connection, parts.store, parts.sources, model, since=since, limit=100, listed=10
        )
        other = await what_if(
            connection, parts.store, parts.sources, never, since=since, limit=100, listed=10
        )
    assert same.kinds == {"same": 3}
    assert other.kinds == {"link -> new": 1, "same": 2}
    assert [change.person for change in other.changes] == [first]
    assert second not in {change.person for change in other.changes}
    assert await identity_state(road) == before


async def test_events_since_a_moment_are_found_by_halving(road: Road) -> None:
    now = datetime.now(UTC)
    await road.rows(
        """INSERT INTO link_event (at, kind, person_id, rule, model_version)
           SELECT $1::timestamptz - n * interval '1 hour', 'new', 1, 'new', 'm'
           FROM generate_series(100, 1, -1) AS n RETURNING 1""",
        now,
    )
    await road.rows("DELETE FROM link_event WHERE link_event_id % 7 = 0 RETURNING 1")
    for hours in (0, 1, 5, 50, 200):
        since = now - timedelta(hours=hours, minutes=10)
        async with road.hub.pool.acquire() as connection:
            last = await last_before(connection, since)
        rows = await road.rows("SELECT link_event_id AS n FROM link_event WHERE at >= $1", since)
        assert all(row["n"] > last for row in rows)
        early = await road.rows(
            "SELECT 1 FROM link_event WHERE link_event_id > $1 AND at < $2", last, since
        )
        assert early == []


# ---------------------------------------------------------------- cases


async def test_a_second_line_of_another_spelling_is_one_case_as_long_as_they_are_one(
    road: Road,
) -> None:
    """Two positives of two persons; one case once a steward says they are one; two again after."""
    screening = report(filler_order_number="CRIB-1", notes=("Deuxième intention",))
    first = await road.put(message(with_ins(), report(filler_order_number="F-1")))
    second = await road.put(message(without_ins(), screening), partition=1)
    await road.dispatch()
    pair = (await person_of_offset(road, first[0]), await person_of_offset(road, second[0], 1))
    before = await identity_state(road)
    rows = await road.rows("SELECT waits FROM case_report WHERE waits")
    assert len(rows) == 1
    done = await stewards(road).merge(*pair, STEWARD)
    cases = await road.rows("SELECT case_id, waits FROM case_report")
    assert len({row["case_id"] for row in cases}) == 1
    assert not any(row["waits"] for row in cases)
    fold = (await stream_fold(road))["public-health"].values()
    assert sorted(body["line"] for body in fold) == ["first", "second"]
    await stewards(road).undo(done.event, STEWARD)
    assert await identity_state(road) == before
