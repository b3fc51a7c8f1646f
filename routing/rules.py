"""Which reports are due in which stream: rules as data, each with examples checked at load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.codes import CONDITIONS, Kind, Result
from schemas.errors import FatalError
from schemas.report import ResultStatus
from schemas.topics import STREAMS, Stream

NOT_QUALIFIED: Final = "identity_not_qualified"
WRONG_REALM: Final = "ins_of_other_realm"
FIRST_LINE_AWAITED: Final = "first_line_awaited"
NO_RULE: Final = "none"

Sign = tuple[str, Kind, Result]
"""A finding as rules see it: condition, kind of analysis, result."""


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a rule may look at; also the form of an example."""

    status: ResultStatus
    findings: tuple[Sign, ...] = ()
    """The decisive one first."""
    qualified: bool = True
    """The person has a qualified INS of this realm."""
    ins_realm_ok: bool = True
    """False: a test INS in production."""
    beside: frozenset[str] = frozenset()
    """Conditions of whose case another report counts."""
    waiting: frozenset[str] = frozenset()
    """Conditions whose case is not known: this is a second line, and its first has not come."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a report is due in a stream. No `statuses`: any; no `results`: with or without one."""

    id: str
    stream: Stream
    why: str
    must: tuple[Facts, ...]
    must_not: tuple[Facts, ...]
    statuses: frozenset[ResultStatus] = frozenset()
    conditions: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    results: frozenset[Result] = frozenset()
    needs_qualified: bool = False
    counts_only: bool = False
    """Only the report of a case that counts; else every one of a known case."""


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules say of one report in one stream."""

    due: bool = False
    rule: str = NO_RULE
    hold: str = ""
    finding: int | None = None
    """Index of the finding that made it due; None where the rule asks for none."""


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of all rules; within a stream the first that applies decides."""

    version: str
    rules: tuple[Rule, ...]

    def judge(self, facts: Facts) -> Mapping[Stream, Ruling]:
        """Return a ruling for every stream; pure, the same for the same facts."""
        return {stream: self.judge_stream(stream, facts) for stream in STREAMS}

    def judge_stream(self, stream: Stream, facts: Facts) -> Ruling:
        """Return the ruling for one stream."""
        for rule in self.rules:
            if rule.stream is stream:
                ruling = rule_on(rule, facts)
                if ruling.rule != NO_RULE:
                    return ruling
        return Ruling()


def rule_on(rule: Rule, facts: Facts) -> Ruling:
    """Return what one rule says: due, on hold, or nothing (`NO_RULE`)."""
    if rule.statuses and facts.status not in rule.statuses:
        return Ruling()
    finding = None
    if rule.results:
        finding = _first(rule, facts)
        if finding is None:
            return Ruling()
    if not facts.ins_realm_ok:
        return Ruling(rule=rule.id, hold=WRONG_REALM)
    if rule.needs_qualified and not facts.qualified:
        return Ruling(rule=rule.id, hold=NOT_QUALIFIED)
    if finding is not None and facts.findings[finding][0] in facts.waiting:
        return Ruling(rule=rule.id, hold=FIRST_LINE_AWAITED)
    return Ruling(due=True, rule=rule.id, finding=finding)


def load_rules(source: bytes) -> Rules:
    """Return the rules of a JSON text once every example of every rule holds.

    Raises:
        FatalError: `rules_invalid`: unreadable, incomplete, or an example that fails.
    """
    try:
        rules = msgspec.json.decode(source, type=Rules)
    except msgspec.MsgspecError as error:
        raise _invalid(f"the file does not hold rules ({error})") from None
    names = [rule.id for rule in rules.rules]
    if not rules.version or not names or len(set(names)) != len(names) or NO_RULE in names:
        raise _invalid("a version and rules with ids of their own are needed")
    for rule in rules.rules:
        _check(rule)
    return rules


def _check(rule: Rule) -> None:
    if not rule.must or not rule.must_not:
        raise _invalid(f"{rule.id} needs examples under must and must_not")
    asked = (rule.conditions, rule.kinds, rule.results)
    if any(asked) and not all(asked):
        raise _invalid(f"{rule.id}: conditions, kinds and results go together")
    if rule.conditions - CONDITIONS.keys():
        raise _invalid(f"{rule.id} names a condition that schemas/codes does not hold")
    for name, wanted, examples in (("must", True, rule.must), ("must_not", False, rule.must_not)):
        for number, example in enumerate(examples, start=1):
            if any(condition not in CONDITIONS for condition, _, _ in example.findings):
                raise _invalid(f"{rule.id}: {name} {number} names an unknown condition")
            if rule_on(rule, example).due is not wanted:
                raise _invalid(f"{rule.id}: {name} {number} does not hold")


def _first(rule: Rule, facts: Facts) -> int | None:
    """Return the decisive finding: one that counts, else of a known case, else one that waits."""
    fitting = [
        index
        for index, (condition, kind, result) in enumerate(facts.findings)
        if condition in rule.conditions and kind in rule.kinds and result in rule.results
    ]
    if not (facts.beside or facts.waiting):
        return fitting[0] if fitting else None

    def rank(index: int) -> int:
        condition = facts.findings[index][0]
        return 2 if condition in facts.waiting else 1 if condition in facts.beside else 0

    best = min(fitting, key=rank, default=None)
    return None if best is None or (rule.counts_only and rank(best) > 0) else best


def _invalid(what: str) -> FatalError:
    return FatalError("rules_invalid", f"{what}: correct routing/rules.json")
