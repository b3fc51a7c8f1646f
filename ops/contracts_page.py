"""Writes the contracts others read: `python -m ops.contracts_page`.

`schemas/json/asyncapi.json` (Kafka), `schemas/json/openapi.json` (HTTP), `docs/data-dictionary.md`.
The schemas of the streams are written by `ops.schemas_page`. Tests hold the files against the
program, and the OpenAPI document against a running hub.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from litestar import Litestar

from ops.accounting.routes import account_routes
from ops.api import ApiParts, build_api
from ops.batches.http import routes_of
from ops.contracts import asyncapi, dictionary, openapi
from ops.holding.routes import hold_routes
from ops.indicators.routes import indicator_routes
from ops.measuring.routes import figure_routes
from ops.parking.routes import parked_routes
from ops.pausing.routes import pause_routes
from ops.receivers.routes import receiver_routes
from ops.register.access import Gate
from ops.register.lab_routes import Desk
from ops.ruling.routes import rule_routes
from ops.runtime.settings import Settings
from ops.silence.routes import silence_routes
from ops.stewards.opposition_routes import opposition_routes
from ops.stewards.routes import ReviewDesk, review_routes
from ops.stream_tokens.routes import token_routes
from ops.tracing.routes import trace_routes

_ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = _ROOT / "schemas" / "json"
DICTIONARY: Final = _ROOT / "docs" / "data-dictionary.md"


def application() -> Litestar:
    """Return the application of ops/station_api.py without anything behind it: to be read only."""
    nothing: Any = None
    settings = Settings.model_construct()
    gate = Gate(tokens={})
    desk = Desk(pool=nothing, clock=nothing, gate=gate)
    review = ReviewDesk(nothing, gate, nothing)
    files: Any = SimpleNamespace(uploads=None, store=None, settings=settings)
    return build_api(
        ApiParts(
            messages=nothing,
            tokens={},
            desk=desk,
            read_conformance=nothing,
            max_body_bytes=settings.max_frame_bytes + 16,
            more_routes=[
                *routes_of(files, nothing),
                *rule_routes(nothing, nothing, gate),
                *review_routes(review),
                *hold_routes(nothing, review),
                *opposition_routes(nothing, review),
                *receiver_routes(nothing),
                *token_routes(desk),
                *indicator_routes(nothing, nothing),
                *account_routes(nothing, gate, nothing),
                *parked_routes(nothing, gate),
                *pause_routes(nothing, gate),
                *trace_routes(nothing, gate),
                *figure_routes(nothing, gate),
                *silence_routes(nothing, desk),
            ],
            readiness=nothing,
        )
    )


def openapi_text() -> str:
    """Return the OpenAPI document of everything a hub serves."""
    document = openapi.served(application().openapi_schema.to_schema())
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def contracts() -> dict[Path, str]:
    """Return each file with what must stand in it."""
    return {
        FOLDER / "asyncapi.json": asyncapi.text(),
        FOLDER / "openapi.json": openapi_text(),
        DICTIONARY: dictionary.text(),
    }


def main() -> None:
    """Write the files."""
    for path, text in contracts().items():
        path.write_text(text, "utf-8")
        print(path)  # noqa: T201 - a command says what it wrote


if __name__ == "__main__":
    main()
