"""What was checked, as SARIF 2.1.0: for the code scanning pages of a vendor's own CI. Pure.

Source: OASIS SARIF 2.1.0, sections 3.13 (sarifLog), 3.14 (run), 3.27 (result), 3.49
(reportingDescriptor). Lines and columns are one-based; no result holds a value of the message.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec

from ingest.catalogue import RULES, english, french
from schemas.finding import Level

from .entries import Entry, Note

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "note"}


class SarifReport:
    """Collects entries into one run.

    Args:
        version: Of this release.
        hub_url: Where the pages of the findings are served.
        language: en or fr.
    """

    def __init__(self, *, version: str, hub_url: str, language: str = "en") -> None:
        self._version = version
        self._hub_url = hub_url.rstrip("/")
        self._language = language
        self._rules: dict[str, int] = {}
        self._descriptors: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []
        self._files: dict[str, None] = {}

    def entry(self, entry: Entry) -> str:
        """Take an entry in; nothing can be written before the end."""
        self._files.setdefault(entry.file)
        self._results += [self._result(note, entry) for note in entry.findings]
        return ""

    def summary(self) -> str:
        """Return the whole log."""
        log = {
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": "labdispatch check",
                            "version": self._version,
                            "semanticVersion": self._version,
                            "rules": self._descriptors,
                        }
                    },
                    "language": {"en": "en", "fr": "fr"}[self._language],
                    "columnKind": "unicodeCodePoints",
                    "newlineSequences": ["\r\n", "\n", "\r"],
                    "invocations": [{"executionSuccessful": True}],
                    "artifacts": [{"location": {"uri": _uri(file)}} for file in self._files],
                    "results": self._results,
                }
            ],
        }
        return msgspec.json.format(msgspec.json.encode(log), indent=2).decode() + "\n"

    def _result(self, note: Note, entry: Entry) -> dict[str, Any]:
        physical: dict[str, Any] = {
            "artifactLocation": {"uri": _uri(entry.file)},
            "region": {"startLine": note.line},
        }
        if note.column:
            physical["region"] |= {"startColumn": note.column, "endColumn": note.end_column}
        about = f" ({note.place}: {note.shape})" if note.shape else ""
        return {
            "ruleId": note.code,
            "ruleIndex": self._rule(note),
            "level": _LEVELS[note.level],
            "message": {"text": note.remedy + about},
            "locations": [
                {
                    "physicalLocation": physical,
                    "logicalLocations": [
                        {"fullyQualifiedName": f"{entry.control_id or '-'}/{note.place}"}
                    ],
                }
            ],
            "properties": {
                "controlId": entry.control_id,
                "message": entry.message,
                "verdict": entry.verdict,
                "outcome": entry.outcome,
                "corrected": note.corrected,
            },
        }

    def _rule(self, note: Note) -> int:
        """Return the rule's index in the list, where it is put at first sight."""
        known = self._rules.get(note.code)
        if known is not None:
            return known
        self._rules[note.code] = index = len(self._descriptors)
        rule = RULES.get(note.code)
        text = note.remedy
        if rule is not None:
            text = french(rule) if self._language == "fr" else english(rule)
        help_text = f"{text} {note.why}".strip()
        if rule is not None:
            help_text += f"\n\n+ {rule.good}\n- {rule.bad}\n\n{rule.source}"
        self._descriptors.append(
            {
                "id": note.code,
                "shortDescription": {"text": text},
                "fullDescription": {"text": f"{text} {note.why}".strip()},
                "help": {"text": help_text},
                "helpUri": self._hub_url + note.help,
                "defaultConfiguration": {
                    "level": _LEVELS[note.level if rule is None else rule.level]
                },
            }
        )
        return index


def _uri(file: str) -> str:
    """Return a file's name as a relative or absolute URI reference."""
    return quote(file.replace("\\", "/"), safe="/:@!$&'()*+,;=~")
