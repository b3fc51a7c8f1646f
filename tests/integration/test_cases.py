"""First and second lines of an episode meet in every order, and no stream counts them twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dedup.store import DedupStore
from ops.runtime.metrics import METRICS
from schemas.report import Coded, LabReport, MappedMessage, ResultStatus, Specimen
from schemas.topics import Stream
from tests.integration.test_one_person import drain
from tests.support.hub import PARTITIONS, Road, scratch_hub
from tests.support.people import OTHER_INS, dominique, message, observation, report
from tests.support.postgres import Database

NEGATIVE = Coded(code="260415000", text="Not detected", system="SCT")
ANTIGEN = Coded(code="94558-4", text="Antigène", system="LN")
GENOME = Coded(code="94764-8", text="Génome", system="LN")
TUBE = Specimen(identifier="TUBE-4711")
STREAMS = (Stream.PUBLIC_HEALTH, Stream.CONTACT_TRACING)


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def negative(**changes: Any) -> LabReport:
    return report(observations=(observation(coded=NEGATIVE, value="Not detected"),), **changes)


def antigen(**changes: Any) -> LabReport:
    values: dict[str, Any] = {
        "code": ANTIGEN,
        "filler_order_number": "AG-1",
        "collected_at": "2026-11-20T08:00:00+01:00",
        "observations": (observation(code=ANTIGEN),),
    }
    return report(**(values | changes))


def screening(**changes: Any) -> LabReport:
    """A PCR of the variants, which says again that the virus is there."""
    values: dict[str, Any] = {"filler_order_number": "CRIB-1", "notes": ("Deuxième intention",)}
    return report(**(values | changes))


def sequencing(**changes: Any) -> LabReport:
    """Detected, as if it were a result of its own; its laboratory writes its own day."""
    values: dict[str, Any] = {
        "code": GENOME,
        "filler_order_number": "SEQ-1",
        "collected_at": "2026-11-24T09:00:00+01:00",
        "specimen": TUBE,
        "observations": (observation(code=GENOME),),
    }
    return report(**(values | changes))


async def hold(road: Road) -> list[tuple[str, str]]:
    """What waits, but for the dossier."""
    rows = await road.rows("SELECT stream, reason FROM hold WHERE stream <> 'dossier'")
    return [(row["stream"], row["reason"]) for row in rows]


async def folded(road: Road, stream: Stream) -> dict[str, Mapping[str, Any]]:
    """What a consumer holds: the newest version of each report, without what is withdrawn."""
    newest: dict[str, Mapping[str, Any]] = {}
    for event in await road.events(stream):
        part = f"{event['report_id']} {event['part']}".rstrip()
        if event["event_version"] > newest.get(part, {}).get("event_version", 0):
            newest[part] = event
    return {i: event["body"] for i, event in newest.items() if event["body"] is not None}


async def positives(road: Road) -> int:
    rows = (await folded(road, Stream.PUBLIC_HEALTH)).values()
    return sum(row["result"] == "positive" for row in rows)


async def said(road: Road) -> Counter[tuple[str, ...]]:
    """What both streams hold, without what names an order of arrival; a case by its reports."""
    found: Counter[tuple[str, ...]] = Counter()
    for stream in STREAMS:
        rows = list((await folded(road, stream)).values())
        for row in rows:
            case = sorted(r["test_code"] for r in rows if r["case_id"] == row["case_id"])
            told = [stream.value, row["test_code"], row["status"], row["result"], *case]
            told += [row.get("line", ""), row.get("second_line_result", "")]
            found[tuple(told)] += 1
    return found


# ---------------------------------------------------------------- first, then second


async def test_a_screening_by_a_second_laboratory_is_no_new_positive(road: Road) -> None:
    await road.put(message(), partition=0)
    await road.put(message(None, screening()), partition=1)
    await road.dispatch()
    rows = list((await folded(road, Stream.PUBLIC_HEALTH)).values())
    assert sorted((r["line"], r["result"], r["second_line_result"]) for r in rows) == [
        ("first", "positive", ""),
        ("second", "", "positive"),
    ]
    assert len({r["case_id"] for r in rows}) == 1
    assert len(await folded(road, Stream.CONTACT_TRACING)) == 1
    assert len(await road.events(Stream.DOSSIER)) == 2, "the dossier holds every report"
    assert await hold(road) == []


async def test_two_laboratories_of_one_day_are_one_case_even_if_neither_says_so(
    road: Road,
) -> None:
    await road.put(message(None, antigen()), partition=0)
    await road.put(message(), partition=1)
    await road.dispatch()
    assert await positives(road) == 1
    (case,) = (await folded(road, Stream.CONTACT_TRACING)).values()
    assert case["test_code"] == "94558-4", "what was sampled first counts"


async def test_another_day_is_another_case_and_within_60_days_no_new_one(road: Road) -> None:
    later = report(filler_order_number="F-2", collected_at="2026-11-22T09:00:00+01:00")
    long_ago = report(filler_order_number="F-3", collected_at="2026-03-01T09:00:00+01:00")
    await road.put(message(), message(None, later))
    await road.dispatch()
    assert await positives(road) == 2
    rows = (await folded(road, Stream.PUBLIC_HEALTH)).values()
    assert len({each["case_id"] for each in rows}) == 2
    assert sorted(each["new_case"] for each in rows) == [False, True]
    (case,) = (await folded(road, Stream.CONTACT_TRACING)).values()
    assert case["sampled_at"] == "2026-11-20T09:00:00+01:00", "called once an episode"
    await road.put(message(None, long_ago))
    await road.dispatch()
    cases = (await folded(road, Stream.CONTACT_TRACING)).values()
    assert len({each["case_id"] for each in cases}) == 2


async def test_one_panel_keeps_its_conditions_apart(road: Road) -> None:
    flu = Coded(code="92142-9", system="LN")
    panel = [
        report(),
        report(position=2, code=flu, observations=(observation(code=flu),)),
    ]
    await road.put(message(None, *panel))
    await road.dispatch()
    assert await positives(road) == 2


async def test_an_antibody_is_no_part_of_a_case(road: Road) -> None:
    igg = Coded(code="94563-4", system="LN")
    await road.put(message())
    await road.put(message(None, report(code=igg, observations=(observation(code=igg),))))
    await road.dispatch()
    rows = (await folded(road, Stream.PUBLIC_HEALTH)).values()
    assert sorted((r["line"], r["result"]) for r in rows) == [
        ("", "positive"),
        ("first", "positive"),
    ]


# ---------------------------------------------------------------- the orphan


async def test_an_orphan_waits_where_it_is_seen_and_is_found(road: Road) -> None:
    found = METRICS.second_lines.labels("found")._value.get()
    await road.put(message(None, sequencing()), partition=1)
    await road.dispatch()
    assert await hold(road) == [("public-health", "first_line_awaited")]
    assert (await positives(road), await folded(road, Stream.CONTACT_TRACING)) == (0, {})
    assert (await road.account()).holds == {"public-health": {"first_line_awaited": 1}}
    await road.put(message(None, report(specimen=TUBE)), partition=0)
    await road.dispatch()
    assert await hold(road) == []
    assert await positives(road) == 1
    rows = (await folded(road, Stream.PUBLIC_HEALTH)).values()
    assert {row["line"] for row in rows} == {"first", "second"}
    assert METRICS.second_lines.labels("found")._value.get() == found + 1
    assert await road.rows("SELECT 1 FROM case_report WHERE waits") == []


async def test_a_lineage_alone_is_kept_and_attached(road: Road) -> None:
    lineage = observation(code=GENOME, coded=None, value="BA.2.86")
    await road.put(message(None, sequencing(observations=(lineage,))), partition=1)
    await road.dispatch()
    (row,) = await road.rows("SELECT waits, precedence FROM case_report")
    assert tuple(row.values()) == (True, 0), "what was typed was found"
    await road.put(message(None, report(specimen=TUBE)))
    await road.dispatch()
    rows = await road.rows("SELECT DISTINCT case_id, waits FROM case_report")
    assert [row["waits"] for row in rows] == [False]


async def test_a_genome_whose_lineage_no_table_knows_is_kept_too(road: Road) -> None:
    lineage = observation(code=GENOME, coded=None, value="proche de BA.2")
    await road.put(message(None, sequencing(observations=(lineage,))), partition=1)
    await road.dispatch()
    (row,) = await road.rows("SELECT waits, precedence FROM case_report")
    assert tuple(row.values()) == (True, 4)
    assert ("public-health", "result_not_understood") in await hold(road)


# ---------------------------------------------------------------- what is taken back


async def test_a_cancelled_first_line_leaves_its_second_line_waiting(road: Road) -> None:
    await road.put(message())
    await road.put(message(None, screening()), partition=1)
    await road.dispatch()
    x = ResultStatus.CANCELLED
    gone = report(status=x, observations=(observation(status=x),))
    await road.put(message(None, gone))
    await road.dispatch()
    assert await folded(road, Stream.PUBLIC_HEALTH) == {}
    assert await hold(road) == [("public-health", "first_line_awaited")]
    last = (await road.events(Stream.PUBLIC_HEALTH))[-1]
    assert (last["kind"], last["reason"]) == ("withdrawn", "case_changed")
    await road.put(message(None, report(status=ResultStatus.CORRECTED)))
    await road.dispatch()
    assert await hold(road) == []
    assert await positives(road) == 1
    assert len(await folded(road, Stream.PUBLIC_HEALTH)) == 2


@pytest.mark.parametrize("engine", ["embedded", "cluster"])
async def test_another_report_takes_over_when_the_one_that_counted_goes(
    database: Database, tmp_path: Path, engine: str
) -> None:
    """Read back from its record: of the log, or of our own copy."""
    async with scratch_hub(database, tmp_path, engine=engine) as hub:
        road = Road(hub)
        await road.put(message(None, antigen()), partition=0)
        await road.put(message(), partition=1)
        await road.dispatch()
        await road.put(message(None, antigen(status=ResultStatus.WRONG)), partition=0)
        await road.dispatch()
        assert await positives(road) == 1
        (case,) = (await folded(road, Stream.CONTACT_TRACING)).values()
        assert (case["test_code"], case["birth_family"]) == ("94500-6", "PAT-TROIS")
        assert (await road.account()).closes


async def test_a_correction_to_negative_takes_the_case_along(road: Road) -> None:
    await road.put(message())
    await road.put(message(None, screening()), partition=1)
    await road.put(message(None, negative(status=ResultStatus.CORRECTED)))
    await road.dispatch()
    assert (await positives(road), await folded(road, Stream.CONTACT_TRACING)) == (0, {})
    rows = (await folded(road, Stream.PUBLIC_HEALTH)).values()
    assert sorted((r["result"], r["second_line_result"]) for r in rows) == [
        ("", "positive"),
        ("negative", ""),
    ]


async def test_a_correction_of_the_patient_takes_the_first_line_away(road: Road) -> None:
    other = dominique(ins=(OTHER_INS,), birth_family="AUTRE", birth_given="CLAUDE", sex="M")
    await road.put(message())
    await road.put(message(None, screening()), partition=1)
    await road.dispatch()
    await road.put(message(other, report(status=ResultStatus.CORRECTED)))
    await road.dispatch()
    assert await hold(road) == [("public-health", "first_line_awaited")]
    assert await positives(road) == 1
    persons = await road.rows("SELECT person_id, waits FROM case_report ORDER BY waits")
    assert [row["waits"] for row in persons] == [False, True]
    assert persons[0]["person_id"] != persons[1]["person_id"]


async def test_whom_a_report_leaves_is_locked_with_the_others_in_one_order(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dominique(ins=(OTHER_INS,), birth_family="AUTRE", birth_given="CLAUDE", sex="M")
    await road.put(message(), message(other, report(filler_order_number="F-2")))
    await road.dispatch()
    persons = {row["person_id"] for row in await road.rows("SELECT person_id FROM report")}
    locked: list[set[int]] = []
    lock = DedupStore.lock_persons

    async def noting(self: DedupStore, connection: Any, numbers: Any) -> dict[int, int]:
        locked.append(set(numbers))
        return await lock(self, connection, locked[-1])

    monkeypatch.setattr(DedupStore, "lock_persons", noting)
    await road.put(message(other, report(status=ResultStatus.CORRECTED)))
    await road.dispatch()
    assert locked[0] == persons
    assert len(persons) == 2
    assert all(later <= persons for later in locked)


async def test_a_report_leaves_a_person_who_is_in_the_batch_with_something_else(
    road: Road,
) -> None:
    other = dominique(ins=(OTHER_INS,), birth_family="AUTRE", birth_given="CLAUDE", sex="M")
    await road.put(message(), message(None, report(filler_order_number="F-2")))
    await road.dispatch()
    glucose = Coded(code="14749-6", text="Glucose", system="LN")
    sugar = report(
        code=glucose,
        filler_order_number="G-1",
        observations=(observation(code=glucose, coded=None, value_type="NM", value="5"),),
    )
    await road.put(message(None, sugar), message(other, report(status=ResultStatus.CORRECTED)))
    await road.dispatch()
    rows = await road.rows("SELECT person_id, line FROM case_report")
    assert len({row["person_id"] for row in rows}) == 2
    assert [row["line"] for row in rows] == [1, 1]
    assert await positives(road) == 2


# ---------------------------------------------------------------- every order


def episode() -> list[tuple[int, MappedMessage]]:
    """Two laboratories' antigen and PCR, a screening and a sequencing; laboratory and message."""
    return [
        (0, message(None, antigen())),
        (1, message(None, report(specimen=TUBE))),
        (2, message(None, screening())),
        (3, message(None, sequencing())),
    ]


async def test_every_order_of_arrival_ends_the_same(database: Database, tmp_path: Path) -> None:
    """Each order about somebody else, in batches of one and all in one."""
    people = list(permutations(range(4)))
    async with scratch_hub(database, tmp_path) as hub:
        road = Road(hub)
        for number, order in enumerate(people):
            for place in order:
                lab, told = episode()[place]
                await road.put(of(number, told), partition=lab)
                if number % 2:
                    await road.dispatch()
            await road.dispatch()
        rows = await said(road)
        assert await hold(road) == []
    each = [
        ("public-health", "94558-4", "F", "positive"),
        ("public-health", "94500-6", "F", ""),
        ("public-health", "94764-8", "F", ""),
        ("contact-tracing", "94558-4", "F", "positive"),
    ]
    counts = Counter({key[:4]: 0 for key in rows})
    for key, n in rows.items():
        counts[key[:4]] += n
        if key[0] == "public-health":
            assert key[4:8] == ("94500-6", "94500-6", "94558-4", "94764-8"), "one case of four"
    assert counts == {key: len(people) * (2 if "94500-6" in key else 1) for key in each}


def of(number: int, told: MappedMessage) -> MappedMessage:
    """The same message about somebody else, with numbers of their own."""
    given = f"{chr(65 + number // 5)}LEX{chr(65 + number % 5)}NDRE"
    traits = dominique(
        ins=(),
        birth_given=given,
        birth_givens=(given,),
        birth_date=f"19{50 + number}-0{number % 9 + 1}-1{number % 9}",
    )
    reports = tuple(
        msgspec.structs.replace(
            each,
            filler_order_number=f"{each.filler_order_number}-{number}",
            specimen=each.specimen and Specimen(identifier=f"TUBE-{number}"),
        )
        for each in told.reports
    )
    return msgspec.structs.replace(told, traits=traits, reports=reports)


async def test_first_and_second_lines_meet_beside_each_other(
    database: Database, tmp_path: Path
) -> None:
    """Four workers, one record a batch, everybody's four results at the same time."""
    people = 20
    async with scratch_hub(database, tmp_path, connections=16) as hub:
        roads = [Road(hub) for _ in range(PARTITIONS)]
        for lab, told in episode():
            order = range(people) if lab % 2 else reversed(range(people))
            await roads[0].put(*(of(number, told) for number in order), partition=lab)
        await asyncio.gather(*(drain(road, p) for p, road in enumerate(roads)))
        rows = list((await folded(roads[0], Stream.PUBLIC_HEALTH)).values())
        assert Counter(row["line"] for row in rows) == {"first": people, "second": 3 * people}
        assert Counter(Counter(r["case_id"] for r in rows).values()) == {4: people}
        assert len(await folded(roads[0], Stream.CONTACT_TRACING)) == people
        assert await hold(roads[0]) == []


async def test_replays_and_resends_change_nothing(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets = {lab: await road.put(told, partition=lab) for lab, told in episode()}
    await road.dispatch()
    before = await said(road)
    events = {stream: len(await road.events(stream)) for stream in STREAMS}
    for lab, told in episode():
        await road.put(told, partition=lab)
        monkeypatch.setattr("ops.prepare.map_again", lambda *_, told=told: told)
        await road.put_replay(offsets[lab][0], partition=lab)
        await road.dispatch()
    assert await said(road) == before
    assert {stream: len(await road.events(stream)) for stream in STREAMS} == events


# ---------------------------------------------------------------- merges


async def test_a_merge_brings_lines_together_and_an_unmerge_leads_back(road: Road) -> None:
    """What `reassign` does for the stewards: the pointer alone, then its end."""
    other = dominique(ins=(OTHER_INS,), birth_family="AUTRE", birth_given="CLAUDE", sex="M")
    await road.put(message())
    await road.put(message(other, screening()), partition=1)
    await road.dispatch()
    before = await table(road)
    one, two = sorted({row["person_id"] for row in before})
    changed = await reassigned(road, [one, two], f"SET merged_into = {one} WHERE person_id = {two}")
    assert len(changed) == 1
    merged = await table(road)
    assert {row["person_id"] for row in merged} == {one}
    assert len({row["case_id"] for row in merged}) == 1
    assert not any(row["waits"] for row in merged)
    await reassigned(road, [one, two], "SET merged_into = NULL")
    assert await table(road) == before


async def table(road: Road) -> Sequence[Mapping[str, Any]]:
    rows = await road.rows("SELECT * FROM case_report ORDER BY report_id")
    return [dict(row) for row in rows]


async def reassigned(road: Road, persons: list[int], change: str) -> set[Any]:
    casework = road.dispatcher.casework
    async with road.hub.pool.acquire() as connection, connection.transaction():
        await DedupStore(road.hub.vault).lock_persons(connection, persons)
        await connection.execute(f"UPDATE person {change}")
        return await casework.reassign(connection, persons)


async def test_more_reports_than_are_looked_at_change_no_case(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each batch makes another case of the newest, and tells all of them anew."""
    monkeypatch.setenv("LABDISPATCH_DISPATCH_CASE_REPORTS", "4")
    async with scratch_hub(database, tmp_path) as hub:
        road = Road(hub)
        begins = report(filler_order_number="F-0", collected_at="2026-10-30T09:00:00+01:00")
        await road.put(message(dominique(), begins))
        await road.dispatch()
        for n in range(1, 13):
            told = report(
                filler_order_number=f"F-{n}", collected_at=f"2026-11-20T09:{n:02}:00+01:00"
            )
            await road.put(message(dominique(), told))
            if not n % 3:
                await road.dispatch()
        cases = await road.rows(
            "SELECT count(*), count(*) FILTER (WHERE line = 1) AS leads, bool_or(again) AS again"
            " FROM case_report GROUP BY case_id ORDER BY 1"
        )
        assert [tuple(row.values()) for row in cases] == [(1, 1, False), (12, 1, True)]
        for stream, most in ((Stream.PUBLIC_HEALTH, 13), (Stream.CONTACT_TRACING, 2)):
            events = await road.events(stream)
            assert len(events) <= most
            assert {each["reason"] for each in events} & {"case_changed"} == set()
