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
    ("/v1/indicators", ("stream",)),
    ("/v1/tokens", ("operator",)),
    ("/v1/conformance/", ("operator", "laboratory")),
    ("/v1/conformance", ("operator",)),
    ("/v1/labs/import", ("operator",)),
    ("/v1/labs/{lab}/", ("operator",)),
    ("/v1/labs/{lab}", ("operator", "laboratory")),
    ("/v1/labs", ("operator",)),
    ("/v1/laboratories/figures", ("operator",)),
    ("/v1/laboratories/silent", ("operator",)),
    ("/v1/laboratories/closures", ("operator",)),
    ("/v1/laboratories/", ("operator", "laboratory")),
    ("/v1/parked", ("operator",)),
    ("/v1/pauses", ("operator",)),
    ("/v1/trace/", ("operator",)),
    ("/v1/routing/", ("operator",)),
    ("/v1/review/stewards", ("operator",)),
    ("/v1/review", ("steward",)),
    ("/v1/persons/", ("steward",)),
    ("/v1/reports/", ("steward",)),
    ("/v1/holds", ("steward",)),
    ("/v1/receivers/", ("receiver",)),
    ("/healthz", NOBODY),
    ("/readyz", NOBODY),
    ("/metrics/laboratories", ("operator",)),
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


_FIGURES: Final[Mapping[str, str]] = {
    "area": "`france` (the default), `regions`, `departments`, `region:84`, `department:75`;"
    " several with commas.",
    "period": "`day` (the default), `7days`, `week`, `month`.",
    "from": "The first time: 2026-03-06, 2026-S10 or 2026-03.",
    "to": "The last time, included.",
    "age_class": "`0` (all, the default), `09` ... `90`; several with commas, `*` for each.",
    "sex": "`all` (the default), `F`, `M`; `*` for each.",
    "as_of": "A past day or time: the last extraction at or before it.",
    "after": "Where to read on: as `next` of the answer before says.",
    "format": "`json` (the default), `csv` or `parquet`.",
}
_DELAYS: Final[Mapping[str, str]] = {
    **{name: words for name, words in _FIGURES.items() if name not in {"age_class", "sex"}},
    "period": "`week` (the default); `day`, of France alone.",
}
QUERIES: Final[Mapping[str, Mapping[str, str]]] = {
    "/v1/indicators": {"as_of": _FIGURES["as_of"]},
    "/v1/indicators/{condition}": _FIGURES,
    "/v1/indicators/{condition}/delays": _DELAYS,
    "/v1/indicators/{condition}/files/{name}": {"as_of": _FIGURES["as_of"]},
    "/v1/indicators/{condition}/changes": {
        **{name: words for name, words in _FIGURES.items() if name != "format"},
        "format": "`json` (the default) or `csv`.",
    },
}
"""Parameters that a handler reads itself."""
_CSV: Final = ("text/csv", "A header, a line a figure; empty where a value is withheld.")
FORMS: Final[Mapping[str, Mapping[str, str]]] = {
    "/v1/laboratories/{laboratory}/account/{day}": {
        "text/csv": "A line a sum, then a line a refused or parked message.",
    },
    "/v1/indicators/{condition}": {
        _CSV[0]: _CSV[1],
        "application/vnd.apache.parquet": "The same as Parquet.",
    },
    "/v1/indicators/{condition}/delays": {
        _CSV[0]: "A header, a line a class of days; empty where a value is withheld.",
        "application/vnd.apache.parquet": "The same as Parquet.",
    },
    "/v1/indicators/{condition}/changes": {_CSV[0]: _CSV[1]},
    "/v1/laboratories/figures": {"text/csv": "A head, a line a laboratory; empty: not known."},
}
"""Media types that a handler answers beside the framework's."""


def access_of(path: str) -> tuple[str, ...]:
    """Return the schemes of which one lets pass; empty where anybody may ask.

    Raises:
        LookupError: Nobody has said who may ask this path.
    """
    for beginning, schemes in _ACCESS:
        if path.startswith(beginning):
            return schemes
    raise LookupError(f"say in ops/contracts/access.py who may ask {path}")
