"""What is told of a finding in English and in French, and where its page stands. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from ingest.catalogue import RULES, english, french
from schemas.finding import Finding, Level

LANGUAGES: Final = ("en", "fr")
PAGE_PATH: Final = "/v1/findings/"
"""Where a hub serves the page of a finding."""

LEVELS: Final = {
    "en": {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "info"},
    "fr": {Level.ERROR: "erreur", Level.WARNING: "avertissement", Level.INFO: "information"},
}


class Wording(NamedTuple):
    """The two sentences about a finding: what to do, and why it matters (may be empty)."""

    remedy: str
    why: str


def wording_of(finding: Finding, language: str) -> Wording:
    """Return what is told of a finding in this language."""
    rule = RULES.get(finding.code)
    if rule is None:
        return Wording(finding.text, "")
    return Wording(french(rule) if language == "fr" else english(rule), rule.why)
