"""No event holds what its schema does not name, whatever a message holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.relay_events import events_of
from ingest.header import Header, read_header
from ingest.judge import LabProfile, judge
from ops.schemas_page import schema
from ops.simulate.sample import sample_message
from schemas.decision import ProjectionName, Realm
from schemas.report import MappedMessage, ResultStatus
from schemas.topics import Stream
from tests.golden.test_corpus import COUNTS, messages_of
from tests.support.fields import changed, message, paths
from tests.support.json_schema import misfits
from tests.support.redacting import body_of, case_for, texts_of

CANARY = "ZZCANARI"
# What must be understood for a report to say something for tracing and public health at all.
_UNDERSTOOD = {
    "reports[].code.code",
    "reports[].status",
    "reports[].observations[].code.code",
    "reports[].observations[].code.system",
    "reports[].observations[].coded.code",
    "reports[].observations[].coded.system",
    "reports[].observations[].status",
}
# A compiled twin takes what a field may hold and nothing else.
_NUMBERS = ("position", "size_characters")
_FLAGS = ("amended",)
_PUBLIC = (ProjectionName.PUBLIC_HEALTH, ProjectionName.PUBLIC_HEALTH_ANONYMOUS)


@lru_cache
def _schema(stream: Stream) -> dict[str, Any]:
    return schema(stream)


def outside(name: ProjectionName, body: bytes) -> list[str]:
    """Return the places of a body that its stream's schema does not name."""
    document = _schema(name.stream)
    return misfits({**document["properties"]["body"], "$defs": document["$defs"]}, json.loads(body))


_texts = st.one_of(
    st.sampled_from(["", CANARY, "POS", "2026-03-06", "LN", "INS", "VISIBLE", "€ « é »", "1e5"]),
    st.text(max_size=12),
)
# What the mapping promises of these: a time, a date, or nothing (schemas/report.py).
_times = st.sampled_from(
    ["", "2026", "2026-03-06", "2026-03-06T07:45+01:00", "2026-03-06T07:45:09.5Z"]
)
_dates = st.sampled_from(["", "1979", "1979-03", "1979-03-28", "2031-01-01"])
_values: dict[type, st.SearchStrategy[Any]] = {
    str: _texts,
    int: st.integers(0, 2**31),
    bool: st.booleans(),
    ResultStatus: st.sampled_from(ResultStatus),
}


@st.composite
def _messages(draw: st.DrawFn) -> MappedMessage:
    """A message in which any fields hold anything."""
    made = message()
    for path in draw(st.sets(st.sampled_from(paths()), max_size=12)):
        of: type = ResultStatus if path.endswith("status") and "[]" in path else str
        if path.endswith(_NUMBERS):
            of = int
        elif path.endswith(_FLAGS):
            of = bool
        values = _times if path.endswith("_at") else _values[of]
        if path == "traits.birth_date":
            values = _dates
        elif path == "traits.sex":
            values = st.sampled_from(["", "M", "F", "U", "O", "A", "N"])
        made = changed(made, path, draw(values), draw(st.integers(0, 3)))
    return made


def _holds(made: MappedMessage) -> None:
    case = case_for(made)
    for name in ProjectionName:
        body = body_of(name, case)
        if body:
            assert outside(name, body) == [], name


@given(_messages())
@settings(max_examples=60, deadline=None)
def test_no_event_holds_what_its_schema_does_not_name(made: MappedMessage) -> None:
    _holds(made)


@pytest.mark.proof
@pytest.mark.timeout(3_600)
@given(_messages())
@settings(max_examples=10_000, deadline=None)
def test_no_event_of_very_many_messages_does(made: MappedMessage) -> None:
    _holds(made)


@pytest.mark.parametrize("stream", Stream)
def test_what_simulated_laboratories_send_fits(stream: Stream) -> None:
    document = _schema(stream)
    said = {**document["properties"]["body"], "$defs": document["$defs"]}
    for event in events_of(stream, 60, 4, seed=7):
        assert event.body is not None
        assert misfits(said, json.loads(event.body)) == []


@pytest.mark.parametrize("name", COUNTS)
def test_what_laboratories_of_the_world_send_fits(name: str) -> None:
    compared = 0
    for raw in messages_of(name):
        header = read_header(raw)
        assert isinstance(header, Header)
        mapped = judge(raw, header, LabProfile(), Realm.TEST).mapped
        for report in () if mapped is None else mapped.reports:
            assert mapped is not None
            one = msgspec.structs.replace(mapped, reports=(report,))
            for projection in ProjectionName:
                body = body_of(projection, case_for(one))
                assert not body or outside(projection, body) == [], projection
                compared += bool(body)
    assert compared >= COUNTS[name]


def _with_a_canary_everywhere() -> MappedMessage:
    """A message whose every text is a canary, but for the few that say what was found."""
    made = message()
    for path in paths():
        if path in _UNDERSTOOD or path.endswith(_NUMBERS + _FLAGS):
            continue
        for number in range(4):
            made = changed(made, path, f"{CANARY}{number}", number)
    return made


def _found(body: bytes) -> Iterator[str]:
    return (each for each in texts_of(json.loads(body)) if CANARY in each)


def test_a_canary_in_every_field_at_once_is_not_in_public_health() -> None:
    made = _with_a_canary_everywhere()
    case = case_for(made)
    assert case.findings, "the report still says what was found"
    for name in _PUBLIC:
        body = body_of(name, case)
        assert list(_found(body)) == []
        assert outside(name, body) == []
    assert list(_found(body_of(ProjectionName.DOSSIER, case)))


@pytest.mark.parametrize("path", [path for path in paths() if path not in _UNDERSTOOD])
def test_a_canary_in_any_field_is_not_in_public_health(path: str) -> None:
    if path.endswith(("position", "size_characters")):
        made = changed(message(), path, 99_887_766, 0)
        canary = "99887766"
    else:
        made, canary = message(), CANARY
        for number in range(4):
            made = changed(made, path, CANARY, number)
    case = case_for(made)
    for name in _PUBLIC:
        body = body_of(name, case)
        assert not body or canary not in body.decode()
        assert not body or outside(name, body) == []


# Segments that the hub does not read: a person's kin, a visit, an insurance, a site's own.
_UNREAD = (b"NK1|1", b"PV1|1", b"IN1|1", b"ZFU|1")


def _with_a_canary_at(segment: int, field: int) -> tuple[bytes, bytes]:
    """Return the sample with a canary appended to one field of one segment, and that segment."""
    head, patient, *rest = sample_message().rstrip(b"\r").split(b"\r")
    lines = [head, patient, *_UNREAD, *rest]
    parts = lines[segment].split(b"|")
    parts += [b""] * (field + 1 - len(parts))
    parts[field] += b"^" + CANARY.encode() if parts[field] else CANARY.encode()
    lines[segment] = b"|".join(parts)
    return b"\r".join(lines) + b"\r", lines[segment][:3]


@pytest.mark.parametrize("segment", range(sample_message().count(b"\r") + len(_UNREAD)))
def test_a_canary_in_any_field_of_the_message_itself_is_not_in_public_health(segment: int) -> None:
    said = 0
    for field in range(1, 40):
        raw, name = _with_a_canary_at(segment, field)
        if name == b"MSH" and field in {1, 2}:
            continue  # separators
        header = read_header(raw)
        if not isinstance(header, Header):
            continue
        mapped = judge(raw, header, LabProfile(), Realm.TEST).mapped
        if mapped is None or not mapped.reports:
            continue
        case = case_for(mapped)
        for projection in ProjectionName:
            body = body_of(projection, case)
            if not body:
                continue
            said += 1
            assert outside(projection, body) == []
            if projection in _PUBLIC:
                assert CANARY.encode() not in body
            if name in {b"NK1", b"PV1", b"IN1", b"ZFU"}:
                assert CANARY.encode() not in body, "what is not read is in no event"
    assert said > 30
