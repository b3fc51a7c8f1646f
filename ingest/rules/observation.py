"""Rules of OBX: codes, types and values, units, interpretations, statuses."""

from __future__ import annotations

from typing import Final

from schemas.finding import Level
from schemas.place import Place

from .rule import Rule

_CODE: Final = Place("OBX", 1, 3)
_VALUE: Final = Place("OBX", 1, 5)
_OBX: Final = "HL7 v2.5.1 7.4.2"

RULES: Final = (
    Rule(
        code="observation_code_missing",
        level=Level.WARNING,
        hl7_code=101,
        place=_CODE,
        en="OBX-3 is empty: say what was observed.",
        fr="OBX-3 est vide : dites ce qui a été observé.",
        why="A value of nothing known can be neither read nor routed.",
        source=_OBX + ".3 (OBX-3)",
        good="OBX|1|NM|94745-7^Ct ARN SARS-CoV-2^LN||24.6||||||F",
        bad="OBX|1|NM|||24.6||||||F",
    ),
    Rule(
        code="observation_status_missing",
        level=Level.INFO,
        hl7_code=103,
        place=Place("OBX", 1, 11),
        en="OBX-11 has no known status: that of the report was taken, or F; send it.",
        fr="OBX-11 n'a pas de statut connu : celui du compte rendu a été pris, ou F.",
        why="Whoever reads the value must know whether it may still change.",
        source=_OBX + ".11 (OBX-11), table 0085",
        good="OBX|1|NM|94745-7^Ct^LN||24.6||||||F",
        bad="OBX|1|NM|94745-7^Ct^LN||24.6||||||",
    ),
    Rule(
        code="value_type_missing",
        level=Level.WARNING,
        hl7_code=101,
        place=Place("OBX", 1, 2),
        en="OBX-2 is empty: the value was read as text; name its type.",
        fr="OBX-2 est vide : la valeur a été lue comme du texte ; indiquez son type.",
        why="Without its type nobody can tell a number from a code from a text.",
        source=_OBX + ".2 (OBX-2), table 0125",
        good="OBX|1|NM|94745-7^Ct^LN||24.6",
        bad="OBX|1||94745-7^Ct^LN||24.6",
    ),
    Rule(
        code="value_code_too_long",
        level=Level.WARNING,
        hl7_code=102,
        place=_VALUE,
        en="A code has at most 200 bytes: the value was read as text; send text as TX.",
        fr="Un code tient en 200 octets : la valeur a été lue comme du texte ; envoyez TX.",
        why="Codes are indexed, text is not.",
        source="our own; HL7 v2.5.1 2.A.13 (CWE)",
        good="OBX|1|TX|8251-1^Commentaire^LN||(a long text)",
        bad="OBX|1|CWE|8251-1^Commentaire^LN||(a long text)",
    ),
    Rule(
        code="number_unreadable",
        level=Level.WARNING,
        hl7_code=102,
        place=_VALUE,
        en="NM is a decimal with a point: the value was kept as text; use SN for < and >.",
        fr="NM est un décimal avec un point : valeur gardée comme texte ; SN pour < et >.",
        why="A comma read as a thousand separator is a result a thousand times too high.",
        source="HL7 v2.5.1 2.A.47 (NM), 2.A.72 (SN)",
        good="OBX|1|NM|94745-7^Ct^LN||24.6",
        bad="OBX|1|NM|94745-7^Ct^LN||24,6",
    ),
)
