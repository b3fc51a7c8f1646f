"""A candidate weighed: its likest identity, what that says, what of it a decision keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from schemas.decision import CandidateEvidence

from .compare import Levels, compare
from .guards import HOMONYM, card_fits, shares_evidence, stopped_by_ins, stopped_by_traits
from .identity import Candidate, PersonKeys
from .levels import GIVEN, MISSING
from .model import Model
from .score import Weights, total_of, weigh

EVIDENCE_KEPT: Final = 8
"""Candidates that a decision remembers, best first."""
MAX_ALIASES: Final = 50
"""Identities of one person that are compared; the resolver loads the newest."""

_NOTHING: Final = -(10**9)


class Weighed:
    """A candidate with what its likest identity says."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.person_id: int = candidate.person_id
        self.alias: UUID | None = None
        self.levels: Levels = ()
        self.weights: Weights = ()
        self.total: int = _NOTHING
        self.guard: str = ""
        self.card_fits: bool = False
        self.rank: tuple[int, int] = (0, 0)


def weighed_of(keys: PersonKeys, candidate: Candidate, model: Model) -> Weighed:
    """Compare a record with a person's identities and keep the likest that no guard stops."""
    found = Weighed(candidate)
    by_ins = stopped_by_ins(keys, candidate)
    identity = keys.identity
    aliases = candidate.aliases
    readable = 0
    best_rank: tuple[int, int, int] | None = None
    for digest in _compared(aliases):
        alias = aliases[digest]
        if alias is None:
            continue
        readable += 1
        levels = compare(identity, alias)
        if not found.card_fits and card_fits(levels):
            # A newborn without a given name, and the twin, both carry a parent's card.
            found.card_fits = levels[GIVEN] != MISSING or not keys.is_misfit
        weights = weigh(levels, identity, alias, model)
        total = total_of(weights, model)
        guard = by_ins or stopped_by_traits(levels, identity, alias, model)
        if guard == HOMONYM and shares_evidence(keys, candidate):
            guard = ""
        rank = (0 if guard else 1, total, digest.int)
        if best_rank is None or rank > best_rank:
            best_rank = rank
            found.alias, found.levels, found.weights = digest, levels, weights
            found.total, found.guard = total, guard
    if readable == 0 or (keys.alias_digest in aliases and (identity.given or not keys.is_misfit)):
        found.card_fits = True
    if best_rank is None:
        found.guard = by_ins
    found.rank = (-found.total, found.person_id)
    return found


def _compared(aliases: Mapping[UUID, object]) -> Iterable[UUID]:
    if len(aliases) <= MAX_ALIASES:
        return aliases
    return list(aliases)[:MAX_ALIASES]


def evidence_of(weighed: list[Weighed], first: Weighed | None) -> tuple[CandidateEvidence, ...]:
    """Return what was found of the likest, of the one that the verdict is about in any case."""
    kept = weighed[:EVIDENCE_KEPT]
    if first is not None and first not in kept:
        kept = [*kept[: EVIDENCE_KEPT - 1], first]
    return tuple(
        [
            CandidateEvidence(w.person_id, w.alias, w.levels, w.weights, _shown(w.total), w.guard)
            for w in kept
        ]
    )


def _shown(total: int) -> int:
    return 0 if total == _NOTHING else total
