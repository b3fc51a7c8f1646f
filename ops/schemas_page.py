"""Writes schemas/json from the types of the events: `python -m ops.schemas_page`.

What a stream holds is said once, in the types; these files say it to others. `--release` makes the
present files the released ones, against which CI holds every later change (schemas/additive.py).
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas import events, patterns
from schemas.additive import OPEN, additive
from schemas.bundle import bundle_schema
from schemas.topics import SCHEMA_VERSIONS, STREAMS, Stream, schema_of

FOLDER: Final = Path(__file__).resolve().parent.parent / "schemas" / "json"
RELEASED: Final = FOLDER / "released"

_BODIES: Final[Mapping[Stream, tuple[tuple[type, Mapping[str, str]], ...]]] = {
    Stream.DOSSIER: (),
    Stream.CONTACT_TRACING: ((events.TracingCase, patterns.CONTACT_TRACING),),
    Stream.PUBLIC_HEALTH: (
        (events.PublicHealthRow, patterns.PUBLIC_HEALTH),
        (events.PseudonymReplaced, patterns.PSEUDONYM_REPLACED),
    ),
}
# What a body says of its own kind; other texts with a default may hold anything.
_KINDS: Final = ("record",)


def schema(stream: Stream) -> dict[str, Any]:
    """Return the schema of a stream's events, always the same for the same types."""
    document = msgspec.json.schema(events.EventHeader)
    definitions: dict[str, Any] = document["$defs"]
    header = _struct(definitions.pop("EventHeader"), events.EventHeader, patterns.HEADER)
    header["properties"]["stream"] = {
        "const": stream.value,
        "description": words_of(events.EventHeader)["stream"],
    }
    del definitions["Stream"]
    bodies = []
    for body, known in _BODIES[stream]:
        _, found = msgspec.json.schema_components([body])
        definitions[body.__name__] = _struct(found[body.__name__], body, known)
        bodies.append({"$ref": f"#/$defs/{body.__name__}"})
    if stream is Stream.DOSSIER:
        definitions |= bundle_schema()
        bodies.append({"$ref": "#/$defs/Bundle"})
    header["properties"]["body"] = {
        "anyOf": [{"type": "null"}, *bodies],
        "description": "null where the event is a withdrawal.",
        OPEN: True,
    }
    header["properties"]["cursor"] = {
        "type": "string",
        "description": "Where to read on after this line; over HTTP and the command line only.",
    }
    header["required"].append("body")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:labdispatch:schema:{schema_of(stream)}",
        **header,
        "title": f"An event of the stream {stream.value}",
        "$defs": dict(sorted(definitions.items())),
    }


def text(stream: Stream) -> str:
    """Return the file of a stream's schema."""
    return json.dumps(schema(stream), indent=1, ensure_ascii=False) + "\n"


def _struct(found: dict[str, Any], type_: type, known: Mapping[str, str]) -> dict[str, Any]:
    """Return a closed object: what a type holds, each field with its words and its pattern."""
    fields: dict[str, Any] = found["properties"]
    words = words_of(type_)
    for name, field in fields.items():
        if name in words:
            field["description"] = words[name]
        if name in _KINDS:
            fields[name] = {"const": field.pop("default"), "description": words[name]}
        elif name in known:
            field["pattern"] = known[name]
        field.pop("default", None)
    found["additionalProperties"] = False
    found["description"] = " ".join(found.get("description", "").split())
    return found


def words_of(type_: type) -> dict[str, str]:
    """Return what stands below each field in the source of a type."""
    body = ast.parse(textwrap.dedent(inspect.getsource(type_))).body[0]
    assert isinstance(body, ast.ClassDef), "a type is a class"
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def broken(stream: Stream) -> list[str]:
    """Return what the present schema of a stream breaks of the released one."""
    released = RELEASED / f"{stream.value}.json"
    if not released.exists():
        return []
    return additive(json.loads(released.read_text("utf-8")), schema(stream))


def main() -> None:
    """Write the files; with `--release` the released ones too, unless something would break."""
    for stream in STREAMS:
        path = FOLDER / f"{stream.value}.json"
        path.write_text(text(stream), "utf-8")
        print(path)  # noqa: T201 - a command says what it wrote
    if "--release" in sys.argv[1:]:
        _release()


def _release() -> None:
    for stream in STREAMS:
        found = broken(stream)
        if found:
            print(f"{stream.value}/{SCHEMA_VERSIONS[stream]}:", *found, sep="\n  ")  # noqa: T201
            sys.exit(1)
    for stream in STREAMS:
        (RELEASED / f"{stream.value}.json").write_text(text(stream), "utf-8")


if __name__ == "__main__":
    main()
