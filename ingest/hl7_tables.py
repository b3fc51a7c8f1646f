"""HL7's own tables in memory: what a version says of messages, segments, data types and values.

Read once a version from `ingest/tables/`, which is part of the program (`tests/support/make_tables`
writes it from hl7apy's tables). What later versions, French extensions and the standard's own text
add to a table of values is added here, with its source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

import msgspec

VERSIONS: Final = frozenset({"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7"})
UNBOUNDED: Final = -1

_ALSO: Final[dict[str, tuple[str, ...]]] = {
    # v2.6 and v2.7 table 0078: what was found, for findings that are no number.
    "0078": ("POS", "NEG", "IND", "DET", "ND", "RR", "NR", "WR", "SDD", "NS", "SYN-R", "SYN-S"),
    # v2.6 table 0125, which senders of 2.5 use by the IHE laboratory profiles.
    "0125": ("CNE", "CWE", "DR", "DTM", "EI", "IS", "NA", "NR", "SI"),
    # v2.8 and FR Core table 0203; the French PS and ST types of the CI-SIS.
    "0203": (
        *("INS", "NH", "RPPS", "ADELI", "IDNPS", "IDNST", "FINEG", "FINEJ", "FINESS"),
        *("SIREN", "SIRET", "INS-C", "INS-A", "EI", "MR", "NI", "PI", "VN", "FILL", "PLAC"),
    ),
    # v2.5.1 table 0301 has them in one line: the local ones.
    "0301": ("L", "M", "N"),
    # v2.7 table 0211; 2.5.1 errata.
    "0211": ("8859/15", "UNICODE UTF-8"),
    # v2.8 table 0396 (99zzz and HL7nnnn: see `leaves.py`).
    # FINESS: an organisation in OBX-15, as the French guides write it.
    "0396": ("SCT", "UCUM", "I10", "CCAM", "FINESS"),
    # FR Core table 0445 and IHE PAM France.
    "0445": (
        *("VIDE", "PROV", "VALI", "DOUB", "DESA", "DPOT", "DOUA", "COLP", "COLV", "FILI", "CACH"),
        *("ANOM", "IDVER", "RECD", "IDRA", "USUR", "HOMD", "HOMA", "INVA", "FICT", "DOUT"),
    ),
}
"""Values that a table has elsewhere: in a later version, or in the French extensions of HL7."""


_OPTIONAL: Final = frozenset(
    {("2.3", "ORC", 7), ("2.3", "OBR", 27), ("2.3.1", "OBX", 4), ("2.7", "OBX", 4)}
)
"""Fields that hl7apy requires; the standard does not (ORC-7), or under a condition (OBX-4)."""


class Part(msgspec.Struct, frozen=True):
    """A field of a segment, or a component of a data type: how often it stands, and of what."""

    least: int
    most: int
    datatype: str
    table: str = ""


class Node(msgspec.Struct, frozen=True):
    """A segment of a message structure, or a group of them."""

    least: int
    most: int
    name: str = ""
    children: tuple[Node, ...] = ()


class Tables(msgspec.Struct, frozen=True):
    """All that one version says."""

    version: str
    messages: Mapping[str, Node]
    segments: Mapping[str, tuple[Part, ...]]
    types: Mapping[str, tuple[Part, ...]]
    values: Mapping[str, frozenset[str]]
    """The values of each table that has any."""
    needed: Mapping[str, tuple[int, ...]]
    """The numbers of the parts that a data type requires, for those that require any."""


@lru_cache(maxsize=2 * len(VERSIONS))
def tables_of(version: str, *, is_bare: bool = False) -> Tables:
    """Return what a version says; it must be one of `VERSIONS`.

    Args:
        version: Of HL7.
        is_bare: As hl7apy has it, without what is added here: to compare the two.
    """
    compact = json.loads((files("ingest") / "tables" / f"{version}.json").read_bytes())
    types = {name: tuple(map(_part, parts)) for name, parts in compact["types"].items()}
    # Before 2.5 hl7apy has a text here; the standard has a time of the same form (2.8.x TS).
    if "TS" in types and not is_bare:
        types["TS"] = (Part(0, 1, "DTM"), *types["TS"][1:])
    needed = {
        name: tuple(number for number, part in enumerate(parts, 1) if part.least)
        for name, parts in types.items()
    }
    return Tables(
        version=version,
        messages={name: _structure(text) for name, text in compact["messages"].items()},
        segments={
            name: _fields("" if is_bare else version, name, parts)
            for name, parts in compact["segments"].items()
        },
        types=types,
        values={
            name: frozenset(values).union(() if is_bare else _ALSO.get(name, ()))
            for name, values in compact["tables"].items()
        },
        needed={name: numbers for name, numbers in needed.items() if numbers},
    )


def _fields(version: str, segment: str, texts: list[str]) -> tuple[Part, ...]:
    parts = map(_part, texts)
    return tuple(
        Part(0, *msgspec.structs.astuple(part)[1:])
        if (version, segment, number) in _OPTIONAL
        else part
        for number, part in enumerate(parts, 1)
    )


def _part(text: str) -> Part:
    cardinality, datatype, *table = text.split(" ")
    least, most = cardinality.split("-")
    return Part(
        int(least),
        UNBOUNDED if most == "*" else int(most),
        datatype,
        table[0] if table else "",
    )


def _structure(text: str) -> Node:
    """Return what HL7's notation says: `[X]` may be missing, `{X}` may come again."""
    words = text.translate(_SPACED).split()
    children, end = _nodes(words, 0)
    assert end == len(words), "every bracket is closed"
    return Node(1, 1, "", children)


_SPACED: Final = str.maketrans({letter: f" {letter} " for letter in "[]{}"})


def _nodes(words: list[str], at: int) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    while at < len(words) and words[at] not in "]}":
        if words[at] in "[{":
            least, most = (0, 1) if words[at] == "[" else (1, UNBOUNDED)
            children, at = _nodes(words, at + 1)
            nodes.append(_bracketed(least, most, children))
        else:
            nodes.append(Node(1, 1, words[at]))
        at += 1
    return tuple(nodes), at


def _bracketed(least: int, most: int, children: tuple[Node, ...]) -> Node:
    """Return a group, or its only child where one bracket says all: `[{NTE}]` is one node."""
    if len(children) != 1:
        return Node(least, most, "", children)
    (only,) = children
    return Node(
        min(least, only.least),
        UNBOUNDED if UNBOUNDED in {most, only.most} else 1,
        only.name,
        only.children,
    )
