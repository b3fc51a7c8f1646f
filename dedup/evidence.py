"""A decision as bytes, small enough to keep for every message, and back bit for bit. Pure.

Numbers and guards' names only: a decision holds no value of a trait.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from schemas.decision import CandidateEvidence, MatchDecision, Verdict
from schemas.ids import id_of

_FORM: Final = 1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


def pack(decision: MatchDecision) -> bytes:
    """Return what `unpack` makes the same decision of, verdict and model included."""
    return _encode(
        (
            _FORM,
            decision.verdict.value,
            decision.person_id,
            decision.rule,
            decision.model_version,
            decision.guard,
            decision.contradicts,
            decision.possible_duplicate,
            decision.margin,
            decision.bridges,
            [
                (
                    c.person_id,
                    None if c.alias_digest is None else c.alias_digest.bytes,
                    bytes(c.levels),
                    c.weights,
                    c.total,
                    c.guard,
                )
                for c in decision.candidates
            ],
        )
    )


def unpack(packed: bytes) -> MatchDecision:
    """Return the decision.

    Raises:
        ValueError: These bytes are none, or of a later form.
    """
    form, *parts = _decode(packed)
    if form != _FORM:
        raise ValueError("a decision of a later form")
    verdict, person, rule, model, guard, against, duplicate, margin, bridges, candidates = parts
    return MatchDecision(
        verdict=Verdict(verdict),
        person_id=person,
        rule=rule,
        model_version=model,
        guard=guard,
        contradicts=against,
        possible_duplicate=duplicate,
        margin=margin,
        bridges=tuple(bridges),
        candidates=tuple(_candidate(row) for row in candidates),
    )


def _candidate(row: list[Any]) -> CandidateEvidence:
    person, digest, levels, weights, total, guard = row
    alias: UUID | None = None if digest is None else id_of(digest)
    return CandidateEvidence(person, alias, tuple(levels), tuple(weights), total, guard)
