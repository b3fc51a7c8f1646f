"""Tables, extractions and lines of exports, without a database."""

from __future__ import annotations

import io
import random
import sys
import typing
from datetime import UTC, date, datetime
from itertools import pairwise
from uuid import UUID

import click
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.cli.stream import pairs_of
from ops.exporting.columns import inside_schema_of, schema_of
from ops.exporting.extraction import Extraction, decode_extraction, encode_extraction
from ops.exporting.files import GROUP_ROWS, grouped
from ops.exporting.lines import lines_of
from ops.exporting.progress import Bars
from ops.exporting.tables import REPLACED, REPLACED_RULE, RESULT, TABLES, Kind, table_of_rule
from ops.stewards.replacing import RULE
from schemas.errors import PermanentError
from schemas.events import EventHeader, EventKind, PseudonymReplaced, StreamEvent
from schemas.topics import STREAMS, Stream
from tests.support.exporting import case, health_row

AT = datetime(2026, 3, 6, 9, 15, 3, 7, tzinfo=UTC)
INSTANCE = UUID(int=7)


def event(stream: Stream, body: object, **changes: object) -> StreamEvent:
    fields: dict[str, typing.Any] = {
        "event_id": UUID(int=1),
        "stream": stream,
        "partition": 3,
        "seq": 4,
        "report_id": UUID(int=2),
        "event_version": 1,
        "kind": EventKind.PUBLISHED,
        "reason": "new",
        "realm": "test",
        "rule": "covid",
        "rule_version": "1",
        "person_version": 1,
        "emitted_at": AT,
        "part": "sars-cov-2",
        "body": None if body is None else msgspec.Raw(msgspec.json.encode(body)),
        "cursor": "c",
    }
    return StreamEvent(**(fields | changes))


def test_every_field_of_the_streams_is_a_column_of_its_name() -> None:
    for stream in STREAMS:
        for table in TABLES[stream]:
            names = [column.name for column in table.columns]
            assert len(set(names)) == len(names)
            assert set(EventHeader.__struct_fields__) - {"stream"} <= set(names)
            fields = () if table.body is None else table.body.__struct_fields__
            assert set(fields) - {"record"} <= set(names)
            assert schema_of(table).names == names


def test_kinds_are_those_of_the_types() -> None:
    kinds = {column.name: column.kind for column in RESULT.columns}
    wanted = {
        "age": Kind.WHOLE,
        "new_case": Kind.FLAG,
        "sampled_on": Kind.DAY,
        "emitted_at": Kind.MOMENT,
        "seq": Kind.LONG,
        "condition": Kind.CODE,
        "pseudonym": Kind.TEXT,
    }
    assert wanted.items() <= kinds.items()
    assert str(schema_of(RESULT).field("sampled_on").type) == "date32[day]"


def test_an_alias_has_a_table_of_its_own_also_once_it_is_withdrawn() -> None:
    assert REPLACED_RULE == RULE
    assert table_of_rule(Stream.PUBLIC_HEALTH, RULE) is REPLACED
    assert table_of_rule(Stream.PUBLIC_HEALTH, "covid") is RESULT


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 10**12)), min_size=1, max_size=5))
@settings(max_examples=25)
def test_an_extraction_is_its_text(lanes: list[tuple[int, int]]) -> None:
    held = Extraction(
        stream=Stream.DOSSIER,
        at=AT,
        instance=INSTANCE,
        begins=tuple(begins for begins, _ in lanes),
        positions=tuple(begins - 1 + more for begins, more in lanes),
    )
    text = encode_extraction(held)
    assert decode_extraction(text, Stream.DOSSIER, INSTANCE) == held
    assert held.events == sum(more for _, more in lanes)
    for stream, instance in ((Stream.PUBLIC_HEALTH, INSTANCE), (Stream.DOSSIER, UUID(int=8))):
        with pytest.raises(PermanentError, match="bad_extraction"):
            decode_extraction(text, stream, instance)


@given(st.text(max_size=60))
@settings(max_examples=50)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(PermanentError, match="bad_extraction"):
        decode_extraction(text, Stream.DOSSIER, INSTANCE)


def test_csv_quotes_joins_and_leaves_empty() -> None:
    lines = lines_of("csv", Stream.CONTACT_TRACING)
    head = lines.head().decode().strip().split(",")
    row = lines.line(event(Stream.CONTACT_TRACING, case(random.Random(1), date(2026, 3, 5))))
    assert b'"DOMINIQUE, dite ""DODO"""' in row
    assert b",0639980001 | 0199990002,," in row
    assert head[-1] == "cursor"
    withdrawn = lines.line(event(Stream.CONTACT_TRACING, None, kind=EventKind.WITHDRAWN))
    assert withdrawn.count(b",") == len(head) - 1


def test_csv_of_public_health_has_one_head_for_both_bodies() -> None:
    lines = lines_of("csv", Stream.PUBLIC_HEALTH)
    head = lines.head().decode().strip().split(",")
    body = PseudonymReplaced(old="0" * 32, new="1" * 32, period="2026-H1")
    told = event(Stream.PUBLIC_HEALTH, body, rule=RULE, part="")
    row = dict(zip(head, lines.line(told).decode().strip().split(","), strict=True))
    assert (row["record"], row["old"], row["condition"]) == ("pseudonym_replaced", "0" * 32, "")
    gone = dict(
        zip(head, lines.line(event(Stream.PUBLIC_HEALTH, None)).decode().split(","), strict=True)
    )
    assert gone["record"] == "result"


def test_a_table_shows_no_name_and_no_control_character() -> None:
    lines = lines_of("table", Stream.CONTACT_TRACING)
    bad = msgspec.structs.replace(case(random.Random(1), date(2026, 3, 5)), result="\x1b[31m")
    row = lines.line(event(Stream.CONTACT_TRACING, bad)).decode()
    assert "DOMINIQUE" not in row
    assert "\x1b" not in row
    health = lines_of("table", Stream.PUBLIC_HEALTH)
    shown = health_row(random.Random(2), date(2026, 3, 5), "rsv")
    assert "rsv" in health.line(event(Stream.PUBLIC_HEALTH, shown)).decode()
    assert health.head().decode().split()[:3] == ["emitted_at", "kind", "condition"]


def test_a_filter_without_a_value_is_a_slip() -> None:
    assert pairs_of(("condition=rsv", "from=2026-03-01")) == [
        ("condition", "rsv"),
        ("from", "2026-03-01"),
    ]
    with pytest.raises(click.UsageError, match="KEY=VALUE"):
        pairs_of(("condition",))


@given(st.lists(st.integers(1, GROUP_ROWS), max_size=4))
@settings(max_examples=8, deadline=None)
def test_rows_are_grouped_by_their_number_alone(cuts: list[int]) -> None:
    total = 2 * GROUP_ROWS + 17
    kinds = inside_schema_of(REPLACED)
    whole = pa.Table.from_arrays(
        [
            pa.array(range(total), field.type)
            if field.name == "seq"
            else pa.nulls(total, field.type)
            for field in kinds
        ],
        schema=kinds,
    )
    bounds = sorted({0, total, *(cut * 2 for cut in cuts)})
    parts = [whole.slice(a, b - a) for a, b in pairwise(bounds)]
    found = list(grouped(parts, REPLACED))
    assert [group.num_rows for group in found] == [GROUP_ROWS, GROUP_ROWS, 17]
    assert pa.concat_tables(found).column("seq").to_pylist() == list(range(total))


def test_progress_is_for_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for screen, shown, seen in ((Terminal(), True, True), (Terminal(), False, False),
                                (io.StringIO(), True, False)):  # fmt: skip
        monkeypatch.setattr(sys, "stderr", screen)
        with Bars(shown=shown) as bars:
            bars.reading(50, 100)
            bars.writing(10, 40)
        assert ("50/100" in screen.getvalue()) is seen
        assert ("10/40" in screen.getvalue()) is seen
