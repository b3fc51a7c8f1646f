"""`labdispatch explain`: one finding of the catalogue, for a terminal. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from ingest.catalogue import RULES, english, french
from schemas.errors import PermanentError
from schemas.place import NOWHERE

from .wording import LEVELS

_WORDS: Final = {
    "en": ("why", "source", "right", "wrong"),
    "fr": ("pourquoi (en anglais)", "source", "correct", "incorrect"),
}


def explained(code: str, language: str) -> str:
    """Return what a finding means.

    Raises:
        PermanentError: There is no finding of this code (`finding_unknown`).
    """
    rule = RULES.get(code)
    if rule is None:
        near = ", ".join(get_close_matches(code, RULES, n=3))
        raise PermanentError(
            "finding_unknown", f"did you mean {near}?" if near else "docs/profile.md has the codes"
        )
    why, source, right, wrong = _WORDS[language]
    place = "" if rule.place == NOWHERE else f" ({rule.place})"
    return (
        f"{LEVELS[language][rule.level]}[{code}]{place}\n"
        f"{french(rule) if language == 'fr' else english(rule)}\n\n"
        f"{why}: {rule.why}\n{source}: {rule.source}\n"
        f"{right}:\n    {rule.good}\n{wrong}:\n    {rule.bad}\n"
    )
