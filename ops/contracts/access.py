"""Who may ask which path, and what raw bodies the paths take: what the framework cannot see. Pure.

Handlers look at tokens themselves, and some read a body byte by byte. The tables here are held
against a running hub (tests/e2e/test_contracts.py): what they call closed answers 401 to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

SCHEMES: Final[Mapping[str, str]] = {
    "stream": "A reader's token for one stream or several: `labdispatch tokens`, or `tokens.json`"
    " of the data folder.",
    "operator": "`operator` of `tokens.json` in the data folder. X-Actor and X-Reason say who and"
    " why in the audit trail.",
    "steward": "A steward's own: `labdispatch review steward add`. X-Reason says why in the audit"
    " trail.",
    "laboratory": "One of a laboratory's tokens: `labdispatch labs token new`. A client certificate"
    " does as well; on loopback in clear text nobody proves anything.",
    "receiver": "The token that `labdispatch receivers add` has shown.",
}
"""The bearer tokens there are."""

NOBODY: Final[tuple[str, ...]] = ()
OPTIONAL: Final = ""
"""Stands beside a scheme that need not be sent everywhere."""

_ACCESS: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    # The first that fits the beginning of a path.
    ("/v1/messages", (OPTIONAL, "laboratory")),
    ("/v1/batches", (OPTIONAL, "laboratory")),
    ("/v1/check", NOBODY),
    ("/v1/findings", NOBODY),
    ("/v1/streams/", ("stream",)),
    ("/v1/tokens", ("operator",)),
    ("/v1/conformance/", ("operator", "laboratory")),
    ("/v1/conformance", ("operator",)),
    ("/v1/labs/import", ("operator",)),
    ("/v1/labs/{lab}/", ("operator",)),
    ("/v1/labs/{lab}", ("operator", "laboratory")),
    ("/v1/labs", ("operator",)),
    ("/v1/routing/", ("operator",)),
    ("/v1/review/stewards", ("operator",)),
    ("/v1/review", ("steward",)),
    ("/v1/persons/", ("steward",)),
    ("/v1/reports/", ("steward",)),
    ("/v1/holds", ("steward",)),
    ("/v1/receivers/", ("receiver",)),
    ("/healthz", NOBODY),
    ("/readyz", NOBODY),
    ("/metrics", NOBODY),
)

ER7: Final = "application/hl7-v2+er7"
BODIES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("post", "/v1/messages"): (ER7, "One HL7 v2 message, framed or bare."),
    ("post", "/v1/check"): ("*/*", "One HL7 v2 message, or a file of several."),
    ("post", "/v1/batches"): ("*/*", "A file of messages, with or without FHS and BHS."),
    ("post", "/v1/labs/import"): ("text/csv", "The CSV that `labdispatch labs import` takes."),
    ("post", "/v1/receivers/{name}/acknowledgements"): (ER7, "ZAM^Z01 or ZAM^Z02."),
}
"""Media type and meaning of bodies that a handler reads itself."""


def access_of(path: str) -> tuple[str, ...]:
    """Return the schemes of which one lets pass; empty where anybody may ask.

    Raises:
        LookupError: Nobody has said who may ask this path.
    """
    for beginning, schemes in _ACCESS:
        if path.startswith(beginning):
            return schemes
    raise LookupError(f"say in ops/contracts/access.py who may ask {path}")
