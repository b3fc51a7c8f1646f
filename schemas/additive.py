"""Whether a schema only adds to another: what a stream's contract may become. Pure.

Both directions count, since a topic holds events of before and readers of before go on reading.
Nothing may be lost for a reader that knows the old schema, and nothing of an old event may be
refused by a reader that knows the new one. What is left: new fields that need not be there, new
alternatives where the contract says that a reader passes over what it does not know (`x-open`),
and other words in a description.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

OPEN: Final = "x-open"
"""The contract's own word: a reader passes over values and alternatives that it does not know."""
_WORDS: Final = frozenset(
    {"title", "description", "$id", "$schema", "$comment", "$defs", "default"}
)
_ONE_BY_ONE: Final = frozenset(
    {"properties", "required", "items", "anyOf", "enum", "$ref", "additionalProperties", OPEN}
)


def additive(old: Schema, new: Schema) -> list[str]:
    """Return what breaks a reader, each with its place; empty where `new` only adds.

    Args:
        old: A JSON Schema (2020-12) of the kind that `ops.schemas_page` writes: `$ref` into its own
            `$defs`, `anyOf`, `enum`, `const`, `type`, `properties`, `items`.
        new: What it became.
    """
    return list(_Comparison(old, new).violations(old, new, "$"))


class _Comparison:
    """Two documents, each with its own definitions."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        self._compared: set[tuple[str, str]] = set()

    def violations(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        """Yield what breaks at a place and below it."""
        if "$ref" in old and "$ref" in new:
            # Once is enough, and a definition may hold itself.
            pair = (str(old["$ref"]), str(new["$ref"]))
            if pair in self._compared:
                return
            self._compared.add(pair)
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        is_open = bool(old.get(OPEN))
        if is_open and not new.get(OPEN):
            yield f"{place}: it is open no more"
        for word in sorted((set(old) | set(new)) - _WORDS - _ONE_BY_ONE):
            if old.get(word) != new.get(word):
                yield f"{place}: {word} was {old.get(word)!r} and is {new.get(word)!r}"
        yield from _of_values(old, new, place, is_open=is_open)
        yield from self._of_properties(old, new, place)
        yield from self._of_items(old, new, place)
        yield from self._of_alternatives(old, new, place, is_open=is_open)

    def _of_properties(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in sorted(before):
            if name not in after:
                yield f"{place}.{name}: the field was removed"
            else:
                yield from self.violations(before[name], after[name], f"{place}.{name}")
        must, must_now = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(must_now - must):
            yield f"{place}.{name}: the field is required now, and older events lack it"
        for name in sorted((must - must_now) & set(after)):
            yield f"{place}.{name}: the field was always there, and need not be any more"
        if old.get("additionalProperties") != new.get("additionalProperties"):
            yield f"{place}: other fields were and are not equally allowed"

    def _of_items(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        if "items" in old and "items" in new:
            yield from self.violations(old["items"], new["items"], f"{place}[]")
        elif ("items" in old) != ("items" in new):
            yield f"{place}[]: what its items are was or is not said"

    def _of_alternatives(
        self, old: Schema, new: Schema, place: str, *, is_open: bool
    ) -> Iterator[str]:
        before, after = _alternatives(old, self._old), _alternatives(new, self._new)
        for name in sorted(before):
            if name not in after:
                yield f"{place}|{name}: the alternative was removed"
            else:
                yield from self.violations(before[name], after[name], f"{place}|{name}")
        if not is_open:
            for name in sorted(set(after) - set(before)):
                yield f"{place}|{name}: the alternative is new, and a reader cannot know it"


def _of_values(old: Schema, new: Schema, place: str, *, is_open: bool) -> Iterator[str]:
    before, after = set(old.get("enum", ())), set(new.get("enum", ()))
    if bool(before) != bool(after):
        yield f"{place}: its values were or are not a closed set"
        return
    for value in sorted(map(str, before - after)):
        yield f"{place}={value}: the value was removed"
    if not is_open:
        for value in sorted(map(str, after - before)):
            yield f"{place}={value}: the value is new, and a reader cannot know it"


def _alternatives(schema: Schema, document: Schema) -> dict[str, Schema]:
    """Return the alternatives by what tells them: a constant field, a definition, or a type."""
    return {_name(each, document): each for each in schema.get("anyOf", ())}


def _name(schema: Schema, document: Schema) -> str:
    whole = _resolved(schema, document)
    constants = [
        f"{name}={_resolved(field, document)['const']}"
        for name, field in sorted(whole.get("properties", {}).items())
        if "const" in _resolved(field, document)
    ]
    return ",".join(constants) or str(whole.get("title") or whole.get("type"))


def _resolved(schema: Schema, document: Schema) -> Schema:
    """Return what a reference stands for; words beside it are kept."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Any = document
    for part in str(reference).removeprefix("#/").split("/"):
        found = found[part]
    beside = {name: value for name, value in schema.items() if name != "$ref"}
    return {**_resolved(found, document), **beside}
