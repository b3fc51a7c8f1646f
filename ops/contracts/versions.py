"""The versions of the streams' schemas, and what came with each: schemas/json/versions.json.

A field belongs to version 1 unless a later version lists it under `added`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from schemas.topics import Stream

HEADER: Final = "EventHeader"
"""The name under which `added` lists fields of the header."""


class Version(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a stream's schema."""

    version: int
    changes: tuple[str, ...]
    """What came, for a reader."""
    added: tuple[str, ...] = ()
    """The fields that came, as `PublicHealthRow.field`."""


@cache
def versions() -> Mapping[Stream, tuple[Version, ...]]:
    """Return the versions of each stream's schema, the eldest first."""
    text = (files("schemas") / "json" / "versions.json").read_bytes()
    found = msgspec.json.decode(text, type=dict[str, tuple[Version, ...]])
    return {Stream(name): listed for name, listed in found.items()}


def since(stream: Stream, type_name: str, field: str) -> int:
    """Return the version of a stream's schema with which a field came."""
    for each in versions()[stream]:
        if f"{type_name}.{field}" in each.added:
            return each.version
    return 1
