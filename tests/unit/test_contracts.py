"""The contracts are what the program says: golden, whole, and shown at /docs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from ops.contracts import asyncapi
from ops.contracts.access import BODIES, FORMS, QUERIES, SCHEMES, access_of
from ops.contracts.page import FILES
from ops.contracts.versions import versions
from ops.contracts_page import application, contracts
from ops.schemas_page import FOLDER, schema
from ops.streams_page import example
from routing.headers import HEADERS, headers_of
from routing.outbox_reader import OutboxEvent
from schemas.events import EventHeader, StreamEvent
from schemas.topics import STREAMS, Stream
from tests.support.json_schema import misfits


def everything_in(document: Any, way: str = "$") -> Iterator[tuple[str, str, Any]]:
    """Each word of a document with its place."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield way, key, value
            yield from everything_in(value, f"{way}.{key}")
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from everything_in(value, f"{way}[{number}]")


def found_at(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


@pytest.mark.parametrize("path", list(contracts()), ids=lambda path: path.name)
def test_each_file_is_what_the_program_says(path: Path) -> None:
    assert path.read_text("utf-8") == contracts()[path], "python -m ops.contracts_page"


@pytest.mark.parametrize("name", ["asyncapi.json", "openapi.json"])
def test_every_reference_leads_somewhere(name: str) -> None:
    document = json.loads((FOLDER / name).read_text("utf-8"))
    seen = 0
    for place, key, value in everything_in(document):
        if key == "$ref" and value.startswith("#"):
            assert found_at(document, value), place
            seen += 1
    assert seen > 50


# ---------------------------------------------------------------- Kafka


@pytest.mark.parametrize("stream", STREAMS)
def test_an_event_as_the_relay_writes_it_is_what_asyncapi_says(stream: Stream) -> None:
    document = asyncapi.document()
    channel = document["channels"][stream.value]
    (reference,) = (each["$ref"] for each in channel["messages"].values())
    message = found_at(document, reference)
    event = example(stream)
    payload = found_at(document, message["payload"]["$ref"])
    assert misfits({**payload, **_rooted(document)}, event) == []
    assert misfits({**payload, **_rooted(document)}, {**event, "cursor": "x"})
    head = msgspec.json.decode(msgspec.json.encode(event), type=EventHeader)
    outgoing = StreamEvent(**msgspec.structs.asdict(head))
    sent = headers_of(OutboxEvent(event=outgoing, message_id=head.report_id))
    told = {name: value.decode() for name, value in sent}
    assert tuple(told) == HEADERS
    assert misfits({**message["headers"], "additionalProperties": False}, told) == []


def _rooted(document: dict[str, Any]) -> dict[str, Any]:
    return {"components": document["components"]}


def test_asyncapi_names_every_stream_and_no_topic_of_our_own() -> None:
    channels = asyncapi.document()["channels"]
    assert list(channels) == [stream.value for stream in STREAMS]


# ---------------------------------------------------------------- HTTP


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    document = json.loads((FOLDER / "openapi.json").read_text("utf-8"))
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_operation_says_what_it_does_who_may_and_how_it_fails() -> None:
    names = set()
    for path, method, operation in operations():
        assert operation["summary"], path
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}
        assert {name for each in operation["security"] for name in each} <= set(SCHEMES)
        assert len(operation["security"]) == len(access_of(path))
        names.add(operation["operationId"])
        for status, answer in operation["responses"].items():
            if status.startswith("4"):
                assert list(answer["content"]) == ["application/problem+json"], (method, path)
    assert len(names) == len(list(operations()))


def test_every_post_put_and_patch_has_a_body_or_needs_none() -> None:
    without = {
        path
        for path, method, operation in operations()
        if method in {"post", "put", "patch"} and "requestBody" not in operation
    }
    assert without == {"/v1/holds/{report}/retry"}
    there = {(method, path) for path, method, _ in operations()}
    assert set(BODIES) <= there
    assert {("get", path) for path in [*QUERIES, *FORMS]} <= there


def test_no_description_tells_a_caller_what_a_programmer_wants_to_know() -> None:
    for path, _, operation in operations():
        words = operation.get("description", "")
        assert not re.search(r"\b(Raises|Args|Returns):", words), path


# ---------------------------------------------------------------- /docs


def test_the_page_shows_every_contract_and_every_version_and_asks_nobody_else() -> None:
    with TestClient(application()) as http:
        answer = http.get("/docs")
        page = answer.text
        assert answer.headers["content-type"].startswith("text/html")
        for name in FILES:
            assert f'href="/docs/{name}"' in page
            assert http.get(f"/docs/{name}").status_code == 200
        for stream in STREAMS:
            assert http.get(f"/docs/schemas/{stream.value}.json").json() == schema(stream)
            for version in versions()[stream]:
                assert f"{stream.value}/{version.version}</code>: {version.changes[0]}" in page
        for path, _, operation in operations():
            assert path in page
            assert operation["summary"].replace("'", "&#x27;") in page
        assert "<script" not in page
        assert not re.search(r'(src|href)="(?!/docs/)', page)


def test_what_is_served_is_the_golden_file() -> None:
    with TestClient(application()) as http:
        assert http.get("/docs/openapi.json").json() == json.loads(
            (FOLDER / "openapi.json").read_text("utf-8")
        )
        assert http.get("/docs/asyncapi.json").content == (FOLDER / "asyncapi.json").read_bytes()
        assert http.get("/docs/data-dictionary.md").text == _dictionary()
        missing = http.get("/docs/schemas/intake.json")
        assert (missing.status_code, missing.json()["status"]) == (404, 404)


def _dictionary() -> str:
    return (Path(__file__).parents[2] / "docs" / "data-dictionary.md").read_text("utf-8")
