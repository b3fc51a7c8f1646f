"""What is served over HTTP, as an OpenAPI 3.1 document: the framework's, made true.

The framework knows paths, parameters and types. It does not know our errors (problem+json), our
tokens, and bodies that a handler reads itself: those are put in here, at the one place through
which the document leaves, so that the golden file and what a hub serves are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.serialization import encode_json, get_serializer

from ops.indicators.delay_route import Delays
from ops.indicators.routes import Figures, Revisions
from schemas.topics import STREAMS, schema_of

from .access import BODIES, FORMS, OPTIONAL, QUERIES, SCHEMES, access_of

Json = dict[str, Any]
HttpRequest = Request[Any, Any, Any]

_PROBLEM: Final = "application/problem+json"
_STREAM: Final = "/v1/streams/{name}"
_FORMS: Final = {
    "application/x-ndjson": "One event a line, by the schema of its stream; or a `cursor` alone.",
    "text/event-stream": "The same as server-sent events; the id of each is its cursor.",
}
_STREAM_REFUSALS: Final = {
    "400": "`bad_cursor`, `bad_filter`, `bad_parameter`: `detail` says what is allowed.",
    "410": "`cursor_expired`: retention took what comes next; `detail` says where to begin again.",
    "429": "`quota_used`, `connections_used`, `readers_full` and others: wait as Retry-After says.",
}
_ANSWERS: Final[Mapping[str, type]] = {
    "/v1/indicators/{condition}": Figures,
    "/v1/indicators/{condition}/changes": Revisions,
    "/v1/indicators/{condition}/delays": Delays,
}
"""JSON of handlers that answer in other forms too."""
_NOISE: Final = ("deprecated", "allowEmptyValue", "allowReserved")
"""What the framework says everywhere, and that is the default."""
_DENIED: Final = {
    "401": "No token, or one that nobody knows; `detail` says what to send.",
    "403": "This token does not do this.",
}


def served(found: Json) -> Json:
    """Return the framework's document with what it cannot know."""
    plain: Json = msgspec.json.decode(encode_json(found, serializer=get_serializer()))
    for path, item in plain["paths"].items():
        for method, operation in item.items():
            _complete(path, method, operation)
    components = plain.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _problem()
    for path, answer in _ANSWERS.items():
        schemas.update(_answered(plain["paths"].get(path, {}).get("get"), answer))
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = {
        "Problem": {
            "description": "Problem details (RFC 9457): what is at fault, and the next step.",
            "content": {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    }
    components["securitySchemes"] = {
        name: {"type": "http", "scheme": "bearer", "description": words}
        for name, words in SCHEMES.items()
    }
    return {"openapi": plain.pop("openapi"), **_quiet(plain)}


class Contract(JsonRenderPlugin):
    """Serves the completed document as `/openapi.json`; made once, for it never changes."""

    def __init__(self) -> None:
        super().__init__()
        self._made: bytes | None = None

    def render(self, request: HttpRequest, openapi_schema: Json) -> bytes:
        """Return the document's bytes."""
        if self._made is None:
            self._made = self.render_json(request, served(openapi_schema))
        return self._made


def _complete(path: str, method: str, operation: Json) -> None:
    schemes = access_of(path)
    operation["security"] = [{each: []} if each != OPTIONAL else {} for each in schemes]
    answers: Json = operation["responses"]
    for status in [each for each in answers if each.startswith("4")]:
        del answers[status]
    if schemes:
        for status, words in _DENIED.items():
            answers[status] = _problem_answer(words)
    answers["default"] = {"$ref": "#/components/responses/Problem"}
    if (method, path) in BODIES:
        media, words = BODIES[method, path]
        operation["requestBody"] = {
            "required": True,
            "description": words,
            "content": {media: {"schema": {"type": "string", "format": "binary"}}},
        }
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _asked(parameter["schema"])
    for name, words in QUERIES.get(path, {}).items():
        operation.setdefault("parameters", []).append(_parameter(name, "query", words))
    for media, words in FORMS.get(path, {}).items():
        answers["200"]["content"][media] = {"schema": {"type": "string", "description": words}}
    if path == _STREAM:
        _complete_stream(operation)


def _answered(operation: Json | None, answer: type) -> Json:
    """Say what an answer of several forms is as JSON; return what that needs of schemas."""
    if operation is None:
        return {}
    (reference,), known = msgspec.json.schema_components(
        [answer], ref_template="#/components/schemas/{name}"
    )
    operation["responses"]["200"]["content"]["application/json"]["schema"] = reference
    return known


def _complete_stream(operation: Json) -> None:
    """Say what the handler of a stream answers, which gives bytes of its own making."""
    answers: Json = operation["responses"]
    answers["200"]["content"] = {media: _lines(words) for media, words in _FORMS.items()}
    for status, words in _STREAM_REFUSALS.items():
        answers[status] = _problem_answer(words)
    for parameter in operation["parameters"]:
        if parameter["name"] == "name":
            parameter["schema"]["enum"] = [stream.value for stream in STREAMS]
    operation["parameters"].append(
        _parameter(
            "Last-Event-ID",
            "header",
            "The id of the last server-sent event: says the same as `after`.",
        )
    )


def _parameter(name: str, place: str, words: str) -> Json:
    return {
        "name": name,
        "in": place,
        "schema": {"type": "string"},
        "description": words,
        "required": False,
    }


def _asked(field: Json) -> Json:
    """Return the schema of a parameter: what is left out of a query is not null."""
    kinds = [each for each in field.get("oneOf", ()) if each.get("type") != "null"]
    if len(kinds) != 1:
        return field
    return {**kinds[0], **{key: value for key, value in field.items() if key != "oneOf"}}


def _told(words: str) -> str:
    """Return what a description tells a caller: without what a docstring tells a programmer."""
    kept, _, _ = words.partition("\n\nRaises:")
    kept, _, _ = kept.partition("\n\nArgs:")
    return "\n\n".join(" ".join(part.split()) for part in kept.split("\n\n"))


def _lines(words: str) -> Json:
    """Return what the lines of a stream hold: OpenAPI 3.1 has no word for the schema of one."""
    return {
        "schema": {"type": "string", "description": words},
        "x-line-schemas": {
            stream.value: {"url": f"/docs/schemas/{stream.value}.json", "schema": schema_of(stream)}
            for stream in STREAMS
        },
    }


def _problem() -> Json:
    return {
        "title": "Problem",
        "description": "Problem details (RFC 9457); no value of a message is ever in it.",
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "description": "`urn:labdispatch:problem:` and a stable code, or `about:blank`.",
            },
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What to do next."},
        },
        "required": ["type", "title", "status", "detail"],
    }


def _problem_answer(words: str) -> Json:
    return {
        "description": words,
        "content": {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _quiet(value: Any) -> Any:
    """Return a document without what is said everywhere; whole numbers are whole."""
    if isinstance(value, dict):
        return dict(_kept(value))
    if isinstance(value, list):
        return [_quiet(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _kept(value: Json) -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        if key in _NOISE and each is False:
            continue
        if key == "headers" and not each:
            continue
        if key == "description" and isinstance(each, str):
            yield key, _told(each)
            continue
        yield key, _quiet(each)
