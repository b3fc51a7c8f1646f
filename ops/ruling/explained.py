"""What `route explain` tells of a report: facts as rules see them, and each rule's say. Pure.

Nothing nominative: codes and statuses; place, age and laboratory only as far as a rule looks at
them, an age as the youngest that all rules take for the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

import msgspec

from routing.case import Case
from routing.explaining import SAYS, StreamExplained, explain
from routing.facts import Facts
from routing.rules import Rules
from schemas.topics import Stream


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The last event that a stream had of the report."""

    stream: Stream
    part: str
    event_version: int
    kind: str
    rule: str
    rule_version: str


class ReportExplained(msgspec.Struct, frozen=True, kw_only=True):
    """One report: where it goes by a set of rules, and why."""

    where: str
    """In its file or message."""
    rules: str
    """The version of the set."""
    facts: Facts
    opposes_dossier: bool
    streams: tuple[StreamExplained, ...]
    report_id: UUID | None = None
    version: int = 0
    held: tuple[Held, ...] = ()


class MessageExplained(msgspec.Struct, frozen=True, kw_only=True):
    """One message: its reports, or why there is none to route."""

    where: str
    reports: tuple[ReportExplained, ...] = ()
    ending: str = ""
    """What became of it, or would: dispatched, parked, refused, duplicate."""
    reason: str = ""


def explain_case(rules: Rules, case: Case, where: str) -> ReportExplained:
    """Return why a report goes where it goes."""
    facts = case.facts_in(rules.sight)
    opposes = case.person.opposes_dossier
    return ReportExplained(
        where=where,
        rules=rules.version,
        facts=facts,
        opposes_dossier=opposes,
        streams=explain(rules, facts, opposes_dossier=opposes),
    )


def as_text(messages: Iterable[MessageExplained]) -> str:
    """Return it for a terminal."""
    return "\n".join(line for message in messages for line in _message(message)) + "\n"


def _message(message: MessageExplained) -> Iterator[str]:
    if not message.reports:
        because = f" ({message.reason})" if message.reason else ""
        yield f"{message.where}: {message.ending}{because}, no report to route"
    for report in message.reports:
        version = f", version {report.version}" if report.version else ""
        yield f"{report.where}{version}, by the rules {report.rules}"
        yield f"  facts: {_facts(report.facts)}" + (
            "; the patient opposes the dossier" if report.opposes_dossier else ""
        )
        for stream in report.streams:
            yield from _stream(stream)
        for held in report.held:
            yield (
                f"  {_named(held)}: {held.kind} last, version {held.event_version}, by {held.rule}"
                f" of {held.rule_version}"
            )


def _stream(stream: StreamExplained) -> Iterator[str]:
    named = _named(stream)
    if stream.due:
        rest = f"; the rest WAITS for {stream.hold}" if stream.hold else ""
        yield f"  {named}: DUE as {stream.projection}, by {stream.rule}{rest}"
    elif stream.hold:
        yield f"  {named}: WAITS for {stream.hold}, by {stream.rule}"
    else:
        yield f"  {named}: not due, {SAYS[stream.because]}"
    width = max((len(each.rule) for each in stream.rules), default=0)
    for each in stream.rules:
        mark = "*" if each.decides else "-"
        yield f"    {mark} {each.rule:<{width}}  {SAYS[each.because]}" + (
            f" ({each.hold})" if each.hold else ""
        )


def _named(told: StreamExplained | Held) -> str:
    return f"{told.stream} {told.part}".rstrip()


def _facts(facts: Facts) -> str:
    parts = [f"status {facts.status.value}"]
    parts += [" ".join(finding) for finding in facts.findings]
    parts.append("qualified" if facts.qualified else "not qualified")
    if not facts.ins_realm_ok:
        parts.append("INS of another realm")
    for name, codes in (
        ("second line of", facts.beside),
        ("first line awaited of", facts.waiting),
        ("again", facts.again),
    ):
        if codes:
            parts.append(f"{name} {', '.join(sorted(codes))}")
    parts += [" ".join(("doubt", *filter(None, each))) for each in sorted(facts.doubts)]
    parts += [f"released {reason} in {stream}" for stream, reason in sorted(facts.released)]
    for name, value in (("laboratory", facts.laboratory), ("department", facts.department)):
        if value:
            parts.append(f"{name} {value}")
    if facts.age is not None:
        parts.append(f"age from {facts.age}")
    return "; ".join(parts)
