"""One micro-batch, one transaction: every record ends once, and the streams follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ops.runtime.worker import FenceLost
from ops.runtime.writes import GatheredWrites, _about
from routing.router import Router
from schemas.finding import Finding, Level
from schemas.place import Place
from schemas.report import Coded, ResultStatus
from schemas.topics import Stream
from tests.support.hub import Road, persons_of, scratch_hub
from tests.support.people import OTHER_INS, dominique, message, observation, report
from tests.support.postgres import Database, connected

NEGATIVE = Coded(code="260415000", text="Not detected", system="SCT")


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def negative(**changes: Any) -> Any:
    return report(observations=(observation(coded=NEGATIVE, value="Not detected"),), **changes)


async def test_a_positive_of_a_qualified_person_is_in_all_three_streams(road: Road) -> None:
    await road.put(message())
    await road.dispatch()
    assert await road.endings() == [("dispatched", "")]
    assert await road.kinds() == {
        "dossier": ["published"],
        "contact-tracing": ["published"],
        "public-health": ["published"],
    }
    account = await road.account()
    assert account.closes
    assert (account.received, account.dispatched, account.in_flight) == (1, 1, 0)


async def test_events_carry_the_realm_and_a_whole_body(road: Road) -> None:
    await road.put(message())
    await road.dispatch()
    (dossier,) = await road.events(Stream.DOSSIER)
    assert dossier["realm"] == "test"
    assert dossier["body"]["resourceType"] == "Bundle"
    (row,) = await road.events(Stream.PUBLIC_HEALTH)
    assert "PAT-TROIS" not in str(row)
    assert row["body"]["result"] == "positive"


async def test_the_same_bytes_again_are_a_duplicate_that_names_the_first(road: Road) -> None:
    await road.put(message(), message(), raws=[b"same", b"same"])
    await road.dispatch()
    await road.put(message(), raws=[b"same"])
    await road.dispatch()
    assert await road.endings() == [
        ("dispatched", ""),
        ("duplicate", "same_message"),
        ("duplicate", "same_message"),
    ]
    rows = await road.rows('SELECT message_id, original FROM outcome ORDER BY "offset"')
    assert [row["original"] for row in rows] == [None, rows[0]["message_id"], rows[0]["message_id"]]
    assert (await road.kinds())["dossier"] == ["published"]


async def test_the_same_content_under_another_control_id_is_a_duplicate(road: Road) -> None:
    await road.put(message())
    await road.dispatch()
    await road.put(message())
    await road.dispatch()
    assert await road.endings() == [("dispatched", ""), ("duplicate", "same_content")]
    assert (await road.kinds())["public-health"] == ["published"]


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_a_control_id_that_comes_again_with_other_bytes_is_new_and_told(
    road: Road, *, in_one_batch: bool
) -> None:
    """Laboratories restart their counters: nothing is lost, and they are told."""
    await road.put(message())
    if not in_one_batch:
        await road.dispatch()
    await road.put(message(None, report(status=ResultStatus.CORRECTED)))
    await road.put(message(), partition=1)  # another laboratory's control ids are its own
    await road.dispatch()
    told = await road.rows(
        "SELECT partition, \"offset\" AS o, place FROM lab_finding WHERE code = 'control_id_reused'"
    )
    assert [(row["partition"], row["o"], row["place"]) for row in told] == [(0, 1, "MSH[1]-10")]
    assert {ending for ending, _ in await road.endings()} == {"dispatched"}


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_a_correction_to_negative_reaches_every_stream(
    road: Road, *, in_one_batch: bool
) -> None:
    steps = [
        message(None, report(status=ResultStatus.PRELIMINARY)),
        message(None, report()),
        message(None, negative(status=ResultStatus.CORRECTED)),
    ]
    if in_one_batch:
        await road.put(*steps)
        await road.dispatch()
    else:
        for step in steps:
            await road.put(step)
            await road.dispatch()
    kinds = await road.kinds()
    assert kinds["dossier"] == ["published", "revised", "revised"]
    assert kinds["contact-tracing"][-1] == "withdrawn"
    last = (await road.events(Stream.PUBLIC_HEALTH))[-1]
    assert last["body"]["result"] == "negative"
    for stream in (Stream.DOSSIER, Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH):
        versions = [event["event_version"] for event in await road.events(stream)]
        assert versions == list(range(1, len(versions) + 1))


@pytest.mark.parametrize(
    ("status", "in_dossier"),
    [
        (ResultStatus.CANCELLED, "cancelled"),
        (ResultStatus.DELETED, "entered-in-error"),
        (ResultStatus.WRONG, "entered-in-error"),
    ],
)
async def test_a_result_taken_back_is_taken_back_everywhere(
    road: Road, status: ResultStatus, in_dossier: str
) -> None:
    await road.put(message())
    await road.put(message(None, report(status=status, observations=(observation(status=status),))))
    await road.dispatch()
    kinds = await road.kinds()
    assert kinds["contact-tracing"] == ["published", "withdrawn"]
    assert kinds["public-health"] == ["published", "withdrawn"]
    assert kinds["dossier"] == ["published", "revised"]
    bundle = (await road.events(Stream.DOSSIER))[-1]["body"]
    found = [e["resource"] for e in bundle["entry"]]
    assert [r["status"] for r in found if r["resourceType"] == "DiagnosticReport"] == [in_dossier]


async def test_a_late_preliminary_changes_no_stream(road: Road) -> None:
    await road.put(message(), message(None, report(status=ResultStatus.PRELIMINARY)))
    await road.dispatch()
    assert await road.endings() == [("dispatched", ""), ("dispatched", "")]
    assert (await road.kinds())["dossier"] == ["published"]


async def test_an_unqualified_identity_waits_for_the_dossier_and_counts_elsewhere(
    road: Road,
) -> None:
    await road.put(message(dominique(identity_status="PROV")))
    await road.dispatch()
    kinds = await road.kinds()
    assert (kinds["dossier"], kinds["public-health"]) == ([], ["published"])
    rows = await road.rows("SELECT stream, reason FROM hold")
    assert [(r["stream"], r["reason"]) for r in rows] == [("dossier", "identity_not_qualified")]
    await road.put(message(dominique(), report(status=ResultStatus.CORRECTED)))
    await road.dispatch()
    assert (await road.kinds())["dossier"] == ["published"]
    assert await road.rows("SELECT stream FROM hold") == []


async def test_two_persons_under_one_number_on_two_days_are_two_reports(road: Road) -> None:
    other = dominique(ins=(OTHER_INS,), birth_family="AUTRE", birth_given="CLAUDE", sex="M")
    await road.put(message())
    await road.put(message(other, report(collected_at="2026-11-23T09:00:00+01:00")))
    await road.dispatch()
    assert len(await road.rows("SELECT report_id FROM report")) == 2
    found = await road.rows("SELECT code FROM lab_finding ORDER BY code")
    # The messages of these tests have one control id for all.
    assert [row["code"] for row in found] == ["control_id_reused", "order_number_reused"]


async def test_one_person_from_two_laboratories(road: Road) -> None:
    await road.put(message())
    await road.put(message(dominique(birth_family="Pat Trois")), partition=1)
    await road.dispatch()
    assert len(await road.rows("SELECT person_id FROM person")) == 1
    versions = [event["person_version"] for event in await road.events(Stream.PUBLIC_HEALTH)]
    assert sorted(versions) == [1, 2]
    pseudonyms = {e["body"]["pseudonym"] for e in await road.events(Stream.PUBLIC_HEALTH)}
    assert len(pseudonyms) == 1


async def test_somebody_elses_card_opens_a_review_and_makes_no_false_link(road: Road) -> None:
    child = dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01")
    await road.put(message())
    await road.put(message(child, report(filler_order_number="F-2")))
    await road.dispatch()
    await road.put(message(child, report(filler_order_number="F-3")))
    await road.dispatch()
    rows = await road.rows('SELECT person_id FROM outcome ORDER BY "offset"')
    first, second, third = (row["person_id"] for row in rows)
    assert first != second == third
    reviews = await road.rows("SELECT person_id, other_person_id, guard FROM review_item")
    assert [tuple(row.values()) for row in reviews] == [(second, first, "same_ins_other_traits")]
    ins = await road.rows("SELECT person_id FROM person_ins")
    assert persons_of(ins) == {first}
    assert len(await road.events(Stream.DOSSIER)) == 1


# ---------------------------------------------------------------- parked, and done again

UNMAPPABLE = Finding("obr_without_code", Level.ERROR, Place("OBR", 1, 4), 101, "Send OBR-4.")


async def test_what_cannot_be_mapped_parks_whole_with_its_place(road: Road) -> None:
    await road.put(UNMAPPABLE)
    await road.dispatch()
    (row,) = await road.rows("SELECT ending, reason, place FROM outcome")
    assert tuple(row.values()) == ("parked", "unmappable", "OBR[1]-4")
    (parked,) = await road.rows("SELECT code, place, resolved_at FROM parked")
    assert tuple(parked.values()) == ("obr_without_code", "OBR[1]-4", None)
    assert (await road.account()).closes


async def test_a_replay_after_the_mend_settles_the_parked_message(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offset,) = await road.put(UNMAPPABLE)
    await road.dispatch()
    monkeypatch.setattr("ops.prepare.map_again", lambda *_: message())
    await road.put_replay(offset)
    await road.dispatch()
    assert await road.endings() == [("dispatched", ""), ("replay", "")]
    (parked,) = await road.rows("SELECT resolved_at FROM parked")
    assert parked["resolved_at"] is not None
    assert (await road.kinds())["dossier"] == ["published"]
    account = await road.account()
    assert account.closes
    assert (account.dispatched, account.parked, account.replays) == (1, 0, 1)


@pytest.mark.parametrize("replays", [1, 2])
async def test_a_message_that_parks_beside_its_replays_stops_no_line(
    road: Road, replays: int
) -> None:
    """A worker that was away finds the message and what was asked of it in one batch."""
    (offset,) = await road.put(UNMAPPABLE)
    for _ in range(replays):
        await road.put_replay(offset)
    await road.put(message())
    await road.dispatch()
    (parked,) = await road.rows('SELECT "offset", resolved_at FROM parked')
    assert tuple(parked.values()) == (offset, None)
    account = await road.account()
    assert account.closes
    assert (account.dispatched, account.parked, account.replays) == (1, 1, replays)


async def test_a_message_that_parks_beside_the_replay_that_settles_it_waits_for_nobody(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offset,) = await road.put(UNMAPPABLE)
    monkeypatch.setattr("ops.prepare.map_again", lambda *_: message())
    await road.put_replay(offset)
    await road.dispatch()
    assert await road.endings() == [("dispatched", ""), ("replay", "")]
    assert not await road.rows("SELECT 1 FROM parked WHERE resolved_at IS NULL")
    assert (await road.account()).closes


async def test_a_replay_of_what_went_well_emits_nothing_twice(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offset,) = await road.put(message())
    await road.dispatch()
    monkeypatch.setattr("ops.prepare.map_again", lambda *_: message())
    for _ in range(3):
        await road.put_replay(offset)
    await road.dispatch()
    assert await road.kinds() == {
        "dossier": ["published"],
        "contact-tracing": ["published"],
        "public-health": ["published"],
    }


async def test_a_destroyed_key_parks_and_never_stops_the_line(road: Road) -> None:
    broken = road.record(message())
    record = type(broken)(
        **{name: getattr(broken, name) for name in broken.__struct_fields__}
        | {"payload": broken.payload[:-1] + b"\x00"}
    )
    await road.hub.log.append([record])
    await road.put(message())
    await road.dispatch()
    assert await road.endings() == [("parked", "unreadable_payload"), ("dispatched", "")]


# ---------------------------------------------------------------- poison


async def test_pure_code_that_breaks_parks_its_message_alone(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Router.route

    def breaks(router: Router, case: Any) -> Any:
        if case.report.filler_order_number == "POISON":
            raise ZeroDivisionError
        return whole(router, case)

    monkeypatch.setattr(Router, "route", breaks)
    orders = ["F-1", "F-2", "POISON", "F-4", "F-5", "F-6", "F-7"]
    await road.put(*(message(None, report(filler_order_number=n)) for n in orders))
    await road.dispatch()
    endings = await road.endings()
    assert endings.pop(2) == ("parked", "unexpected")
    assert endings == [("dispatched", "")] * 6
    (row,) = await road.rows("SELECT code FROM parked")
    assert row["code"].startswith("ZeroDivisionError at test_dispatch.py:")
    assert (await road.account()).closes


async def test_what_the_database_refuses_parks_alone(road: Road, database: Database) -> None:
    async with connected(database.superuser_kwargs) as admin:
        await admin.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '22003'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON report FOR EACH ROW
            WHEN (NEW.status = 'A') EXECUTE FUNCTION refuse();
            """
        )
    poison = report(filler_order_number="F-9", status=ResultStatus.PARTIAL)
    await road.put(message(), message(None, poison), partition=0)
    await road.put(message(), partition=1)
    await road.dispatch()
    assert sorted(await road.endings()) == [
        ("dispatched", ""),
        ("dispatched", ""),
        ("parked", "database_refused"),
    ]
    (row,) = await road.rows("SELECT code FROM parked")
    assert row["code"] == "SQLSTATE 22003"
    assert (await road.account()).closes


# ---------------------------------------------------------------- the fence


async def test_whoever_comes_second_writes_nothing(road: Road) -> None:
    await road.put(message())
    positions = await road.positions()
    batch = await road.hub.log.read(positions, 100)
    other = Road(road.hub)
    await road.dispatcher.handle(positions, batch.records, batch.next_offsets)
    with pytest.raises(FenceLost) as lost:
        await other.dispatcher.handle(positions, batch.records, batch.next_offsets)
    assert lost.value.partitions == {0}
    assert await road.endings() == [("dispatched", "")]
    assert (await road.kinds())["dossier"] == ["published"]


async def test_batches_of_any_size_give_the_same_streams(road: Road) -> None:
    orders = [report(filler_order_number=f"F-{n % 5}", notes=(str(n),)) for n in range(20)]
    await road.put(*(message(None, each) for each in orders))
    await road.dispatch(limit=7)
    events = await road.events(Stream.DOSSIER)
    assert len(events) == 20
    assert [event["seq"] for event in events] == list(range(1, 21))


async def test_writes_that_are_kept_back_fire_no_trigger_but_the_account_s(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes as one statement is seen by a trigger as it was before (ADR 0055)."""
    written: set[str] = set()
    execute = GatheredWrites.execute

    async def notes(self: GatheredWrites, query: str, *args: Any, **how: Any) -> str:
        written.add(_about(query).writes)
        return await execute(self, query, *args, **how)

    monkeypatch.setattr(GatheredWrites, "execute", notes)
    offsets = await road.put(message(), message(dominique(ins=()), negative()))
    await road.put_replay(offsets[0])
    await road.dispatch()
    triggers = {
        tuple(row.values())
        for row in await road.rows(
            "SELECT relname, tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE NOT t.tgisinternal"
        )
    }
    assert {"outcome", "emitted", "case_report"} <= written
    assert {each for each in triggers if each[0] in written} == {("outcome", "outcome_changes")}
    # A new one: say here that dispatch does not write to its table, after looking.
    assert {table for table, _ in triggers} - {"outcome"} == {
        "lab", "lab_certificate", "lab_facility", "lab_token", "rule_effect", "rule_set",
    }  # fmt: skip
