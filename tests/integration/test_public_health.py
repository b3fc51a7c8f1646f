"""New cases, variants and pseudonyms on the real tables: who is told what, and told anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ops.bootstrap import Hub
from ops.holding.rechecking import retry
from ops.pseudonym_keys import print_keys, retire
from ops.stewards.acts import Stewards
from routing.pseudonym import pseudonym_of
from routing.public_health import PURPOSE
from schemas.events import PseudonymReplaced, PublicHealthRow, TracingCase
from schemas.report import Coded, LabReport, ResultStatus, Specimen
from schemas.statuses import status_contradicts
from schemas.topics import Stream
from tests.support.fold import verified
from tests.support.hub import PARTITIONS, Road, scratch_hub
from tests.support.identity import STEWARD, identity_state, person_of_offset, stream_fold
from tests.support.people import OTHER_INS, dominique, message, observation, report
from tests.support.postgres import Database

NEGATIVE = Coded(code="260415000", text="Not detected", system="SCT")
GENOME = Coded(code="94764-8", text="Génome", system="LN")
TUBE = Specimen(identifier="TUBE-4711")
SOMEBODY = dominique(
    ins=(OTHER_INS,), birth_family="AUTRE", birth_given="CLAUDE", birth_givens=("CLAUDE",)
)


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def stewards(road: Road) -> Stewards:
    return road.dispatcher.stewards


def sampled(day: str, **changes: Any) -> LabReport:
    """A positive of a day, under an order number of its own."""
    moment = f"{day}T09:00:00+01:00" if day else ""
    return report(**({"filler_order_number": f"F-{day}", "collected_at": moment} | changes))


def negative(day: str, **changes: Any) -> LabReport:
    found = (observation(coded=NEGATIVE, value="Not detected"),)
    return sampled(day, observations=found, **changes)


async def rows(road: Road) -> dict[str, Mapping[str, Any]]:
    """What a consumer of public health holds, by day of sampling."""
    held = (await stream_fold(road))["public-health"].values()
    return {body["sampled_on"]: body for body in held if body["record"] == "result"}


async def new_days(road: Road) -> list[str]:
    return sorted(day for day, body in (await rows(road)).items() if body["new_case"])


async def traced(road: Road) -> list[str]:
    """Days of sampling of what contact tracing holds."""
    held = (await stream_fold(road))["contact-tracing"].values()
    return sorted(body["sampled_at"][:10] for body in held)


# ---------------------------------------------------------------- the 60-day rule


WORKED = ("2026-01-01", "2026-02-10", "2026-03-02", "2026-03-15", "2026-06-01")
"""The days of french-profile 4, in another year of 365 days."""


@pytest.mark.parametrize(
    ("reading", "counted"),
    [
        ("last_positive", ["2026-01-01", "2026-06-01"]),
        ("last_counted", ["2026-01-01", "2026-03-15", "2026-06-01"]),
    ],
)
async def test_the_worked_example_in_both_readings(
    database: Database, tmp_path: Path, reading: str, counted: list[str]
) -> None:
    """Late ones first: each that comes re-emits just those whom it changes."""
    async with scratch_hub(database, tmp_path) as hub:
        instance = msgspec.structs.replace(hub.instance, window_reading=reading)
        road = Road(msgspec.structs.replace(hub, instance=instance))
        for day in (WORKED[3], WORKED[0], WORKED[4], WORKED[2], WORKED[1]):
            await road.put(message(None, sampled(day)))
            await road.dispatch()
        assert await new_days(road) == counted == await traced(road)
        found = await rows(road)
        assert {day: body["recent_positive"] for day, body in found.items()} == {
            day: day not in counted for day in WORKED
        }
        assert (await road.account()).closes


async def test_a_late_positive_re_emits_just_those_it_changes(road: Road) -> None:
    for day in ("2026-02-10", "2026-03-15", "2026-06-20"):
        await road.put(message(None, sampled(day)))
    await road.dispatch()
    before = len(await road.events(Stream.PUBLIC_HEALTH))
    await road.put(message(None, sampled("2026-01-20")))
    await road.dispatch()
    later = (await road.events(Stream.PUBLIC_HEALTH))[before:]
    told = {e["body"]["sampled_on"]: (e["kind"], e["reason"]) for e in later}
    assert told == {
        "2026-01-20": ("published", "new"),
        "2026-02-10": ("revised", "case_changed"),
    }
    last = (await road.events(Stream.CONTACT_TRACING))[-1]
    assert (last["kind"], last["reason"], last["body"]) == ("withdrawn", "case_changed", None)
    assert await traced(road) == ["2026-01-20", "2026-06-20"]


async def test_when_the_first_is_withdrawn_the_next_one_opens_the_episode(road: Road) -> None:
    """Taken back, or corrected to negative; each of a year of its own."""
    changes = {
        "2026": (sampled("2026-01-20", status=ResultStatus.WRONG), "cancelled"),
        "2025": (sampled("2025-01-20", status=ResultStatus.CANCELLED), "cancelled"),
        "2024": (negative("2024-01-20", status=ResultStatus.CORRECTED), "corrected"),
    }
    for year, (change, reason) in changes.items():
        seen = len(await road.events(Stream.CONTACT_TRACING))
        for day in (f"{year}-01-20", f"{year}-02-10"):
            await road.put(message(None, sampled(day)))
        await road.dispatch()
        assert [d for d in await traced(road) if d.startswith(year)] == [f"{year}-01-20"]
        await road.put(message(None, change))
        await road.dispatch()
        assert [d for d in await traced(road) if d.startswith(year)] == [f"{year}-02-10"]
        assert await traced(road) == await new_days(road)
        events = (await road.events(Stream.CONTACT_TRACING))[seen:]
        assert [(e["kind"], e["reason"]) for e in events] == [
            ("published", "new"),
            ("withdrawn", reason),
            ("published", "new"),
        ]


async def test_a_positive_in_doubt_keeps_no_other_from_being_told(road: Road) -> None:
    """It waits for a person; nobody else's case may wait with it, of its own day neither."""
    doubted = sampled(
        "2026-01-20",
        filler_order_number="ODD",
        status=ResultStatus.PRELIMINARY,
        observations=(observation(status=ResultStatus.CORRECTED),),
    )
    assert status_contradicts(doubted)
    late = msgspec.structs.replace(
        sampled("2026-01-20"), collected_at="2026-01-20T19:00:00+01:00", filler_order_number="F-1"
    )
    await road.put(message(None, doubted), message(None, late))
    await road.put(message(None, sampled("2026-02-10")))
    await road.dispatch()
    assert await traced(road) == ["2026-01-20"] == await new_days(road)
    mended = sampled("2026-01-20", filler_order_number="ODD", status=ResultStatus.CORRECTED)
    await road.put(message(None, mended))
    await road.dispatch()
    assert await traced(road) == ["2026-01-20"]
    held = (await stream_fold(road))["public-health"].values()
    assert sorted((b["line"], b["sampled_on"]) for b in held) == [
        ("first", "2026-01-20"),
        ("first", "2026-02-10"),
        ("second", "2026-01-20"),
    ]


async def test_a_negative_says_whether_somebody_was_positive_lately(road: Road) -> None:
    await road.put(message(None, sampled("2026-01-20")), message(None, negative("2026-02-10")))
    await road.put(message(None, negative("2026-05-10")))
    await road.dispatch()
    found = await rows(road)
    assert {d: (b["new_case"], b["recent_positive"]) for d, b in found.items()} == {
        "2026-01-20": (True, False),
        "2026-02-10": (None, True),
        "2026-05-10": (None, False),
    }


async def test_a_day_that_nobody_gave_is_that_of_first_reception(road: Road) -> None:
    await road.put(message(None, sampled("")))
    await road.put(message(None, sampled("2099-01-01")))
    await road.dispatch()
    today = road.hub.clock.now().date().isoformat()
    held = (await stream_fold(road))["public-health"].values()
    assert {(b["sampled_on"], b["sampled_on_imputed"]) for b in held} == {(today, True)}
    assert sorted(b["new_case"] for b in held) == [False, True]
    assert len(await traced(road)) == 1


async def test_a_merge_joins_episodes_and_its_undoing_parts_them(road: Road) -> None:
    one = (await road.put(message(None, sampled("2026-01-20"))))[0]
    two = (await road.put(message(SOMEBODY, sampled("2026-02-10"))))[0]
    await road.dispatch()
    kept, gone = await person_of_offset(road, one), await person_of_offset(road, two)
    before = await identity_state(road)
    assert await traced(road) == ["2026-01-20", "2026-02-10"] == await new_days(road)
    done = await stewards(road).merge(kept, gone, STEWARD)
    assert await traced(road) == ["2026-01-20"] == await new_days(road)
    last = (await road.events(Stream.CONTACT_TRACING))[-1]
    assert (last["kind"], last["reason"]) == ("withdrawn", "identity_changed")
    await stewards(road).undo(done.event, STEWARD)
    assert await identity_state(road) == before


async def test_rows_of_before_the_window_was_kept_are_read(road: Road) -> None:
    """No day of reception: that of their first handling."""
    await road.put(message(None, sampled("")))
    await road.dispatch()
    before = await rows(road)
    await road.rows("UPDATE case_report SET received_on = NULL RETURNING 1")
    await road.put(message(None, sampled("2020-02-10")))
    await road.dispatch()
    assert (await rows(road)).items() >= before.items()


async def test_to_emit_a_person_again_groups_cases_of_before_anew(road: Road) -> None:
    offsets = await road.put(
        message(None, sampled("2026-01-20")), message(None, sampled("2026-02-10"))
    )
    await road.dispatch()
    person = await person_of_offset(road, offsets[0])
    before = await identity_state(road)
    await road.rows("UPDATE case_report SET again = false RETURNING 1")
    await stewards(road).reemit(person, STEWARD)
    assert await identity_state(road) == before


# ---------------------------------------------------------------- variants


async def test_a_lineage_revises_the_case_and_its_row(road: Road) -> None:
    """Found, found to be another, and taken back: the case says what stands."""

    def genome(lineage: str, **changes: Any) -> LabReport:
        found = (observation(code=GENOME, coded=None, value_type="ST", value=lineage),)
        told: dict[str, Any] = {
            "code": GENOME,
            "filler_order_number": "SEQ-1",
            "specimen": TUBE,
            "observations": found,
        }
        return sampled("2026-01-24", **(told | changes))

    await road.put(message(None, sampled("2026-01-20", specimen=TUBE)))
    await road.dispatch()
    gone = ResultStatus.WRONG
    for of, variant in (
        (genome("BA.2.86"), "BA.2.86"),
        (genome("JN.1", status=ResultStatus.CORRECTED), "JN.1"),
        (genome("JN.1", status=gone), ""),
    ):
        await road.put(message(None, of), partition=1)
        await road.dispatch()
        (case,) = (await stream_fold(road))["contact-tracing"].values()
        held = (await stream_fold(road))["public-health"].values()
        assert case["variant"] == variant
        assert {row["line"]: row["variant"] for row in held}["first"] == variant
        assert {row["new_case"] for row in held if row["line"] == "first"} == {True}
    kinds = [(e["kind"], e["reason"]) for e in await road.events(Stream.CONTACT_TRACING)]
    assert kinds == [("published", "new"), *[("revised", "case_changed")] * 3]


async def test_what_is_declared_anonymously_joins_with_nothing(road: Road) -> None:
    """HIV: a pseudonym of its own, and no event says which other one it stands for."""
    immunoblot = Coded(code="77685-6", text="VIH", system="LN")
    hiv = sampled("2026-01-20", code=immunoblot, observations=(observation(code=immunoblot),))
    kept, gone = await two_persons(road, hiv, sampled("2026-01-20", filler_order_number="X-1"))
    held = {b["condition"]: b for b in (await stream_fold(road))["public-health"].values()}
    assert held["hiv"]["pseudonym"] != pseudonym(road, gone, "2026-H1")
    assert (held["hiv"]["dates"], held["hiv"]["sampled_on"]) == ("month", "2026-01-01")
    assert (held["hiv"]["age"], held["hiv"]["age_class"]) == (None, "49")
    assert held["hiv"]["residence_commune"] == held["hiv"]["laboratory_finess"] == ""
    assert held["hiv"]["new_case"] is True
    await no_header_joins(road)
    assert "hiv" not in {
        b["condition"] for b in (await stream_fold(road))["contact-tracing"].values()
    }
    await stewards(road).merge(kept, gone, STEWARD)
    told = await replaced(road)
    assert set(told) == {"2026-H1"}
    assert held["hiv"]["pseudonym"] not in told["2026-H1"]
    await road.put(message(SOMEBODY, msgspec.structs.replace(hiv, status=ResultStatus.WRONG)))
    await road.dispatch()
    assert "hiv" not in {
        b.get("condition") for b in (await stream_fold(road))["public-health"].values()
    }
    await no_header_joins(road)
    await verified(road)


async def no_header_joins(road: Road) -> None:
    """Of what is declared anonymously: no moment, no version of a person, no laboratory's lane."""
    events = await road.events(Stream.PUBLIC_HEALTH)
    hidden = {e["report_id"] for e in events if e["rule"] == "public-health-hiv"}
    assert len(hidden) == 1
    for event in events:
        told = (event["person_version"] > 0, event["emitted_at"][11:19] != "00:00:00")
        assert told == ((False, False) if event["report_id"] in hidden else (True, True))
        lane = UUID(event["report_id"]).int % PARTITIONS if event["report_id"] in hidden else 0
        assert event["partition"] == lane or event["rule"] == "persons_merged"


# ---------------------------------------------------------------- pseudonyms


async def two_persons(road: Road, *reports: LabReport) -> tuple[int, int]:
    one = (await road.put(message(None, sampled("2026-07-20"))))[0]
    offsets = await road.put(*(message(SOMEBODY, each) for each in reports))
    await road.dispatch()
    return await person_of_offset(road, one), await person_of_offset(road, offsets[0])


async def replaced(road: Road) -> dict[str, tuple[str, str]]:
    """What public health holds of replaced pseudonyms, by period."""
    held = (await stream_fold(road))["public-health"].values()
    return {
        body["period"]: (body["old"], body["new"])
        for body in held
        if body["record"] == "pseudonym_replaced"
    }


def pseudonym(road: Road, person: int, period: str) -> str:
    key = road.hub.vault.pseudonym_key(PURPOSE, period)
    assert key is not None
    return pseudonym_of(key, person, PURPOSE, period)


async def test_a_merge_says_which_pseudonym_stands_for_which_and_its_undoing_takes_it_back(
    road: Road,
) -> None:
    """In the periods of rows that were told, and the ones whose pseudonym they named already."""
    reports = (negative("2025-02-03"), sampled("2026-05-04"))
    kept, gone = await two_persons(road, *reports)
    before = await identity_state(road)
    assert await replaced(road) == {}
    done = await stewards(road).merge(kept, gone, STEWARD)
    assert await replaced(road) == {
        period: (pseudonym(road, gone, period), pseudonym(road, kept, period))
        for period in ("2025-H1", "2026-H1", "2026-H2")
    }
    undone = await stewards(road).undo(done.event, STEWARD)
    assert await replaced(road) == {}
    assert await identity_state(road) == before
    await stewards(road).undo(undone.event, STEWARD)
    assert len(await replaced(road)) == 3
    events = [e for e in await road.events(Stream.PUBLIC_HEALTH) if e["rule"] == "persons_merged"]
    kinds = sorted(((e["kind"], e["event_version"]) for e in events), key=lambda told: told[1])
    assert kinds == [("published", 1)] * 3 + [("withdrawn", 2)] * 3 + [("published", 3)] * 3
    assert not {e["report_id"] for e in events} & {
        r["report_id"] for r in await road.rows("SELECT report_id FROM report")
    }


async def test_what_can_be_read_no_more_is_told_of_all_the_same(road: Road) -> None:
    """Its row stays under the old pseudonym: that is what the event is for."""
    kept, gone = await two_persons(road, sampled("2026-01-20"))
    await road.rows('DELETE FROM intake WHERE "offset" = 1 RETURNING 1')
    done = await stewards(road).merge(kept, gone, STEWARD)
    assert done.unreadable == 1
    told = await replaced(road)
    assert (await rows(road))["2026-01-20"]["pseudonym"] == told["2026-H1"][0]


PERIODS = ("2025-H1", "2026-H1")


async def test_a_merge_of_merged_persons_names_the_last(road: Road) -> None:
    one, two = await two_persons(road, sampled("2026-01-20"))
    three = dominique(ins=(), birth_family="TIERS", birth_given="ALEX", birth_date="1981-11-02")
    (offset,) = await road.put(message(three, sampled("2026-01-10")))
    await road.dispatch()
    last = await person_of_offset(road, offset)
    assert one < two < last
    await stewards(road).merge(two, last, STEWARD)
    assert set(await replaced(road)) == {"2026-H1"}
    # Of another period since: no row ever named the gone pseudonym there.
    moved = sampled("2025-01-10", filler_order_number="F-2026-01-10", status=ResultStatus.CORRECTED)
    await road.put(message(three, moved))
    await road.dispatch()
    before = await identity_state(road)
    done = await stewards(road).merge(one, two, STEWARD)
    held = (await stream_fold(road))["public-health"].values()
    told = {(b["old"], b["new"]) for b in held if b["record"] == "pseudonym_replaced"}
    assert told == {
        *((pseudonym(road, two, period), pseudonym(road, one, period)) for period in PERIODS),
        (pseudonym(road, last, "2026-H1"), pseudonym(road, one, "2026-H1")),
    }
    await stewards(road).undo(done.event, STEWARD)
    after = await identity_state(road)
    # A Bundle says in its provenance that it was a person who decided.
    assert before.pop("fold")["public-health"] == after.pop("fold")["public-health"]
    assert after == before


async def test_whom_no_row_named_gives_no_event(road: Road) -> None:
    glucose = Coded(code="14749-6", text="Glucose", system="LN")
    of = sampled(
        "2026-01-20",
        code=glucose,
        observations=(observation(code=glucose, coded=None, value_type="NM", value="5"),),
    )
    kept, gone = await two_persons(road, of)
    await stewards(road).merge(kept, gone, STEWARD)
    assert await replaced(road) == {}


async def test_a_period_whose_key_was_retired_has_no_pseudonym_any_more(
    road: Road, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command: in the audit chain, listed as retired, and never made again."""

    @asynccontextmanager
    async def this(_: Path) -> AsyncIterator[Hub]:
        yield road.hub

    monkeypatch.setattr("ops.pseudonym_keys.instance_at", this)
    kept, gone = await two_persons(road, sampled("2026-01-20"))
    told = pseudonym(road, gone, "2026-H1")
    await retire(Path(), PURPOSE, "2026-H1", actor="steward.one", reason="over")
    await print_keys(Path(), as_json=False)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "2026-H1  public-health                retired",
        "2026-H2  public-health                in use",
    ]
    (entry,) = await road.rows("SELECT actor, subject, reason FROM audit")
    assert tuple(entry) == ("steward.one", "public-health 2026-H1", "over")
    await stewards(road).merge(kept, gone, STEWARD)
    assert await replaced(road) == {}
    found = await rows(road)
    # The row that stands is left as it is: it has a pseudonym that nobody could make again.
    assert found["2026-01-20"]["pseudonym"] == told
    (which,) = await road.rows('SELECT report_id FROM report WHERE "offset" = 1')
    monkeypatch.setattr(
        "ops.prepare.map_again", lambda *_: message(SOMEBODY, sampled("2026-01-20"))
    )
    await retry(road.hub, which["report_id"], STEWARD)
    await road.dispatch()
    assert (await rows(road))["2026-01-20"]["pseudonym"] == told
    await verified(road)
    corrected = negative(
        "2026-01-20", filler_order_number="F-2026-01-20", status=ResultStatus.CORRECTED
    )
    await road.put(message(SOMEBODY, corrected))
    await road.dispatch()
    found = await rows(road)
    assert (found["2026-01-20"]["pseudonym"], found["2026-01-20"]["result"]) == ("", "negative")
    await verified(road)
    assert found["2026-07-20"]["pseudonym"] == pseudonym(road, kept, "2026-H2")


# ---------------------------------------------------------------- nothing that identifies


async def test_every_body_is_of_its_schema_and_holds_no_identity(road: Road) -> None:
    kept, gone = await two_persons(road, sampled("2026-01-20"), negative("2026-02-20"))
    await stewards(road).merge(kept, gone, STEWARD)
    hidden = {"pat-trois", "autre", "claude", "279035121518989", "0639980001", "1 rue du test"}
    for event in await road.events(Stream.PUBLIC_HEALTH):
        if event["body"] is None:
            continue
        schema = PublicHealthRow if event["body"]["record"] == "result" else PseudonymReplaced
        assert set(event["body"]) == set(schema.__struct_fields__)
        text = msgspec.json.encode(event["body"]).decode().casefold()
        assert not [each for each in hidden if each in text]
    for event in await road.events(Stream.CONTACT_TRACING):
        if event["body"] is not None:
            assert set(event["body"]) == set(TracingCase.__struct_fields__)
            assert "279035121518989" not in str(event["body"])
