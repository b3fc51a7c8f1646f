"""Why a report is whose it is: the decision as a waterfall, and recomputed bit for bit."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from dedup.explain import Waterfall
from dedup.explain import explain as waterfalls
from dedup.model import SERVICE_MODEL, Model, load_model, load_version
from dedup.store import DedupStore
from ops.runtime.postgres import Connection
from ops.sources import Sources, report_rows
from schemas.decision import MatchDecision
from schemas.errors import PermanentError

from .as_of import RECORD_EVENT, known_then, read_event

# The version that stands, and whose it was decided to be then.
REPORT: Final = """
SELECT r.report_id, r.report_key, r.person_id, r.version, r.content_digest, r.partition,
       r."offset", r.position
FROM report r WHERE r.report_id = $1
"""
DECIDED_AS: Final = """
SELECT v.person_id, o.replayed_by FROM report_version v
LEFT JOIN outcome o ON o.partition = v.partition AND o."offset" = v."offset"
WHERE v.report_id = $1 AND v.became_current ORDER BY v.version DESC LIMIT 1
"""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, step by step. Numbers and names of rules alone, no value of a trait."""

    report: UUID
    event: int
    model: str
    verdict: str
    rule: str
    guard: str
    person: int
    """Whose it was decided to be."""
    stands_for: int
    """Whose it is now."""
    link: int
    """From so much on the machine links by itself; this, as all below, in thousandths of a bit."""
    review: int
    margin: int | None
    candidates: tuple[Waterfall, ...]
    recomputed: str
    """same, different, or why it cannot be said."""


async def explain(
    connection: Connection, store: DedupStore, sources: Sources, report_id: UUID
) -> Explained:
    """Explain the decision about a report's current version.

    Raises:
        PermanentError: There is no such report, or no decision about it.
    """
    rows = report_rows(await connection.fetch(REPORT, report_id))
    if not rows:
        raise PermanentError("no_such_report", "`labdispatch trace ID` names a message's reports")
    (row,) = rows
    decided = await connection.fetchrow(DECIDED_AS, report_id)
    # The decision of a replay stands at the place of the replay.
    offsets = [row.offset, *([decided["replayed_by"]] if decided["replayed_by"] else [])]
    found = await connection.fetchrow(RECORD_EVENT, decided["person_id"], row.partition, offsets)
    if found is None:
        raise PermanentError("no_such_event", "the decision is of an earlier release")
    event = read_event(found)
    model = _model_of(event.decision)
    told = (await sources.read(connection, rows)).get(report_id)
    if model is None:
        said = f"model {event.decision.model_version} is not at hand"
    elif told is None:
        said = "the record can be read no more"
    else:
        then = await known_then(connection, store, sources, told.keys, event)
        again = then.decide(told.keys, model)
        said = difference(event.decision, again) or "same"
    # Its numbers stand in the decision itself: another model only names the thresholds.
    held = model or msgspec.structs.replace(
        load_model(SERVICE_MODEL), version=event.decision.model_version
    )
    shown = waterfalls(event.decision, held)
    return Explained(
        report=report_id,
        event=event.event,
        model=event.decision.model_version,
        verdict=event.decision.verdict.value,
        rule=event.decision.rule,
        guard=event.decision.guard,
        person=event.person_id,
        stands_for=row.person_id,
        link=shown.link,
        review=shown.review,
        margin=event.decision.margin,
        candidates=shown.waterfalls,
        recomputed=said,
    )


def difference(stored: MatchDecision, again: MatchDecision) -> str:
    """Return in which parts two decisions differ; empty where they are equal bit for bit."""
    parts = [
        name
        for name in MatchDecision.__struct_fields__
        if getattr(stored, name) != getattr(again, name)
    ]
    return f"different: {', '.join(parts)}" if parts else ""


def as_text(told: Explained) -> str:
    """Return an explanation for a terminal."""
    lines = [
        f"report {told.report}: {told.verdict} by {told.rule}"
        + (f", guard {told.guard}" if told.guard else ""),
        f"  person {told.person}"
        + (f", now {told.stands_for}" if told.stands_for != told.person else "")
        + f"; link event {told.event}; model {told.model}; recomputed: {told.recomputed}",
    ]
    lines.append(f"  links from {_bits(told.link)} bits, asks from {_bits(told.review)}")
    if told.margin is not None:
        lines.append(f"  {_bits(told.margin)} bits before the second")
    if not told.candidates:
        lines.append("  nobody shared a key with it")
    for each in told.candidates:
        stopped = f"  stopped by {each.guard}: {each.act}" if each.guard else ""
        lines.append(f"\n  person {each.person_id}{stopped}")
        lines.append(f"    {'prior':<12} {'':<18} {_bits(each.start):>9}  {_bits(each.start):>9}")
        lines += [
            f"    {s.field:<12} {s.level:<18} {_bits(s.weight):>9}  {_bits(s.running):>9}"
            for s in each.steps
        ]
        lines.append(
            f"    {'total':<12} {'':<18} {'':>9}  {_bits(each.total):>9}"
            f"   posterior {each.posterior:.6f}"
        )
    return "\n".join(lines) + "\n"


def _model_of(decision: MatchDecision) -> Model | None:
    try:
        return load_version(decision.model_version)
    except PermanentError:
        return None


def _bits(thousandths: int) -> str:
    return f"{thousandths / 1000:+.3f}"
