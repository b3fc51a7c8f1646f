"""The state of identities for tests: who is known by what, whose reports are, what streams hold."""

from __future__ import annotations

from typing import Any

from ops.asking import Asker
from schemas.topics import STREAMS
from tests.support.hub import Road

STEWARD = Asker(actor="steward.one", reason="test")
SECOND = Asker(actor="steward.two", reason="test")


async def identity_state(road: Road) -> dict[str, Any]:
    """Everything that an unmerge must restore: pointers, rows, keys, reports, holds, streams' fold.

    Without versions, dates and numbers of events: they only ever grow.
    """
    state: dict[str, Any] = {}
    for name, query in {
        "persons": "SELECT person_id, merged_into, isolated FROM person",
        "ins": "SELECT person_id, ins_digest FROM person_ins",
        "aliases": "SELECT person_id, alias_digest FROM person_alias",
        "keys": "SELECT person_id, key FROM person_key",
        "reports": "SELECT report_id, person_id FROM report",
        "holds": "SELECT report_id, stream, reason FROM hold",
        "emitted": "SELECT report_id, stream, part, published, addressee, body_digest FROM emitted"
        " WHERE published",
        "cases": "SELECT person_id, condition, report_id, line, waits, case_id, again, case_variant"
        " FROM case_report",
        "replaced": "SELECT person_id, period FROM pseudonym_replaced",
        "oppositions": "SELECT person_id, standing_id FROM opposition WHERE ended_at IS NULL",
    }.items():
        state[name] = sorted(str(tuple(row.values())) for row in await road.rows(query))
    state["fold"] = await stream_fold(road)
    for bundle in state["fold"]["dossier"].values():
        # Under what it was made comes last, and is no part of what is said of the patient.
        assert bundle["entry"].pop()["resource"]["resourceType"] == "Provenance"
    return state


async def stream_fold(road: Road) -> dict[str, dict[str, Any]]:
    """What a consumer holds: of each part of a report the body of its highest event version."""
    folds: dict[str, dict[str, Any]] = {}
    for stream in STREAMS:
        newest: dict[str, Any] = {}
        for event in await road.events(stream):
            part = f"{event['report_id']} {event['part']}".rstrip()
            held = newest.get(part)
            if held is None or held["event_version"] < event["event_version"]:
                newest[part] = event
        folds[stream.value] = {
            report: event["body"]
            for report, event in newest.items()
            if event["kind"] != "withdrawn"
        }
    return folds


async def persons_by_report(road: Road) -> dict[str, int]:
    """Whose each report is: by report id, and by the id under which a part of it is told apart."""
    return {
        str(row["known_as"]): row["person_id"]
        for row in await road.rows(
            "SELECT r.report_id AS known_as, r.person_id FROM report r UNION SELECT e.told_as,"
            " r.person_id FROM emitted e JOIN report r USING (report_id)"
            " WHERE e.told_as IS NOT NULL"
        )
    }


async def person_of_offset(road: Road, offset: int, partition: int = 0) -> int:
    """Whose the report is whose current version came with a record."""
    (row,) = await road.rows(
        'SELECT person_id FROM report WHERE partition = $1 AND "offset" = $2', partition, offset
    )
    number: int = row["person_id"]
    return number
