"""UCUM: which units of the field are codes of it, and what laboratories write instead. Pure.

A unit gets UCUM's system only where its code is one. The grammar is UCUM's (section 2.2) without
parentheses, over the atoms that laboratories use; letters that mean something else to them (G for
10^9, T for 10^12, C for Celsius) are left out. Source: The Unified Code for Units of Measure 2.1.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from schemas.report import Coded

from .fhir import Clean, filled, told

_SYSTEM: Final = "http://unitsofmeasure.org"
_METRIC: Final = (
    "m", "s", "g", "L", "l", "mol", "Pa", "J", "W", "kat", "U", "Hz", "eq", "osm", "cal",
    r"\[IU\]", r"\[iU\]", r"m\[Hg\]", "Bq", "Sv", "Cel", "bar", "V", "eV",
)  # fmt: skip
_PLAIN: Final = (
    "min", "h", "d", "wk", "mo", "a", "%", r"10\*", r"10\^", r"\[arb'U\]", r"\[CFU\]", r"\[PFU\]",
    r"\[pH\]", r"\[ppm\]", r"\[ppb\]", r"\[ppth\]", r"\[Ch\]", r"\[degF\]", "deg", r"\[drp\]",
    r"\[HPF\]", r"\[LPF\]", r"\[GPL'U\]", r"\[MPL'U\]", r"\[APL'U\]", r"\[USP'U\]", r"\[CCID_50\]",
)  # fmt: skip
_PREFIX: Final = "(?:da|[kMGTdcmunpfa])"
_ATOM: Final = rf"(?:{_PREFIX}?(?:{'|'.join(_METRIC)})|{'|'.join(_PLAIN)})"
_NOTE: Final = r"\{[!-z|~]+\}"
_TERM: Final = rf"(?:{_ATOM}(?:[+-]?[1-9]\d?)?(?:{_NOTE})?|[1-9]\d{{0,5}}|{_NOTE})"
_UNIT: Final = re.compile(rf"/?{_TERM}(?:[./]{_TERM}){{0,5}}", re.ASCII)

WRITTEN: Final = {
    "ui/l": "[IU]/L", "ui/ml": "[IU]/mL", "mui/l": "m[IU]/L", "mui/ml": "m[IU]/mL",
    "iu/l": "[IU]/L", "iu/ml": "[IU]/mL", "miu/l": "m[IU]/L", "miu/ml": "m[IU]/mL",
    "kui/l": "k[IU]/L", "µui/ml": "u[IU]/mL", "ui": "[IU]",
    "giga/l": "10*9/L", "tera/l": "10*12/L", "10^9/l": "10*9/L", "10^12/l": "10*12/L",
    "10e9/l": "10*9/L", "10e12/l": "10*12/L", "x10^9/l": "10*9/L", "x10^12/l": "10*12/L",
    "copies/ml": "{copies}/mL", "cp/ml": "{copies}/mL", "copies/µl": "{copies}/uL",
    "ufc/ml": "[CFU]/mL", "cfu/ml": "[CFU]/mL", "mmhg": "mm[Hg]", "°c": "Cel", "sec": "s",
    "secondes": "s", "ml/min/1.73m2": "mL/min/{1.73_m2}", "ml/min/1,73m²": "mL/min/{1.73_m2}",
    "ml/min/1.73m²": "mL/min/{1.73_m2}", "ml/min/1,73m2": "mL/min/{1.73_m2}", "ct": "{Ct}",
    "cycles": "{Ct}", "/mm³": "/mm3", "inr": "{INR}", "ratio": "{ratio}",
}  # fmt: skip
"""What laboratories write for a unit of UCUM, in lower case; only what can mean nothing else."""
# `G/L` and `T/L` are a case of their own: in lower case they would be gram and ton.
_CASED: Final = {"G/L": "10*9/L", "T/L": "10*12/L"}
_MICRO: Final = str.maketrans("µμ", "uu")


@lru_cache(maxsize=4_096)
def unit_of(unit: Coded) -> Clean:
    """Return `unit`, `system` and `code` of a Quantity: what was written, and its code in UCUM."""
    written = told(unit.text or unit.code)
    code = ucum_of(told(unit.code)) if is_ucum(unit.system) else None
    if code is None and is_ucum(unit.alternate_system):
        code = ucum_of(told(unit.alternate_code))
    return filled({"unit": written, "system": _SYSTEM if code else None, "code": code})


def is_ucum(system: str) -> bool:
    """Say whether a unit's system is UCUM, or none is named: HL7 asks for UCUM there."""
    return not system or system.upper() in {"UCUM", "ISO+UCUM", "2.16.840.1.113883.6.8"}


def ucum_of(text: str) -> str | None:
    """Return the code in UCUM of a unit as it is written, None where it has none that is known."""
    code = _CASED.get(text) or WRITTEN.get(text.lower()) or text.translate(_MICRO)
    return code if _UNIT.fullmatch(code) else None
