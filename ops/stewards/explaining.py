"""Why a report is whose it is: the decision as a waterfall, and recomputed bit for bit."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from dedup.levels import FIELDS, level_name
from dedup.model import SERVICE_MODEL, Model, load_model
from dedup.score import posterior_of
from dedup.store import DedupStore
from ops.runtime.postgres import Connection
from schemas.decision import CandidateEvidence, MatchDecision
from schemas.errors import PermanentError

from .as_of import RECORD_EVENT, RecordEvent, known_then, read_event
from .sources import Sources, report_rows

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


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a waterfall: what a field adds, and where that leads."""

    field: str
    level: str
    bits: float
    after: float


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate as it was weighed."""

    person: int
    total: float
    posterior: float
    guard: str
    steps: tuple[Step, ...]


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
    prior: float
    margin: float | None
    candidates: tuple[Weighed, ...]
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
    model = load_model(SERVICE_MODEL)
    told = (await sources.read(connection, rows)).get(report_id)
    if told is None:
        said = "the record can be read no more"
    elif event.decision.model_version != model.version:
        said = f"decided by {event.decision.model_version}, and {model.version} is at hand"
    else:
        then = await known_then(connection, store, sources, told.keys, event)
        again = then.decide(told.keys, model)
        said = difference(event.decision, again) or "same"
    return _explained(report_id, row.person_id, event, model, said)


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
    if told.margin is not None:
        lines.append(f"  {told.margin:+.3f} bits before the second")
    if not told.candidates:
        lines.append("  nobody shared a key with it")
    for each in told.candidates:
        stopped = f"  stopped by {each.guard}" if each.guard else ""
        lines.append(f"\n  person {each.person}{stopped}")
        lines.append(f"    {'prior':<12} {'':<18} {told.prior:>+9.3f}  {told.prior:>+9.3f}")
        lines += [
            f"    {s.field:<12} {s.level:<18} {s.bits:>+9.3f}  {s.after:>+9.3f}"
            for s in each.steps
            if s.level != "missing"
        ]
        lines.append(
            f"    {'total':<12} {'':<18} {'':>9}  {each.total:>+9.3f}"
            f"   posterior {each.posterior:.6f}"
        )
    return "\n".join(lines) + "\n"


def _explained(
    report_id: UUID, person_id: int, event: RecordEvent, model: Model, said: str
) -> Explained:
    decision = event.decision
    prior = _prior_of(decision, model)
    return Explained(
        report=report_id,
        event=event.event,
        model=decision.model_version,
        verdict=decision.verdict.value,
        rule=decision.rule,
        guard=decision.guard,
        person=event.person_id,
        stands_for=person_id,
        prior=prior / 1000,
        margin=None if decision.margin is None else decision.margin / 1000,
        candidates=tuple(_weighed(each, prior) for each in decision.candidates),
        recomputed=said,
    )


def _prior_of(decision: MatchDecision, model: Model) -> int:
    """Return what the decision began from: by its own numbers, else by the model at hand."""
    for each in decision.candidates:
        if each.weights:
            return each.total - sum(each.weights)
    return -model.prior


def _weighed(each: CandidateEvidence, prior: int) -> Weighed:
    steps = []
    after = prior
    for field, (level, weight) in enumerate(zip(each.levels, each.weights, strict=True)):
        after += weight
        steps.append(
            Step(
                field=FIELDS[field],
                level=level_name(field, level),
                bits=weight / 1000,
                after=after / 1000,
            )
        )
    return Weighed(
        person=each.person_id,
        total=each.total / 1000,
        posterior=posterior_of(each.total),
        guard=each.guard,
        steps=tuple(steps),
    )


def event_as_json(told: Any) -> str:
    """Return anything of this module as a line of JSON."""
    return msgspec.json.encode(told).decode() + "\n"
