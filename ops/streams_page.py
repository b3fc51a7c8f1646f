"""Writes docs/streams/*.json, an event of each stream: `python -m ops.streams_page`.

They are what the hub makes of the one fixed message (ops/simulate/sample.py), about the test
identity of the ANS; docs/streams.md explains them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from ingest.header import Header, read_header
from ingest.judge import LabProfile, judge
from ops.simulate.sample import sample_message
from routing.emitted import event_id_of
from routing.router import Case, PersonView, Router, load_own_rules
from routing.streams import encode_line
from schemas.decision import Line, Realm, Standing
from schemas.events import EventKind, StreamEvent
from schemas.topics import STREAMS, Stream

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "streams"
_REPORT: Final = UUID("018f2f6e-0000-7000-8000-000000000001")
_AT: Final = datetime(2026, 3, 6, 9, 15, 3, tzinfo=UTC)
_SECRET: Final = bytes(range(32))


def example(stream: Stream) -> dict[str, Any]:
    """Return the event of a stream, always the same."""
    raw = sample_message()
    header = read_header(raw)
    assert isinstance(header, Header), "the sample has a header"
    mapped = judge(raw, header, LabProfile(), Realm.TEST).mapped
    assert mapped is not None, "the sample can be mapped"
    (report,) = mapped.reports
    assert report.performer is not None, "the sample names its laboratory"
    router = Router(load_own_rules(), _SECRET, Realm.TEST)
    case = Case(
        report=report,
        traits=mapped.traits,
        person=PersonView(person_id=7, person_version=1, qualified_ins=mapped.traits.ins[0]),
        realm=Realm.TEST,
        laboratory=report.performer,
        report_id=_REPORT,
        received_at=_AT,
        version=1,
        standings={"sars-cov-2": Standing(case_id=_REPORT, line=Line.FIRST)},
        model_version="fr-2",
        mapping_version="2",
    )
    decision = router.route(case)
    ((part, routed),) = decision.parts[stream].items()
    event = StreamEvent(
        event_id=event_id_of(stream, _REPORT, 1, part),
        stream=stream,
        partition=11,
        seq=4711,
        report_id=_REPORT,
        event_version=1,
        kind=EventKind.PUBLISHED,
        reason="new",
        realm=Realm.TEST.value,
        rule=routed.rule,
        rule_version=decision.rule_version,
        person_version=1,
        emitted_at=_AT,
        part=part,
        body=msgspec.Raw(router.project(stream, part, case, decision).body),
    )
    found: dict[str, Any] = json.loads(encode_line(event))
    return found


def text(stream: Stream) -> str:
    """Return the file of a stream's example."""
    return json.dumps(example(stream), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the examples."""
    FOLDER.mkdir(exist_ok=True)
    for stream in STREAMS:
        path = FOLDER / f"{stream.value}.json"
        path.write_text(text(stream), "utf-8")
        print(path)  # noqa: T201 - a command says what it wrote


if __name__ == "__main__":
    main()
