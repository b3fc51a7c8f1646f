"""What the streams promise to hold: published, closed, and never taken away from a reader."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from ops.schemas_page import FOLDER, RELEASED, broken, schema, text
from schemas.additive import additive
from schemas.topics import SCHEMA_VERSIONS, STREAMS, Stream, schema_of
from tests.support.json_schema import misfits

OLD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "pattern": "^x$"},
        "b": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "c": {"$ref": "#/$defs/Kind"},
        "d": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
        "e": {"anyOf": [{"$ref": "#/$defs/One"}, {"type": "null"}], "x-open": True},
        "f": {"enum": ["1"], "x-open": True},
    },
    "required": ["a", "b"],
    "additionalProperties": False,
    "$defs": {
        "Kind": {"enum": ["p", "q"]},
        "Part": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "One": {"type": "object", "properties": {"record": {"const": "one"}}},
        "Two": {"type": "object", "properties": {"record": {"const": "two"}}},
    },
}


def changed(**at: Any) -> dict[str, Any]:
    """Return the old schema with values set at places; None takes away what is there."""
    new = deepcopy(OLD)
    for path, value in at.items():
        *way, last = path.split("__")
        where: Any = new
        for part in way:
            where = where[int(part) if part.isdigit() else part]
        if value is None:
            del where[last]
        else:
            where[last] = value
    return new


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        changed(properties__g={"type": "string"}),
        changed(properties__a__description="other words"),
        changed(**{"$defs__Part__properties__m": {"type": "string"}}),
        changed(properties__e__anyOf=[
            {"$ref": "#/$defs/One"}, {"$ref": "#/$defs/Two"}, {"type": "null"}
        ]),
        changed(properties__f__enum=["1", "2"]),
        # The same said without a reference.
        changed(properties__c={"enum": ["q", "p"]}),
    ],
)  # fmt: skip
def test_what_only_adds_is_no_break(new: dict[str, Any]) -> None:
    assert additive(OLD, new) == []


@pytest.mark.parametrize(
    ("new", "place", "says"),
    [
        (changed(properties__b=None), "$.b", "removed"),
        (changed(**{"$defs__Part__properties__n": None}), "$.d[].n", "removed"),
        (changed(properties__a__type="integer"), "$.a", "type was"),
        (changed(properties__b__anyOf=[{"type": "integer"}]), "$.b|null", "removed"),
        (
            changed(properties__b__anyOf=[
                {"type": "integer"}, {"type": "null"}, {"type": "string"}
            ]),
            "$.b|string", "is new",
        ),
        (changed(properties__a__pattern="^(x|y)$"), "$.a", "pattern was"),
        (changed(properties__a__pattern=None), "$.a", "pattern was"),
        (changed(properties__a__maxLength=3), "$.a", "maxLength was"),
        (changed(**{"$defs__Kind__enum": ["p"]}), "$.c=q", "removed"),
        (changed(**{"$defs__Kind__enum": ["p", "q", "r"]}), "$.c=r", "is new"),
        (changed(properties__c={"type": "string"}), "$.c", "closed set"),
        (changed(required=["a", "b", "c"]), "$.c", "required now"),
        (changed(required=["a"]), "$.b", "need not be any more"),
        (changed(properties__g={"type": "string"}, required=["a", "b", "g"]), "$.g", "required"),
        (changed(additionalProperties=None), "$", "other fields"),
        (changed(properties__d__items=None), "$.d[]", "what its items are"),
        (changed(**{"$defs__One__properties__record": {"const": "uno"}}), "$.e|record=one",
         "removed"),
        (changed(**{"properties__e__x-open": None}), "$.e", "open no more"),
    ],
)  # fmt: skip
def test_each_kind_of_break_is_found_and_has_its_place(
    new: dict[str, Any], place: str, says: str
) -> None:
    found = additive(OLD, new)
    assert any(each.startswith(f"{place}:") and says in each for each in found), found


def test_a_definition_may_hold_itself() -> None:
    def tree(**leaf: Any) -> dict[str, Any]:
        branch = {"type": "array", "items": {"$ref": "#/$defs/A"}}
        return {"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": branch, **leaf}}}}

    assert additive(tree(), tree(b={"type": "string"})) == []
    assert additive(tree(b={"type": "string"}), tree()) == ["$.b: the field was removed"]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_published_schema_is_what_the_types_say(stream: Stream) -> None:
    published = (FOLDER / f"{stream.value}.json").read_text("utf-8")
    assert published == text(stream), "python -m ops.schemas_page"


@pytest.mark.parametrize("stream", STREAMS)
def test_nothing_of_the_last_release_is_taken_from_a_reader(stream: Stream) -> None:
    assert broken(stream) == []


@pytest.mark.parametrize("stream", STREAMS)
def test_what_was_added_since_the_last_release_has_a_version_that_says_so(
    stream: Stream,
) -> None:
    released = json.loads((RELEASED / f"{stream.value}.json").read_text("utf-8"))
    before = int(released["$id"].rpartition("/")[2])
    # What takes nothing away in either direction has added nothing; words may change.
    same = additive(schema(stream), released) == []
    assert SCHEMA_VERSIONS[stream] == (before if same else before + 1)


def test_every_version_is_listed_with_what_it_changed() -> None:
    listed = json.loads((FOLDER / "versions.json").read_text("utf-8"))
    for stream in STREAMS:
        versions = listed[stream.value]
        assert [each["version"] for each in versions] == list(range(1, SCHEMA_VERSIONS[stream] + 1))
        assert all(each["changes"] for each in versions)


def header(of: Stream, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": "018f2f6e-0000-7000-8000-000000000001",
        "stream": of.value,
        "partition": 0,
        "seq": 1,
        "report_id": "018f2f6e-0000-7000-8000-000000000001",
        "event_version": 1,
        "kind": "withdrawn",
        "reason": "cancelled",
        "realm": "test",
        "rule": "dossier-every-report",
        "rule_version": "2026-2",
        "person_version": 1,
        "emitted_at": "2026-03-06T09:15:02Z",
        "part": "",
        "body": None,
        **changes,
    }


@pytest.mark.parametrize("stream", STREAMS)
def test_an_event_holds_its_header_and_nothing_else(stream: Stream) -> None:
    assert misfits(schema(stream), header(stream)) == []
    for changes in (
        {"name": "ZZCANARI"},
        {"reason": "Mme ZZCANARI"},
        {"body": {"record": "result", "name": "ZZCANARI"}},
        {"body": {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Basic"}}]}},
        {"stream": "intake"},
        {"kind": None},
    ):
        assert misfits(schema(stream), header(stream, **changes)), changes
    assert schema_of(stream) in schema(stream)["$id"]


def test_public_health_has_no_free_text() -> None:
    """Each text of its bodies has a pattern, and no pattern lets a sentence or a name through."""
    document = schema(Stream.PUBLIC_HEALTH)
    for name in ("PublicHealthRow", "PseudonymReplaced"):
        for field, said in document["$defs"][name]["properties"].items():
            if said.get("type") != "string":
                continue
            assert "pattern" in said, field
            if field == "variant":
                continue  # a closed vocabulary of its own (schemas/codes)
            for free in ("ZZCANARI", "Mme Zzcanari", "canari@example.org", "0639980077", "28 AV"):
                assert misfits(said, free), (field, free)
