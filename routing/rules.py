"""Which reports are due in which stream, and as which projection: rules as data.

Deny by default: what no rule says is due goes nowhere. A rule is a list of closed sets that must
all fit; there is no text to evaluate, no `or`, no negation. Pure: the same facts give the same
rulings. The file form and its checks are in rule_file.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Final

import msgspec

from schemas.codes import Kind, Result
from schemas.decision import ProjectionName, Realm
from schemas.report import ResultStatus
from schemas.topics import STREAMS, Stream

from .doubts import Doubt
from .facts import BY_CONDITION, WHOLE, Facts, Sight, parts_of

NOT_QUALIFIED: Final = "identity_not_qualified"
WRONG_REALM: Final = "ins_of_other_realm"
FIRST_LINE_AWAITED: Final = "first_line_awaited"
NO_RULE: Final = "none"
_HOLDS_IN_ORDER: Final = (
    WRONG_REALM,
    NOT_QUALIFIED,
    *(each.value for each in Doubt),
    FIRST_LINE_AWAITED,
)
"""Which reason a stream is said to wait for, where its parts wait for several: what a person can
answer comes before what time alone does."""


class Because(StrEnum):
    """Why a rule says what it says: it is due, waits, or which of its sets does not fit."""

    DUE = "due"
    STATUS = "status"
    REALM = "realm"
    LABORATORY = "laboratory"
    DEPARTMENT = "department"
    AGE = "age"
    CONDITION = "condition"
    KIND = "kind"
    RESULT = "result"
    SECOND_LINE = "second_line"
    AGAIN = "again"
    OTHER_REALM = "other_realm"
    QUALIFIED = "qualified"
    DOUBT = "doubt"
    FIRST_LINE = "first_line"
    EARLIER_RULE = "earlier_rule"
    NO_RULE = "no_rule"
    OPPOSED = "opposed"


class Ages(msgspec.Struct, frozen=True, array_like=True):
    """Completed years, both ends included."""

    first: int
    last: int


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a report is due in a stream, and as what. An empty set asks for nothing."""

    id: str
    stream: Stream
    projection: ProjectionName
    why: str
    must: tuple[Facts, ...]
    must_not: tuple[Facts, ...]
    statuses: frozenset[ResultStatus] = frozenset()
    conditions: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    results: frozenset[Result] = frozenset()
    laboratories: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    ages: Ages | None = None
    realms: frozenset[Realm] = frozenset()
    holds_on: frozenset[str] = frozenset()
    """Doubts for which the stream waits, where they concern this rule's conditions."""
    needs_qualified: bool = False
    counts_only: bool = False
    """Only the report of a case that counts; else every one of a known case."""
    once_an_episode: bool = False
    """Not for a condition that the person had already, in another case of the same episode."""


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules say of one report in one stream."""

    because: Because
    due: bool = False
    rule: str = NO_RULE
    hold: str = ""
    """Why it waits; where it is due all the same, why the rest of it waits."""
    finding: int | None = None
    """Index of the finding that made it due; None where the rule asks for none."""
    projection: ProjectionName | None = None


NO_RULING: Final = Ruling(because=Because.NO_RULE)
_NOT: Final = {because: Ruling(because=because) for because in Because}


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A version of all rules; within a stream the first that applies decides, doubts before all."""

    version: str
    rules: tuple[Rule, ...]

    @cached_property
    def sight(self) -> Sight:
        """What these rules look at."""
        bands = [rule.ages for rule in self.rules if rule.ages is not None]
        return Sight(
            laboratories=frozenset().union(*(rule.laboratories for rule in self.rules)),
            departments=frozenset().union(*(rule.departments for rule in self.rules)),
            cuts=tuple(sorted({cut for band in bands for cut in (band.first, band.last + 1)})),
            realms=any(rule.realms for rule in self.rules),
            again=any(rule.once_an_episode for rule in self.rules),
            doubts=frozenset().union(*(rule.holds_on for rule in self.rules)),
        )

    def judge(self, facts: Facts) -> Mapping[Stream, Mapping[str, Ruling]]:
        """Return for every stream what is due or waits, by part; pure, the same for the same facts.

        Each condition of a report is judged as if the report told of nothing else: what is known of
        one neither hides another nor waits for it. A dossier has one part, the whole report.
        """
        found: dict[Stream, Mapping[str, Ruling]] = {}
        for stream in STREAMS:
            rulings = {
                part: self.judge_stream(stream, facts, part) for part in parts_of(stream, facts)
            }
            if stream in BY_CONDITION:
                rulings = {
                    part: ruling for part, ruling in rulings.items() if ruling.rule != NO_RULE
                }
            found[stream] = rulings
        return found

    def judge_stream(self, stream: Stream, facts: Facts, part: str = WHOLE) -> Ruling:
        """Return the ruling for a part: the first rule that applies, or a doubt in its place.

        A doubt about one condition never keeps back what is known of another: the stream is then
        due and waits for the rest, and both are said. Else it holds the stream, however the rules
        are cut: what is not understood is neither dropped nor guessed.
        """
        chosen = doubted = NO_RULING
        for rule in self.rules:
            if rule.stream is stream and (not part or part in rule.conditions):
                ruling = rule_on(rule, facts, part)
                if ruling.because is Because.DOUBT:
                    doubted = ruling if doubted is NO_RULING else doubted
                elif ruling.rule != NO_RULE and chosen.rule == NO_RULE:
                    chosen = ruling
        if doubted is NO_RULING:
            return chosen
        return msgspec.structs.replace(chosen, hold=doubted.hold) if chosen.due else doubted


def first_hold(reasons: Iterable[str]) -> str:
    """Return the reason a stream is said to wait for; empty where no part of it waits."""
    waited = frozenset(reasons)
    return next((reason for reason in _HOLDS_IN_ORDER if reason in waited), "")


def rule_on(rule: Rule, facts: Facts, part: str = WHOLE) -> Ruling:
    """Return what one rule says: due, on hold, or nothing (`NO_RULE`), and because of what.

    Args:
        rule: The rule.
        facts: Of the whole report.
        part: The condition that is looked at, as if the report told of no other.
    """
    unfit = _unfit(rule, facts, part)
    if unfit is not None:
        return _NOT[unfit]
    finding, because = None, Because.DUE
    if rule.results:
        finding, because = _decisive(rule, facts, part)
    found = because is Because.DUE
    doubt, rest = _doubts(rule, facts, part, finding, found=found) if facts.doubts else ("", "")
    if because is Because.DUE and rule.statuses and facts.status not in rule.statuses:
        because = Because.STATUS  # it came this far by a doubt alone
    if because is not Because.DUE and not doubt:
        return _NOT[because]
    if not facts.ins_realm_ok:
        return Ruling(because=Because.OTHER_REALM, rule=rule.id, hold=WRONG_REALM)
    if rule.needs_qualified and not facts.qualified:
        return Ruling(because=Because.QUALIFIED, rule=rule.id, hold=NOT_QUALIFIED)
    if doubt:
        return Ruling(because=Because.DOUBT, rule=rule.id, hold=doubt)
    if finding is not None and facts.findings[finding][0] in facts.waiting:
        return Ruling(because=Because.FIRST_LINE, rule=rule.id, hold=FIRST_LINE_AWAITED)
    return Ruling(
        because=Because.DUE,
        due=True,
        rule=rule.id,
        hold=rest,
        finding=finding,
        projection=rule.projection,
    )


def _unfit(rule: Rule, facts: Facts, part: str) -> Because | None:
    """Return the first set that does not fit; what is not known fits no set."""
    is_said = not rule.statuses or facts.status in rule.statuses
    if not is_said and not _status_doubted(rule, facts, part):
        return Because.STATUS
    if rule.realms and facts.realm not in rule.realms:
        return Because.REALM
    if rule.laboratories and facts.laboratory not in rule.laboratories:
        return Because.LABORATORY
    if rule.departments and facts.department not in rule.departments:
        return Because.DEPARTMENT
    ages = rule.ages
    if ages is not None and (facts.age is None or not ages.first <= facts.age <= ages.last):
        return Because.AGE
    return None


def _decisive(rule: Rule, facts: Facts, part: str) -> tuple[int | None, Because]:
    """Return the decisive finding of a part, or why there is none.

    One that counts comes first, else one of a known case, else one that waits.
    """
    missing = Because.CONDITION
    best: int | None = None
    lowest = 3
    for index, (condition, kind, result) in enumerate(facts.findings):
        if condition not in rule.conditions or part not in {WHOLE, condition}:
            continue
        if kind not in rule.kinds:
            missing = _later(missing, Because.KIND)
        elif result not in rule.results:
            missing = _later(missing, Because.RESULT)
        elif rule.once_an_episode and condition in facts.again:
            missing = _later(missing, Because.AGAIN)
        else:
            rank = 2 if condition in facts.waiting else 1 if condition in facts.beside else 0
            if rule.counts_only and rank:
                missing = _later(missing, Because.SECOND_LINE)
            elif rank < lowest:
                best, lowest = index, rank
    return (best, Because.DUE) if best is not None else (None, missing)


_ORDER: Final = {each: place for place, each in enumerate(Because)}


def _later(one: Because, other: Because) -> Because:
    """Return what a finding came to last: of several, the one that came nearest is told of."""
    return max(one, other, key=_ORDER.__getitem__)


def _doubts(
    rule: Rule, facts: Facts, part: str, finding: int | None, *, found: bool
) -> tuple[str, str]:
    """Return the doubt for which the stream waits, and one for which the rest of it waits.

    Of several the first by name; empty where there is none. A doubt that names no condition
    concerns all of what is due otherwise; one that names another than the finding's, only the rest.
    One about a kind of analysis that this rule does not ask for is none of its.
    """
    about = "" if finding is None else facts.findings[finding][0]
    whole, rest = [], []
    for reason, condition, kind in facts.doubts:
        if reason not in rule.holds_on or (rule.stream, reason) in facts.released:
            continue
        if kind and rule.kinds and kind not in rule.kinds:
            continue
        if condition and part not in {WHOLE, condition}:
            continue
        if not condition:
            whole += [reason] if found else []
        elif not rule.conditions or (condition in rule.conditions and about in {"", condition}):
            whole.append(reason)
        elif condition in rule.conditions:
            rest.append(reason)
    return min(whole, default=""), min(rest, default="")


def _status_doubted(rule: Rule, facts: Facts, part: str) -> bool:
    """Say whether it waits because nobody can say which status is the true one."""
    return (
        Doubt.STATUS_CONTRADICTS in rule.holds_on
        and (rule.stream, Doubt.STATUS_CONTRADICTS.value) not in facts.released
        and any(
            reason == Doubt.STATUS_CONTRADICTS
            and condition in rule.conditions
            and part in {WHOLE, condition}
            for reason, condition, _ in facts.doubts
        )
    )
