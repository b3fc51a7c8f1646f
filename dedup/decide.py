"""Who is it: the verdict on one record, from what is known about its candidates. Pure.

The qualified INS first, then the score behind the guards. Whatever a guard stops becomes a new
person, with a review item beside it where a steward can tell, and never a link "to be checked". The
same inputs give the same decision bit for bit: all weights are whole numbers, all ties are broken
by numbers that are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from schemas.decision import MatchDecision, Verdict

from .compare import Levels
from .guards import (
    SAME_INS_OTHER_TRAITS,
    SETTLED_DIFFERENT,
    SEVERAL_OF_SAME_TRAITS,
    act_of,
)
from .identity import Candidate, PersonKeys
from .levels import BIRTH_PLACE, DATE, EXACT, FAMILY, GIVEN, SEX
from .model import Model
from .weighed import Weighed, evidence_of, weighed_of

Verdicts = Mapping[tuple[int, int], str]
"""What stewards said of pairs of persons, the lower number first: same, different, later."""
NO_VERDICTS: Final[Verdicts] = {}


def decide(
    keys: PersonKeys,
    candidates: Iterable[Candidate],
    model: Model,
    verdicts: Verdicts = NO_VERDICTS,
) -> MatchDecision:
    """Return the verdict on a record.

    Args:
        keys: Of the record, with its identity.
        candidates: Persons that share a key, in any order; merged ones replaced by whom they were
            merged into.
        model: Weights, thresholds, guards.
        verdicts: Of stewards on pairs of these persons.
    """
    if keys.isolation:
        return MatchDecision(
            verdict=Verdict.ISOLATE,
            person_id=None,
            rule="isolated",
            model_version=model.version,
            guard=keys.isolation,
        )
    weighed = [
        weighed_of(keys, candidate, model)
        for candidate in candidates
        if not candidate.isolated and not candidate.quarantine
    ]
    if verdicts:
        _settle(keys, weighed, verdicts)
    weighed.sort(key=_rank)
    holder = _holder(keys, weighed)
    if holder is not None and holder.card_fits and holder.guard != SETTLED_DIFFERENT:
        return _same_ins(keys, holder, weighed, model, verdicts)
    return _by_traits(_Case(weighed, model, verdicts, holder, is_misfit=keys.is_misfit))


def _rank(one: Weighed) -> tuple[int, int]:
    return one.rank


def _settle(keys: PersonKeys, weighed: list[Weighed], verdicts: Verdicts) -> None:
    """Guard 12: these very traits are a person's that a steward told apart from another."""
    homes = [w.person_id for w in weighed if keys.alias_digest in w.candidate.aliases]
    for one in weighed:
        if any(_said(verdicts, home, one.person_id) == "different" for home in homes):
            one.guard = SETTLED_DIFFERENT


def _said(verdicts: Verdicts, one: int, other: int) -> str:
    return verdicts.get((one, other) if one < other else (other, one), "")


def _holder(keys: PersonKeys, weighed: list[Weighed]) -> Weighed | None:
    """Return the person of the record's INS; of several the one that fits it best."""
    if keys.ins is None:
        return None
    digests = [keys.ins.digest, *[former.digest for former in keys.former_ins]]
    held = [w for w in weighed if any(digest in w.candidate.ins for digest in digests)]
    for one in held:
        if one.card_fits and one.guard != SETTLED_DIFFERENT:
            return one
    return held[0] if held else None


def _same_ins(
    keys: PersonKeys,
    holder: Weighed,
    weighed: list[Weighed],
    model: Model,
    verdicts: Verdicts,
) -> MatchDecision:
    assert keys.ins is not None
    other = None
    for one in weighed:
        if one is not holder and not one.guard and one.total >= model.link:
            if _said(verdicts, holder.person_id, one.person_id) != "different":
                other = one
            break
    is_held = keys.ins.digest in holder.candidate.ins
    return MatchDecision(
        verdict=Verdict.LINK,
        person_id=holder.person_id,
        rule="same_ins" if is_held else "declared_history",
        model_version=model.version,
        guard="possible_duplicate" if other is not None else "",
        candidates=evidence_of(weighed, holder),
        possible_duplicate=other.person_id if other is not None else None,
    )


class _Case:
    """A record that its INS does not settle.

    The INS is contested where a `holder` has it whom the record does not fit, and where it
    contradicts the record by itself.
    """

    def __init__(
        self,
        weighed: list[Weighed],
        model: Model,
        verdicts: Verdicts,
        holder: Weighed | None,
        *,
        is_misfit: bool,
    ) -> None:
        self.weighed = weighed
        self.model = model
        self.verdicts = verdicts
        self.holder = holder
        self.is_contested: bool = holder is not None or is_misfit


def _by_traits(case: _Case) -> MatchDecision:
    """Let the score decide among those whom no guard stops."""
    model, holder = case.model, case.holder
    free = [w for w in case.weighed if not w.guard and w is not holder]
    best = free[0] if free else None
    if best is None or best.total < model.link:
        return _not_linked(case)
    second = free[1] if len(free) > 1 else None
    margin = best.total - second.total if second is not None else None
    likelier = _likelier(case, best)
    if likelier is not None:
        return _review(case, likelier, likelier.guard, margin=margin)
    duplicate: int | None = None
    bridges: tuple[int, ...] = ()
    if second is not None and margin is not None:
        said = _said(case.verdicts, best.person_id, second.person_id)
        if model.bridging:
            bridges = tuple(
                w.person_id
                for w in free[1:]
                if w.total >= model.link
                and _said(case.verdicts, best.person_id, w.person_id) != "different"
            )
        elif margin < model.margin and second.total >= model.review:
            if not model.tie_links or said == "different" or _are_apart(best, second):
                return _review(case, best, SEVERAL_OF_SAME_TRAITS, margin=margin, second=second)
            duplicate = second.person_id
        elif second.total >= model.link and said != "different":
            duplicate = second.person_id
    guard = "possible_duplicate" if duplicate is not None else ""
    contradicts = None
    if case.is_contested:
        guard = SAME_INS_OTHER_TRAITS
    if holder is not None and holder.guard != SETTLED_DIFFERENT:
        contradicts = holder.person_id
    return MatchDecision(
        verdict=Verdict.LINK,
        person_id=best.person_id,
        rule="strict_traits" if _is_strict(best.levels) else "score",
        model_version=model.version,
        guard=guard,
        candidates=evidence_of(case.weighed, best),
        contradicts=contradicts,
        possible_duplicate=duplicate,
        margin=margin,
        bridges=bridges,
    )


def _likelier(case: _Case, best: Weighed) -> Weighed | None:
    """Return somebody likelier than the best whom a guard left to a steward, if there is one."""
    for one in case.weighed:
        if one.total <= best.total:
            return None
        if one.guard and one is not case.holder and act_of(one.guard, case.model) == "review":
            return one
    return None


def _are_apart(one: Weighed, other: Weighed) -> bool:
    """Say whether two persons are known to be two: each has a qualified INS of its own."""
    mine, theirs = one.candidate.ins, other.candidate.ins
    return bool(mine and theirs and not any(digest in theirs for digest in mine))


def _is_strict(levels: Levels) -> bool:
    return (
        levels[FAMILY] == EXACT
        and levels[GIVEN] == EXACT
        and levels[DATE] == EXACT
        and levels[SEX] == EXACT
        and levels[BIRTH_PLACE] == EXACT
    )


def _not_linked(case: _Case) -> MatchDecision:
    """Make a new person; ask a steward where one can tell."""
    model, holder = case.model, case.holder
    if holder is not None and holder.guard != SETTLED_DIFFERENT:
        return _review(case, holder, SAME_INS_OTHER_TRAITS)
    stopped = ""
    for one in case.weighed:
        if one.total < model.review:
            break
        if not one.guard:
            return _review(case, one, "score")
        if act_of(one.guard, model) == "review":
            return _review(case, one, one.guard)
        if not stopped:
            stopped = one.guard
    return MatchDecision(
        verdict=Verdict.NEW,
        person_id=None,
        rule="new",
        model_version=model.version,
        guard=SAME_INS_OTHER_TRAITS if case.is_contested else stopped,
        candidates=evidence_of(case.weighed, None),
    )


def _review(
    case: _Case,
    like: Weighed,
    guard: str,
    *,
    margin: int | None = None,
    second: Weighed | None = None,
) -> MatchDecision:
    return MatchDecision(
        verdict=Verdict.REVIEW,
        person_id=None,
        rule="new",
        model_version=case.model.version,
        guard=SAME_INS_OTHER_TRAITS if case.is_contested else guard,
        candidates=evidence_of(case.weighed, like),
        contradicts=like.person_id,
        possible_duplicate=second.person_id if second is not None else None,
        margin=margin,
    )
