"""`streams verify` finds what was made to differ, each kind by its name, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ops.behind_the_door import verifier_of
from ops.runtime.vault import FolderKeyStore, Vault
from ops.verifying.command import as_text
from ops.verifying.differences import Verified, What
from ops.verifying.verifier import Verifier
from schemas.patient import Traits
from schemas.report import Coded, LabReport, ResultStatus
from schemas.topics import STREAMS, Stream
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.people import dominique, message, observation, report
from tests.support.postgres import Database

GENOME = Coded(code="94764-8", text="Génome", system="LN")
NOBODYS = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    """Somebody with an INS and two reports of one case, and somebody without who waits."""
    async with scratch_hub(database, tmp_path) as hub:
        made = Road(hub)
        await made.put(message(None, report()))
        await made.put(message(None, sequencing()), partition=1)
        await made.put(message(stranger(), report(filler_order_number="F-9")))
        await made.put(message(stranger(), sequencing(filler_order_number="S-9")), partition=1)
        await made.dispatch()
        yield made


def stranger() -> Traits:
    return dominique(
        ins=(), birth_family="BRAVARD", birth_given="BASILE", birth_date="1962-07-19", sex="M"
    )


def sequencing(**changes: str) -> LabReport:
    values = {"filler_order_number": "S-1", "collected_at": "2026-11-20T11:00:00+01:00"}
    return report(code=GENOME, observations=(observation(code=GENOME),), **(values | changes))


def verifier(road: Road, page: int = 200) -> Verifier:
    made = verifier_of(road.hub, road.dispatcher)
    made._parts = msgspec.structs.replace(made._parts, page=page, listed=3)
    return made


async def test_a_hub_at_rest_agrees_whatever_the_page(road: Road) -> None:
    for page in (1, 2, 3, 200):
        found = await verifier(road, page).verify()
        assert found.agrees
        assert (found.persons, found.reports) == (2, 4)
        assert found.compared == dict.fromkeys(STREAMS, 4)
        assert found.published == {
            Stream.DOSSIER: 2,
            Stream.CONTACT_TRACING: 2,
            Stream.PUBLIC_HEALTH: 4,
        }
        assert found.waiting[Stream.DOSSIER] == 2
        assert "every stream holds what it should" in as_text(found, STREAMS)
    drawn = await verifier(road, 2).verify([Stream.PUBLIC_HEALTH], sample=50)
    assert drawn.agrees
    assert (drawn.persons, drawn.reports) == (2, 4), "of whom it draws it looks at all"
    assert set(drawn.compared) == {Stream.PUBLIC_HEALTH}


KEPT = ("emitted", "hold", "case_report")
TAMPERED = {
    "an event was never told": (
        "DELETE FROM emitted WHERE stream = 'contact-tracing'",
        {"contact-tracing missing": 2, "contact-tracing fold_version": 2},
    ),
    "the hub believes that it withdrew": (
        "UPDATE emitted SET published = false WHERE stream = 'dossier'",
        {"dossier missing": 2, "dossier fold_kind": 2},
    ),
    "an older version is believed": (
        "UPDATE emitted SET event_version = event_version + 1 WHERE stream = 'dossier'",
        {"dossier fold_version": 2},
    ),
    "another body is believed": (
        f"UPDATE emitted SET body_digest = '{NOBODYS}' WHERE stream = 'public-health'",
        {"public-health other_body": 4, "public-health fold_body": 4},
    ),
    "another addressee": (
        "UPDATE emitted SET addressee = '99' WHERE stream = 'contact-tracing'",
        {"contact-tracing other_addressee": 2},
    ),
    "an opposition that nothing followed": (
        """INSERT INTO opposition (person_id, standing_id, began_at)
           SELECT r.person_id, r.person_id, now() FROM report r JOIN emitted e USING (report_id)
           WHERE e.stream = 'dossier' LIMIT 1""",
        {"dossier not_withdrawn": 2},
    ),
    "a hold that was lost": ("DELETE FROM hold", {"dossier hold_missing": 2}),
    "a hold that was left": (
        """INSERT INTO hold (report_id, stream, reason, since)
           SELECT report_id, stream, 'first_line_awaited', now() FROM emitted
           WHERE stream = 'public-health'""",
        {"public-health hold_left": 4},
    ),
    "another reason": ("UPDATE hold SET reason = 'x'", {"dossier hold_reason": 2}),
    # 1 is a first line, 2 a second: whoever counted nothing counts, and no stream knew.
    "a case in disorder": ("UPDATE case_report SET line = 3 - line", {"case": 4}),
    "a case that was lost": ("DELETE FROM case_report", {"case": 4}),
    "a report of somebody who is merged": (
        """UPDATE person SET merged_into = (SELECT min(person_id) FROM person)
           WHERE person_id = (SELECT max(person_id) FROM person)""",
        {"owner": 2},
    ),
}


async def test_each_difference_is_found_by_its_name(road: Road) -> None:
    for table in KEPT:
        await road.rows(f"CREATE TABLE kept_{table} AS TABLE {table}")
    for name, (statement, wanted) in TAMPERED.items():
        await road.rows(statement)
        found = await verifier(road).verify()
        assert {what: found.differ[what] for what in wanted} == wanted, name
        if "owner" not in wanted:  # of whom it should be, all else differs too
            assert dict(found.differ) == wanted, name
        assert len(found.listed) == min(3, found.differ.total())
        text = as_text(found, STREAMS)
        assert "BRAVARD" not in text
        assert str(found.listed[0].report_id) in text
        await put_back(road)


async def put_back(road: Road) -> None:
    for table in KEPT:
        await road.rows(f"DELETE FROM {table}")
        await road.rows(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    await road.rows("DELETE FROM opposition")
    await road.rows("UPDATE person SET merged_into = NULL")
    assert (await verifier(road).verify()).agrees


def test_every_difference_can_be_told_by_a_test() -> None:
    told = {name.split()[-1] for _, wanted in TAMPERED.values() for name in wanted}
    assert told == {each.value for each in What}


async def test_what_is_awaited_and_what_older_rules_judged_is_told_apart(road: Road) -> None:
    await road.rows(
        "INSERT INTO reemission (person_id, reason, after_report, since)"
        " SELECT person_id, 'ins_gained', $1::uuid, now() FROM person",
        NOBODYS,
    )
    await road.rows("DELETE FROM hold")
    found = await verifier(road).verify()
    assert (found.agrees, found.pending) == (True, 2)
    await road.rows("DELETE FROM reemission")
    await road.rows("UPDATE stream_event SET rule_version = 'before'")
    await road.rows("UPDATE emitted SET addressee = '99' WHERE stream = 'contact-tracing'")
    found = await verifier(road).verify()
    assert dict(found.differ) == {"dossier hold_missing": 2}
    assert found.older_rules == 2


async def test_what_retention_takes_is_counted(road: Road, tmp_path: Path) -> None:
    kinds = ("stream", "public_health")
    days = [day for kind in kinds for day in (tmp_path / "keys").glob(f"{kind}-*")]
    assert len(days) >= len(kinds)
    for day in days:
        day.unlink()
    vault = Vault(FolderKeyStore(tmp_path / "keys"), road.hub.clock)
    later = Road(msgspec.structs.replace(road.hub, vault=vault))
    found = await verifier(later).verify()
    assert (found.agrees, found.expired) == (True, 8)
    await later.rows("DELETE FROM emitted WHERE stream = 'dossier'")
    assert dict((await verifier(later).verify()).differ) == {
        "dossier missing": 2,
        "dossier fold_version": 2,
    }
    # A first line whose record is gone: it stays what it was in its case.
    await road.rows("DELETE FROM intake WHERE partition = 0")
    found = await verifier(road).verify([Stream.PUBLIC_HEALTH])
    assert (found.agrees, found.unreadable) == (True, 2)
    assert found.compared[Stream.PUBLIC_HEALTH] == 2


async def test_corrections_and_what_was_taken_back_agree(road: Road) -> None:
    for status in (ResultStatus.CORRECTED, ResultStatus.WRONG):
        await road.put(message(None, report(status=status)))
        await road.dispatch()
        found: Verified = await verified(road)
        assert found.published[Stream.CONTACT_TRACING] == (2 if status != "W" else 1)
