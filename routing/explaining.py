"""Rule by rule, why a report goes where it goes: by the code that decides, and no other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.decision import ProjectionName
from schemas.topics import STREAMS, Stream

from .facts import WHOLE, Facts, parts_of
from .rules import NO_RULE, Because, Rule, Rules, Ruling, rule_on

OPPOSED_RULE: Final = "patient_opposes"

SAYS: Final[Mapping[Because, str]] = {
    Because.DUE: "it is due",
    Because.STATUS: "its status is not among statuses",
    Because.REALM: "its realm is not among realms",
    Because.LABORATORY: "its laboratory is not among laboratories",
    Because.DEPARTMENT: "its department is not among departments, or not known",
    Because.AGE: "its age is outside ages, or not known",
    Because.CONDITION: "no finding of it has one of the conditions",
    Because.KIND: "no finding of it has one of the kinds",
    Because.RESULT: "no finding of it has one of the results",
    Because.SECOND_LINE: "another report of its case counts (counts_only)",
    Because.AGAIN: "another case opened its episode (once_an_episode)",
    Because.OTHER_REALM: "its INS is of another realm, so it waits",
    Because.QUALIFIED: "its person is not qualified, so it waits (needs_qualified)",
    Because.DOUBT: "a doubt holds it (holds_on)",
    Because.FIRST_LINE: "it waits for its first line",
    Because.EARLIER_RULE: "a rule above it, or a doubt, has decided",
    Because.NO_RULE: "no rule says that it is due",
    Because.OPPOSED: "the patient opposes the dossier",
}
"""What a person reads for each reason."""


class RuleWeighed(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says of a report."""

    rule: str
    decides: bool
    """Whether it is the one that the stream follows."""
    because: Because
    """What its sets say; of a rule that would apply and came too late: `earlier_rule`."""
    hold: str = ""


class StreamExplained(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream gets of a part of a report, and what each of its rules says."""

    stream: Stream
    part: str
    """A condition; empty: the whole report, also where it tells of no condition."""
    due: bool
    projection: ProjectionName | None
    rule: str
    hold: str
    """Why it waits; where it is due all the same, why the rest of it waits."""
    because: Because
    rules: tuple[RuleWeighed, ...]


def explain(
    rules: Rules, facts: Facts, *, opposes_dossier: bool = False
) -> tuple[StreamExplained, ...]:
    """Return for each stream and part of the report what it gets and why.

    Args:
        rules: The set.
        facts: Of the report.
        opposes_dossier: The patient's word, which stands over all rules of the dossier.
    """
    return tuple(
        _stream(rules, stream, facts, part, opposes=opposes_dossier and stream is Stream.DOSSIER)
        for stream in STREAMS
        for part in parts_of(stream, facts) or (WHOLE,)
    )


def _stream(
    rules: Rules, stream: Stream, facts: Facts, part: str, *, opposes: bool
) -> StreamExplained:
    ruling = rules.judge_stream(stream, facts, part)
    if opposes:
        ruling = Ruling(because=Because.OPPOSED, rule=OPPOSED_RULE)
    return StreamExplained(
        stream=stream,
        part=part,
        due=ruling.due,
        projection=ruling.projection,
        rule=ruling.rule,
        hold=ruling.hold,
        because=ruling.because,
        rules=tuple(
            _weighed(rule, facts, part, ruling) for rule in rules.rules if rule.stream is stream
        ),
    )


def _weighed(rule: Rule, facts: Facts, part: str, chosen: Ruling) -> RuleWeighed:
    said = rule_on(rule, facts, part)
    if rule.id == chosen.rule:
        return RuleWeighed(rule=rule.id, decides=True, because=said.because, hold=said.hold)
    because = said.because
    if because is Because.DOUBT and chosen.hold and chosen.because is not Because.OPPOSED:
        # It keeps back its own part of a stream that is due by another rule.
        return RuleWeighed(rule=rule.id, decides=False, because=because, hold=said.hold)
    if said.rule != NO_RULE:
        opposed = chosen.because is Because.OPPOSED
        because = Because.OPPOSED if opposed else Because.EARLIER_RULE
    return RuleWeighed(rule=rule.id, decides=False, because=because)
