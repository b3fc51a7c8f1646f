"""The data dictionary says of every field what it is and when it is empty: held against events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from benchmarks.relay_events import events_of
from ops.contracts.dictionary import SECTIONS, Section, fields_of, header_fields, text
from ops.contracts.versions import since, versions
from ops.contracts_page import DICTIONARY
from ops.schemas_page import RELEASED, schema
from schemas.dictionary import FIGURE, HEADER, Word
from schemas.figures import AGE_CLASSES, ALL_AGES, SEXES, Flag, Period
from schemas.topics import STREAMS, Stream

TYPES = {section.type_name: section for section in SECTIONS}


def everything() -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Word]]]:
    """Each type with its fields and their words."""
    yield "EventHeader", header_fields(), HEADER
    for section in SECTIONS:
        yield section.type_name, fields_of(section), section.words


def is_empty(value: object) -> bool:
    return value is None or value in ("", [])


def test_the_page_is_what_the_types_say() -> None:
    assert DICTIONARY.read_text("utf-8") == text(), "python -m ops.contracts_page"


@pytest.mark.parametrize(("name", "fields", "words"), list(everything()))
def test_every_field_has_a_word_and_a_meaning_and_no_word_is_left_over(
    name: str, fields: Mapping[str, Any], words: Mapping[str, Word]
) -> None:
    assert list(fields) == list(words), name
    for field, said in fields.items():
        assert said.get("description") or "$ref" in said, (name, field)
        assert f"\n| `{field}` | " in text()


@pytest.mark.parametrize(("name", "fields", "words"), list(everything()))
def test_only_what_the_schema_lets_be_empty_says_when_and_null_always_does(
    name: str, fields: Mapping[str, Any], words: Mapping[str, Word]
) -> None:
    for field, said in fields.items():
        nullable = any(each.get("type") == "null" for each in said.get("anyOf", ()))
        is_list = said.get("type") == "array"
        text_may = said.get("type") == "string" and "format" not in said
        fits = text_may and re.match(said.get("pattern", ""), "") is not None
        if words[field].empty:
            assert nullable or is_list or fits, (name, field)
        else:
            assert not nullable, (name, field)
            assert not is_list, (name, field)
            # Free text may be empty. Figures have no patterns, and are made here.
            is_free = text_may and "pattern" not in said and name not in {"Figure", "DelayFigure"}
            assert not is_free or words[field].type, field


@pytest.mark.parametrize(("name", "fields", "words"), list(everything()))
def test_listed_codes_fit_the_schema(
    name: str, fields: Mapping[str, Any], words: Mapping[str, Word]
) -> None:
    for field, word in words.items():
        pattern = fields[field].get("pattern")
        for code in (each.partition(" ")[0] for each in word.codes):
            assert pattern is None or re.match(pattern, code), (name, field, code)


@pytest.mark.parametrize("stream", [Stream.PUBLIC_HEALTH, Stream.CONTACT_TRACING])
def test_what_is_never_empty_is_never_empty_and_codes_are_the_listed_ones(stream: Stream) -> None:
    seen = 0
    for event in events_of(stream, 60, 4, seed=7):
        assert event.body is not None
        body = json.loads(event.body)
        section = section_of(stream, body)
        for field, value in body.items():
            word = section.words[field]
            seen += 1
            if is_empty(value):
                assert word.empty, field
            elif word.codes and not word.vocabulary:
                assert value in {each.partition(" ")[0] for each in word.codes}, field
    assert seen > 500


def section_of(stream: Stream, body: Mapping[str, Any]) -> Section:
    if stream is Stream.CONTACT_TRACING:
        return TYPES["TracingCase"]
    return TYPES["PublicHealthRow" if body["record"] == "result" else "PseudonymReplaced"]


@pytest.mark.parametrize("stream", STREAMS)
def test_a_field_that_came_since_the_last_release_is_listed_under_its_version(
    stream: Stream,
) -> None:
    released = json.loads((RELEASED / f"{stream.value}.json").read_text("utf-8"))
    before = int(released["$id"].rpartition("/")[2])
    found = schema(stream)
    types = {"EventHeader": found["properties"]}
    types |= {name: each.get("properties", {}) for name, each in found["$defs"].items()}
    old = {"EventHeader": released["properties"]}
    old |= {name: each.get("properties", {}) for name, each in released["$defs"].items()}
    for name, fields in types.items():
        for field in fields:
            is_new = field not in old.get(name, {})
            assert (since(stream, name, field) > before) == is_new, f"{name}.{field}"


def test_no_version_lists_a_field_that_is_not_there() -> None:
    for stream in STREAMS:
        found = schema(stream)
        for version in versions()[stream]:
            for added in version.added:
                name, _, field = added.partition(".")
                shape = found if name == "EventHeader" else found["$defs"][name]
                assert field in shape["properties"], added


def test_codes_of_figures_are_all_there_are() -> None:
    def codes(field: str) -> tuple[str, ...]:
        return tuple(each.partition(" ")[0] for each in FIGURE[field].codes)

    assert codes("flags") == tuple(Flag)
    assert codes("period") == tuple(Period)
    assert codes("age_class") == (ALL_AGES, *AGE_CLASSES)
    assert codes("sex") == SEXES
