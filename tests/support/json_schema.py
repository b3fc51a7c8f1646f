"""A small judge of the schemas we publish: closed, and it refuses words that it does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_SAYS_NOTHING = {
    "$schema",
    "$id",
    "$defs",
    "components",
    "title",
    "description",
    "x-open",
    "format",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def misfits(schema: Schema, value: object) -> list[str]:
    """Return the places at which a value is not what the schema says; no value is shown."""
    return list(_misfits(schema, value, schema, "$"))


def _misfits(schema: Schema, value: object, document: Schema, place: str) -> Iterator[str]:
    for word, said in schema.items():
        if word in _SAYS_NOTHING or word in {"additionalProperties", "required"}:
            continue
        judge = _JUDGES.get(word)
        if judge is None:
            raise AssertionError(f"a word that nobody judges: {word}")
        yield from judge(said, schema, value, document, place)


def _reference(said: str, _: Schema, value: object, document: Schema, place: str) -> Iterator[str]:
    found: Any = document
    for part in said.removeprefix("#/").split("/"):
        found = found[part]
    yield from _misfits(found, value, document, place)


def _type(said: str, _: Schema, value: object, __: Schema, place: str) -> Iterator[str]:
    is_bool = isinstance(value, bool)
    if not isinstance(value, _TYPES[said]) or (is_bool and said != "boolean"):
        yield f"{place}: not {said}"


def _any_of(
    said: list[Schema], _: Schema, value: object, document: Schema, place: str
) -> Iterator[str]:
    found = [list(_misfits(each, value, document, place)) for each in said]
    if all(found):
        # What comes furthest is what was meant.
        yield from max(found, key=lambda each: max(len(one.partition(":")[0]) for one in each))


def _properties(
    said: Mapping[str, Schema], schema: Schema, value: object, document: Schema, place: str
) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place}.{name}: missing"
    for name, each in value.items():
        if name in said:
            yield from _misfits(said[name], each, document, f"{place}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{place}.{name}: outside the schema"


def _items(said: Schema, _: Schema, value: object, document: Schema, place: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _misfits(said, each, document, f"{place}[{number}]")


def _enum(said: list[object], _: Schema, value: object, __: Schema, place: str) -> Iterator[str]:
    if value not in said:
        yield f"{place}: none of the values"


def _const(said: object, _: Schema, value: object, __: Schema, place: str) -> Iterator[str]:
    if value != said:
        yield f"{place}: not the constant"


def _pattern(said: str, _: Schema, value: object, __: Schema, place: str) -> Iterator[str]:
    # \Z: in ECMA 262 a dollar is the end, in Python also what stands before a last new line.
    if isinstance(value, str) and not re.search(said.replace("$", r"\Z"), value):
        yield f"{place}: not of the pattern"


_JUDGES: dict[str, Any] = {
    "$ref": _reference,
    "type": _type,
    "anyOf": _any_of,
    "properties": _properties,
    "items": _items,
    "enum": _enum,
    "const": _const,
    "pattern": _pattern,
}
