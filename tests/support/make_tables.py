"""Write `ingest/tables/*.json` from hl7apy's own tables: `python -m tests.support.make_tables`.

One file a version, of the messages that are taken and all that can occur in them:

    messages   the structure, in HL7's own notation: [X] may be missing, {X} may come again
    segments   one text a field: "least-most type table", most `*` without limit
    types      the same for the components of each composite data type
    tables     the values of each table of an ID or IS; none where hl7apy has no values

What hl7apy has no entry for is written as what the standard says there: see `_GAPS`.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Final

VERSIONS: Final = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7")
MESSAGES: Final = ("ORU_R01", "ORU_R30", "OUL_R22", "MDM_T02", "ACK")
FOLDER: Final = Path(__file__).parents[2] / "ingest" / "tables"

_GAPS: Final = {
    "XTN_1": "0-1 ST",  # 2.5.1: left out, yet in the standard (for backward compatibility)
    "FT1_8": "0-0 ST",  # 2.6: withdrawn
    "FT1_9": "0-0 ST",  # 2.6: withdrawn
    "PV1_52": "0-0 ST",  # 2.7: withdrawn
}

Reference = Any
"""A reference of hl7apy: nested tuples and lists, untyped."""


class _Source:
    """hl7apy's tables of one version, and what was met on the way through them."""

    def __init__(self, version: str) -> None:
        self.module = importlib.import_module(f"hl7apy.v{version.replace('.', '_')}")
        self.elements = self.module.ELEMENTS
        self.segments: set[str] = set()
        self.types: dict[str, list[str]] = {}
        self.tables: set[str] = set()

    def structure(self, reference: Reference) -> str:
        kind, children = reference[:2]
        assert kind == "sequence", "a choice has no place in this form"
        parts = []
        for name, child, cardinality, what in children:
            if what == "SEG":
                self.segments.add(name)
                text = name
            else:
                text = self.structure(child or self.elements["Group"][name])
            least, most = cardinality
            assert least in {0, 1}, "HL7's notation knows no other least"
            assert most in {1, -1}, "HL7's notation knows no other most"
            if most == -1:
                text = f"{{{text}}}"
            if not least:
                text = f"[{text}]"
            parts.append(text)
        return " ".join(parts)

    def parts(self, owner: str, children: Reference, kind: str) -> list[str]:
        found = {}
        for name, reference, (least, most), _ in children:
            _, _, datatype, _, table, length = reference or self.elements[kind][name]
            assert length == -1, "hl7apy has no lengths of fields: write them down when it has"
            text = f"{least}-{'*' if most == -1 else most} {datatype or '-'}"
            if datatype in {"ID", "IS"} and table is not None:
                self.tables.add(table)
                text += f" {table.removeprefix('HL7')}"
            self.visit(datatype)
            found[int(name.rpartition("_")[2])] = text
        return [
            found[number] if number in found else _GAPS[f"{owner}_{number}"]
            for number in range(1, max(found) + 1)
        ]

    def visit(self, datatype: str | None) -> None:
        if datatype is None or datatype in self.types:
            return
        if datatype not in self.elements["Datatypes_Structs"]:
            return
        self.types[datatype] = []
        children = self.elements["Datatypes_Structs"][datatype]
        self.types[datatype] = self.parts(datatype, children, "Component")

    def compact(self) -> dict[str, dict[str, Any]]:
        known = self.elements["Message"]
        messages = {name: self.structure(known[name]) for name in MESSAGES if name in known}
        segments = {
            name: self.parts(name, self.elements["Segment"][name][1], "Field")
            for name in sorted(self.segments)
        }
        # Types that OBX-2 names stand in no field's own entry.
        for datatype in ("CE", "CWE", "CNE", "CX", "ED", "RP", "SN", "XPN", "XAD", "XTN", "XCN"):
            self.visit(datatype)
        for datatype in ("XON", "AD", "CF", "CP", "MO", "PN", "TS", "DR", "NR", "EI"):
            self.visit(datatype)
        tables = self.elements["Table"]
        return {
            "messages": messages,
            "segments": segments,
            "types": dict(sorted(self.types.items())),
            "tables": {
                table.removeprefix("HL7"): sorted(set(tables[table][1]))
                for table in sorted(self.tables)
                if table in tables and tables[table][1]
            },
        }


def compact(version: str) -> str:
    """Return the compact form of one version: JSON, one line an entry."""
    blocks = []
    for name, entries in _Source(version).compact().items():
        lines = (
            f"    {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in entries.items()
        )
        blocks.append(f'  "{name}": {{\n' + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for version in VERSIONS:
        (FOLDER / f"{version}.json").write_text(compact(version))


if __name__ == "__main__":
    main()
