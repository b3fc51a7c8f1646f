"""Every finding that can be told, by its stable code; the one place where their texts stand. Pure.

A finding takes its level, its code of HL7 table 0357 and its text from here; a page for each is
generated from here (`docs/findings/`), and `GET /v1/findings/CODE` serves it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from schemas.errors import PermanentError
from schemas.finding import Finding, Level
from schemas.place import Place

from .rules import (
    batch,
    door,
    envelope,
    framing,
    france,
    hl7,
    identity,
    observation,
    order,
    patient,
    structure,
)
from .rules.rule import Rule

_MODULES: Final = (
    framing,
    door,
    batch,
    envelope,
    structure,
    patient,
    identity,
    order,
    observation,
    hl7,
    france,
)
RULES: Final[dict[str, Rule]] = {rule.code: rule for module in _MODULES for rule in module.RULES}
"""Every rule by its code, in the order in which the profile is read."""

_NO_USE: Final = (
    " Sending it again will not help.",
    " Le renvoyer tel quel ne servira à rien.",
)
_AGAIN: Final = (" It may be sent again.", " Il peut être renvoyé.")


def english(rule: Rule) -> str:
    """Return what is told in English: what is wrong, what to do, whether to send it again."""
    return rule.en + _ending(rule)[0]


def french(rule: Rule) -> str:
    """Return what is told in French: what is wrong, what to do, whether to send it again."""
    return rule.fr + _ending(rule)[1]


def _ending(rule: Rule) -> tuple[str, str]:
    if rule.may_be_resent:
        return _AGAIN
    return _NO_USE if rule.level is Level.ERROR else ("", "")


@lru_cache(maxsize=4_096)
def finding(code: str, place: Place | None = None, level: Level | None = None) -> Finding:
    """Return the finding of a code, at its usual place and level where nothing else is said."""
    rule = RULES[code]
    return Finding(
        code,
        rule.level if level is None else level,
        rule.place if place is None else place,
        rule.hl7_code,
        english(rule),
    )


def fault(code: str, place: Place | None = None) -> PermanentError:
    """Return the error that says why a message cannot be read or mapped, by its code."""
    rule = RULES[code]
    return PermanentError(code, rule.en, rule.place if place is None else place)
