"""What a report's own holds, and its place in a case, keep from being told. Pure.

Whoever waits for a person must keep nobody else from being told: a positive that is doubted, or
that is a test in production, has no weight in its case until it goes out (docs/cases.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from schemas.decision import Line, Standing
from schemas.topics import Stream

from .doubts import DOUBTS
from .rules import WRONG_REALM, Facts, Rules

_BY_CASE: Final = (Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH)
"""Streams that look at cases; the first whose rules look for the condition decides."""
_FOR_A_PERSON: Final = DOUBTS | {WRONG_REALM}


def withheld(rules: Rules, facts: Facts) -> frozenset[str]:
    """Return the conditions of which a report is told nothing for now, however its case stands.

    Each is judged as if the report told of nothing else and stood alone.
    """
    named = {sign[0] for sign in facts.findings} | {about for _, about in facts.doubts if about}
    return frozenset(each for each in named if _is_withheld(rules, _alone(facts, each)))


def stands_back(rules: Rules, stream: Stream, standings: Iterable[Standing]) -> bool:
    """Say whether no rule of a stream tells of a report that stands so, whatever it says.

    Of one without a place in any case nothing is known.
    """
    told = list(standings)
    asked = [rule for rule in rules.rules if rule.stream is stream]
    return bool(told and asked) and all(
        standing.waits
        or (rule.counts_only and standing.line is Line.SECOND)
        or (rule.once_an_episode and standing.again)
        for standing in told
        for rule in asked
    )


def _is_withheld(rules: Rules, facts: Facts) -> bool:
    for stream in _BY_CASE:
        ruling = rules.judge_stream(stream, facts)
        if ruling.due:
            return False
        if ruling.hold in _FOR_A_PERSON:
            return True
    return False


def _alone(facts: Facts, condition: str) -> Facts:
    return msgspec.structs.replace(
        facts,
        findings=tuple(sign for sign in facts.findings if sign[0] == condition),
        doubts=frozenset(doubt for doubt in facts.doubts if doubt[1] in {"", condition}),
        beside=frozenset(),
        waiting=frozenset(),
        again=frozenset(),
    )
