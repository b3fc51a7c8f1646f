"""What every stream holds equals a computation from scratch: asked at the end of a test."""

from __future__ import annotations

from collections import Counter
from datetime import date
from itertools import pairwise

from ops.behind_the_door import verifier_of
from ops.verifying.differences import Verified
from schemas.topics import Stream
from tests.support.hub import Road
from tests.support.identity import persons_by_report, stream_fold


async def verified(road: Road) -> Verified:
    """Verify a hub on a scratch database; what differs is named in the failure."""
    found = await verifier_of(road.hub, road.dispatcher).verify()
    assert found.agrees, told(found)
    assert not found.pending, "somebody is still to be emitted again"
    return found


def told(found: Verified) -> str:
    """What differs, for whoever reads a failed test."""
    lines = [f"{what}: {n}" for what, n in sorted(found.differ.items())]
    lines += [f"  {each.report_id} {each.stream} {each.what}" for each in found.listed[:20]]
    return "\n".join(lines)


async def check_sense(road: Road) -> None:
    """What a reader would notice, whatever the code that made it: one case counts once.

    1. Of the reports of a case one at most is a first line (none where that one is in doubt), and
       of one person two new cases of a condition lie more than 60 days apart.
    2. Who is traced is a positive of public health, where that does not wait.
    3. The dossier holds nothing of who opposes.
    """
    folds = await stream_fold(road)
    whose = await persons_by_report(road)
    rows = {
        report: body
        for report, body in folds[Stream.PUBLIC_HEALTH].items()
        if body["record"] == "result"
    }
    firsts: Counter[str] = Counter()
    new_cases: dict[tuple[int, str], list[date]] = {}
    for report, body in rows.items():
        if body["case_id"]:
            firsts[body["case_id"]] += body["line"] == "first"
        if body["new_case"]:
            told_of = new_cases.setdefault((whose[report], body["condition"]), [])
            told_of.append(date.fromisoformat(body["sampled_on"]))
    assert set(firsts.values()) <= {0, 1}, "one report of a case counts"
    for days in new_cases.values():
        for before, after in pairwise(sorted(days)):
            assert (after - before).days > 60, "one infection, two new cases"
    for report in folds[Stream.CONTACT_TRACING]:
        row = rows.get(report)
        assert row is None or row["result"] == "positive", "traced, and not counted"
    opposed = await road.rows("SELECT standing_id FROM opposition WHERE ended_at IS NULL")
    against = {row["standing_id"] for row in opposed}
    assert not against & {whose[report] for report in folds[Stream.DOSSIER]}
