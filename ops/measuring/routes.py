"""HTTP of the figures of all laboratories: JSON, CSV, OpenMetrics; for the operator's token."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from ops.register.access import Gate
from ops.runtime.metrics import METRICS

from .laboratories import MOST_HOURS, Asked, LabFigures, Laboratories

HttpRequest = Request[Any, Any, Any]

OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_HOURS: Final = 24
_Hours = Annotated[
    int,
    QueryParameter(ge=1, le=MOST_HOURS, description="Of the last so many hours, with this one."),
]
_Format = Annotated[
    Literal["json", "csv"],
    QueryParameter(name="format", description="`json` (the default) or `csv`."),
]
_DESCRIPTION: Final = (
    "A row for every laboratory of the register. Counts are written every half minute and may miss"
    " what a killed process had not written; what must add up is `labdispatch account`."
    " Needs the operator's bearer token (`operator` in tokens.json)."
)

_GAUGES: Final = {
    "received": "Messages durable in the log",
    "turned_away": "Messages answered AR",
    "dispatched": "Messages dispatched",
    "duplicate": "Messages that were duplicates",
    "refused": "Messages answered AE",
    "parked": "Messages parked",
    "flagged": "Messages with a warning or an error among their findings",
    "silent_seconds": "Since the last message",
    "connections": "Connections open at doors of this machine",
    "quota_used_ratio": "Share of the quota of the day that is used",
}
"""Of each a metric; what is not known of a laboratory is not told of it."""


def figure_routes(laboratories: Laboratories, gate: Gate) -> list[ControllerRouterHandler]:
    """Return the two routes.

    Args:
        laboratories: Reads the figures.
        gate: Lets the operator pass.
    """

    @get("/v1/laboratories/figures", summary="Figures of laboratories", description=_DESCRIPTION)
    async def get_figures(
        request: HttpRequest,
        hours: _Hours = _HOURS,
        form: _Format = "json",
    ) -> Response[Any]:
        gate.operator(request)
        asked = await laboratories.ask(hours)
        METRICS.api_requests.labels("laboratories", "200").inc()
        if form == "csv":
            return Response(as_csv(asked), media_type="text/csv")
        return Response(asked, media_type="application/json")

    @get(
        "/metrics/laboratories",
        summary="Figures of laboratories as OpenMetrics",
        description=_DESCRIPTION,
        media_type=OPEN_METRICS,
    )
    async def get_metrics(request: HttpRequest, hours: _Hours = _HOURS) -> Response[str]:
        gate.operator(request)
        asked = await laboratories.ask(hours)
        METRICS.api_requests.labels("laboratories", "200").inc()
        return Response(as_open_metrics(asked), media_type=OPEN_METRICS)

    return [get_figures, get_metrics]


def as_csv(asked: Asked) -> str:
    """Return a head and a line each; empty where something is not known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [field.name for field in msgspec.structs.fields(LabFigures)]
    writer.writerow(names)
    for each in asked.laboratories:
        row = msgspec.to_builtins(each)
        writer.writerow("" if row[name] is None else row[name] for name in names)
    return out.getvalue()


def as_open_metrics(asked: Asked) -> str:
    """Return the figures as OpenMetrics 1.0 text, a gauge each."""
    labels = [
        (f'{{laboratory="{_escaped(each.laboratory)}"}}', each) for each in asked.laboratories
    ]
    lines = []
    for name, means in _GAUGES.items():
        metric = f"labdispatch_laboratory_{name}"
        within = "" if name in _OF_NOW else f", of the last {asked.hours} hours"
        lines.append(f"# TYPE {metric} gauge\n# HELP {metric} {means}{within}\n")
        lines.extend(
            f"{metric}{label} {value}\n"
            for label, each in labels
            if (value := getattr(each, name)) is not None
        )
    lines.append("# EOF\n")
    return "".join(lines)


_OF_NOW: Final = frozenset({"silent_seconds", "connections", "quota_used_ratio"})


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
