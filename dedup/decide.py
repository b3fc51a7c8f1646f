"""Who is it: the verdict on one record, from what is known about its candidates. Pure.

First form: the qualified INS first, then all five strict traits, else a new person; whatever a
guard stops becomes a new person with a review item beside it, never a false link.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import msgspec

from schemas.decision import MatchDecision, Verdict
from schemas.patient import Ins, Traits

from .guards import card_mix_up, other_ins
from .keys import PersonKeys

MODEL_VERSION: Final = "strict-1"


class Candidate(msgspec.Struct, kw_only=True):
    """A person that shares a key with the record, as far as the verdict needs to know them."""

    person_id: int
    ins: dict[UUID, Ins]
    """Qualified INS by digest."""
    aliases: dict[UUID, Traits | None]
    """Sets of traits by digest; None where their key was destroyed."""
    isolated: bool = False


def decide(traits: Traits, keys: PersonKeys, candidates: Iterable[Candidate]) -> MatchDecision:
    """Return the verdict on a record.

    Args:
        traits: Of the record.
        keys: Derived from them.
        candidates: Persons that share a key, in the order of their numbers; merged ones replaced
            by whom they were merged into.
    """
    if keys.isolation:
        return _decision(Verdict.ISOLATE, None, "isolated", guard=keys.isolation)
    open_ones = [c for c in candidates if not c.isolated]
    seen = tuple(c.person_id for c in open_ones)
    by_ins = _by_ins(keys, open_ones)
    strict = _strict(keys, open_ones)
    if by_ins is not None:
        against = _mix_up(traits, keys, by_ins)
        if not against:
            twin = next((c for c in strict if c.person_id != by_ins.person_id), None)
            return _decision(
                Verdict.LINK,
                by_ins.person_id,
                "same_ins",
                seen=seen,
                contradicts=twin.person_id if twin else None,
                guard="possible_duplicate" if twin else "",
            )
        rest = [c for c in strict if c.person_id != by_ins.person_id and not c.ins]
        return _guarded(rest, by_ins, "same_ins_other_traits", against, seen)
    return _by_traits(keys, strict, seen)


def _by_ins(keys: PersonKeys, candidates: list[Candidate]) -> Candidate | None:
    if keys.ins is None:
        return None
    digest = keys.ins.digest
    held = [c for c in candidates if digest in c.ins]
    if len(held) > 1:
        held.sort(key=lambda c: keys.alias_digest not in c.aliases)
    return held[0] if held else None


def _strict(keys: PersonKeys, candidates: list[Candidate]) -> list[Candidate]:
    if not keys.is_strict:
        return []
    return [c for c in candidates if keys.alias_digest in c.aliases]


def _mix_up(traits: Traits, keys: PersonKeys, held: Candidate) -> dict[str, str]:
    if keys.alias_digest in held.aliases:
        return {}
    known = [alias for alias in held.aliases.values() if alias is not None]
    found = [card_mix_up(traits, alias) for alias in known]
    if not found or not all(found):
        return {}
    return min(found, key=len)


def _guarded(
    strict: list[Candidate],
    other: Candidate,
    guard: str,
    evidence: dict[str, str],
    seen: tuple[int, ...],
) -> MatchDecision:
    """Keep away from `other`; link to the one person of the same strict traits, if there is one."""
    if len(strict) == 1:
        return _decision(
            Verdict.LINK,
            strict[0].person_id,
            "strict_traits",
            guard=guard,
            contradicts=other.person_id,
            evidence=evidence,
            seen=seen,
        )
    return _decision(
        Verdict.REVIEW,
        None,
        "new",
        guard=guard,
        contradicts=other.person_id,
        evidence=evidence,
        seen=seen,
    )


def _by_traits(keys: PersonKeys, strict: list[Candidate], seen: tuple[int, ...]) -> MatchDecision:
    if not strict:
        return _decision(Verdict.NEW, None, "new", seen=seen)
    if keys.ins is None:
        if len(strict) == 1:
            return _decision(Verdict.LINK, strict[0].person_id, "strict_traits", seen=seen)
        return _decision(
            Verdict.REVIEW,
            None,
            "new",
            guard="several_of_same_traits",
            contradicts=strict[0].person_id,
            seen=seen,
        )
    free = [c for c in strict if not c.ins]
    if len(free) == 1:
        return _decision(Verdict.LINK, free[0].person_id, "strict_traits", seen=seen)
    held = next((c for c in strict if c.ins), strict[0])
    verdict = other_ins(keys.ins.ins.oid, frozenset(ins.oid for ins in held.ins.values()))
    if free or verdict == "review":
        guard = "several_of_same_traits" if free else "nia_against_nir"
        return _decision(
            Verdict.REVIEW, None, "new", guard=guard, contradicts=held.person_id, seen=seen
        )
    return _decision(Verdict.NEW, None, "new", guard="two_qualified_ins", seen=seen)


def _decision(
    verdict: Verdict,
    person_id: int | None,
    rule: str,
    *,
    guard: str = "",
    contradicts: int | None = None,
    evidence: dict[str, str] | None = None,
    seen: tuple[int, ...] = (),
) -> MatchDecision:
    return MatchDecision(
        verdict=verdict,
        person_id=person_id,
        rule=rule,
        model_version=MODEL_VERSION,
        guard=guard,
        candidates=seen,
        contradicts=contradicts,
        evidence=evidence or {},
    )
