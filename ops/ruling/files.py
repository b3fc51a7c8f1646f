"""Files of rules and of messages, looked at without a hub: `route check`, `route explain FILE`.

Loads no database client and no event loop.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from dedup.key_function import KeyFunction
from ingest.ack import ACK_CODES
from ingest.header import HeaderError, read_header
from ingest.judge import LabProfile, judge
from ops.checking.files import read_file
from ops.printing import print_json
from ops.splitting import Part, split_parts
from routing.case import Case, PersonView
from routing.rule_file import MAX_FILE_BYTES, Fault, own_source, read_rules
from routing.rules import Rules
from schemas.decision import Line, Realm, Standing
from schemas.errors import PermanentError
from schemas.patient import Ins, Phi, Traits
from schemas.report import LabReport, Organisation

from .explained import MessageExplained, as_text, explain_case

SHIPPED: Final = "shipped"
"""Names the rules of the release where a file of rules is asked for."""
_NOBODY: Final = UUID(int=0)
_NO_ONE: Final = Organisation()
# Only says whether an INS counts; no key leaves.
_KEYS: Final = b"no person is looked for here....."


class Assumed(Phi, frozen=True, kw_only=True):
    """What a hub would know beside the message."""

    realm: Realm = Realm.TEST
    qualified: bool | None = None
    """None: where the message itself brings a qualified INS."""
    opposes: bool = False
    laboratory: str = ""
    """Its number in the register; empty: the sending facility."""
    second_lines: frozenset[str] = frozenset()
    """Conditions of whose case another report counts."""
    again: frozenset[str] = frozenset()
    """Conditions whose episode another case opened."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What `route check` found in one file."""

    file: str
    version: str
    rules: int
    examples: int
    faults: tuple[Fault, ...]


def read_source(name: str) -> bytes:
    """Return a file of rules, or the one of the release for `shipped`.

    Raises:
        PermanentError: It cannot be read.
    """
    if name == SHIPPED and not Path(name).exists():
        return own_source()
    content = read_file(name)
    return content[: MAX_FILE_BYTES + 1]


def rules_of(name: str, source: bytes) -> Rules:
    """Return the rules of a file.

    Raises:
        PermanentError: `rules_invalid`, with file, line and why of the first fault.
    """
    read = read_rules(source)
    if read.rules is None:
        more = len(read.faults) - 1
        rest = f" (and {more} more: labdispatch route check {name})" if more else ""
        raise PermanentError("rules_invalid", f"{name}:{read.faults[0]}{rest}")
    return read.rules


def check_file(name: str) -> Checked:
    """Check a file of rules, and run its examples.

    Raises:
        PermanentError: It cannot be read.
    """
    read = read_rules(read_source(name))
    rules = () if read.rules is None else read.rules.rules
    return Checked(
        file=name,
        version="" if read.rules is None else read.rules.version,
        rules=len(rules),
        examples=sum(len(rule.must) + len(rule.must_not) for rule in rules),
        faults=read.faults,
    )


def checked_as_text(checked: Checked) -> str:
    """Return it for a terminal, as compilers write."""
    if checked.faults:
        return "".join(f"{checked.file}:{fault}\n" for fault in checked.faults)
    return (
        f"{checked.file}: version {checked.version}, {checked.rules} rules,"
        f" {checked.examples} examples hold\n"
    )


def explain_file(
    rules: Rules, name: str, assumed: Assumed, now: datetime
) -> Iterator[MessageExplained]:
    """Yield why each message of a file would go where it would go.

    Raises:
        PermanentError: It cannot be read.
    """
    for number, part in enumerate(split_parts(read_file(name)), 1):
        yield _explain(rules, part, f"{name}:{number}", assumed, now)


def _explain(
    rules: Rules, part: Part, where: str, assumed: Assumed, now: datetime
) -> MessageExplained:
    if part.fault:
        return MessageExplained(where=where, ending="no message", reason=part.fault)
    header = read_header(part.raw)
    if isinstance(header, HeaderError):
        return MessageExplained(where=where, ending="rejected", reason=header.finding.code)
    judged = judge(part.raw, header, LabProfile(), assumed.realm)
    mapped = judged.mapped
    if mapped is None:
        why = judged.unmappable or next(iter(judged.findings), None)
        ending = "parked" if judged.unmappable else f"answered {ACK_CODES[judged.ruling]}"
        return MessageExplained(where=where, ending=ending, reason=why.code if why else "")
    laboratory = assumed.laboratory or header.registry_id
    reports = tuple(
        explain_case(
            rules,
            _case(report, mapped.traits, assumed, laboratory, now),
            f"{where}, report {report.position}",
        )
        for report in mapped.reports
    )
    return MessageExplained(where=where, reports=reports, ending="dispatched")


def _case(
    report: LabReport, traits: Traits, assumed: Assumed, laboratory: str, now: datetime
) -> Case:
    ins = _own_ins(traits, assumed.realm)
    if assumed.qualified is not None:
        ins = (ins or _any_ins(assumed.realm)) if assumed.qualified else None
    lines = {code: Standing(_NOBODY, Line.SECOND) for code in assumed.second_lines}
    lines |= {code: Standing(_NOBODY, Line.FIRST, again=True) for code in assumed.again}
    return Case(
        report=report,
        traits=traits,
        person=PersonView(
            person_id=0, person_version=0, qualified_ins=ins, opposes_dossier=assumed.opposes
        ),
        realm=assumed.realm,
        laboratory=report.performer or _NO_ONE,
        report_id=_NOBODY,
        received_at=now,
        version=1,
        standings=lines,
        registry_id=laboratory,
    )


def _own_ins(traits: Traits, realm: Realm) -> Ins | None:
    """Return the message's own INS where it counts, as dispatch finds it."""
    found = KeyFunction(realm, _KEYS).derive(traits).ins
    return None if found is None else found.ins


def _any_ins(realm: Realm) -> Ins:
    """Return an INS that says only that there is one."""
    return Ins(matricule="", oid=_OIDS[realm])


_OIDS: Final = {
    Realm.TEST: "1.2.250.1.213.1.4.10",
    Realm.PRODUCTION: "1.2.250.1.213.1.4.8",
}


def print_explained_file(rules_name: str, name: str, assumed: Assumed, *, as_json: bool) -> int:
    """Print why each message of a file would go where it would go; 1 where there is no report.

    Raises:
        PermanentError: A file cannot be read, or the rules have a fault.
    """
    rules = rules_of(rules_name, read_source(rules_name))
    now = datetime.now(UTC)
    any_report = False
    for message in explain_file(rules, name, assumed, now):
        any_report = any_report or bool(message.reports)
        if as_json:
            print_json(message)
        else:
            sys.stdout.write(as_text([message]))
    return 0 if any_report else 1
