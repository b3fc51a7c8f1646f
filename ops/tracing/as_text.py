"""The way of a message for a terminal: a line a station, without what is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .ways import ReportWay, Trace

NOTHING: Final = (
    "no message, report, event or order has this id: `--laboratory` looks for order numbers too\n"
)
_TIMES: Final = ("at", "decided_at", "emitted_at", "since")


def as_text(
    traces: Sequence[Trace], identities: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """Return ways as a person reads them; a program has `--json`."""
    if not traces:
        return NOTHING
    lines: list[str] = []
    told: set[object] = set()
    for each in traces:
        lines.append(
            f"{each.kind} {each.message_id} from {each.laboratory or '?'}"
            f" at partition {each.partition}, offset {each.offset}"
        )
        shown = (identities or {}).get(str(each.message_id))
        if shown:
            lines.append(f"  {'patient':<9} {'':<32} {_rest(shown)}")
        lines += [_line(station["station"], station) for station in each.stations]
        for report in each.reports:
            # What many messages changed is told once.
            if report.report_id not in told and _went_on(report, each):
                told.add(report.report_id)
                lines += _report(report)
    return "\n".join(lines) + "\n"


def _went_on(report: ReportWay, of: Trace) -> bool:
    """Say whether anything happened to a report beside what the message itself brought."""
    others = [v for v in report.versions if v["message_id"] != of.message_id]
    return bool(others or report.joined or report.cases)


def _report(report: ReportWay) -> list[str]:
    stands = f"version {report.version}, {report.status}, person {report.person_id}"
    lines = [f"  report {report.report_id}: {stands}"]
    for name, rows in (
        ("version", report.versions),
        ("joined", report.joined),
        ("case", report.cases),
        ("event", report.events),
    ):
        lines += ["  " + _line(name, row) for row in rows]
    return lines


def _line(name: str, station: Mapping[str, Any]) -> str:
    at = next((station[each] for each in _TIMES if station.get(each)), "")
    return f"  {name:<9} {at!s:<32} {_rest(station)}"


def _rest(station: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {_for_eyes(value)}"
        for key, value in station.items()
        if key not in {"station", *_TIMES} and value not in (None, "", [], {})
    )


def _for_eyes(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_for_eyes(each)}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(_for_eyes(each) for each in value)
    return str(value)
