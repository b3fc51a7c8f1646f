"""A decision as a person reads it: a waterfall from the prior to the total, step by step. Pure.

Only names of fields, levels and guards, and bits: never a value of a trait.
"""

from __future__ import annotations

import msgspec

from schemas.decision import CandidateEvidence, MatchDecision
from schemas.errors import PermanentError

from .guards import act_of
from .levels import FIELDS, LEVELS, MISSING
from .model import Model
from .score import posterior_of


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one field says, and what all of them say so far; thousandths of a bit."""

    field: str
    level: str
    weight: int
    running: int


class Waterfall(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one candidate."""

    person_id: int
    start: int
    """The prior: what speaks against any link before a trait was looked at."""
    steps: tuple[Step, ...]
    """Fields that both have; a missing one says nothing."""
    total: int
    posterior: float
    guard: str
    act: str
    """What becomes of a record that this guard stops: `review`, `new`, or empty without one."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A decision with the thresholds that it was held against."""

    decision: MatchDecision
    link: int
    review: int
    margin: int
    waterfalls: tuple[Waterfall, ...]


def explain(decision: MatchDecision, model: Model) -> Explanation:
    """Return a decision as waterfalls, best candidate first.

    Args:
        decision: As stored, or just made.
        model: The one that made it (`dedup.model.load_version`).

    Raises:
        PermanentError: Another model made it.
    """
    if decision.model_version != model.version:
        raise PermanentError("model_is_another", "load the model that the decision names")
    return Explanation(
        decision=decision,
        link=model.link,
        review=model.review,
        margin=model.margin,
        waterfalls=tuple(_waterfall(one, model) for one in decision.candidates),
    )


def _waterfall(evidence: CandidateEvidence, model: Model) -> Waterfall:
    start = evidence.total - sum(evidence.weights) if evidence.weights else -model.prior
    running, steps = start, []
    for field, (level, weight) in enumerate(zip(evidence.levels, evidence.weights, strict=True)):
        running += weight
        if level != MISSING:
            name = LEVELS[field][1][level]
            steps.append(Step(field=FIELDS[field], level=name, weight=weight, running=running))
    return Waterfall(
        person_id=evidence.person_id,
        start=start,
        steps=tuple(steps),
        total=evidence.total,
        posterior=posterior_of(evidence.total) if evidence.weights else 0.0,
        guard=evidence.guard,
        act=act_of(evidence.guard, model) if evidence.guard else "",
    )
