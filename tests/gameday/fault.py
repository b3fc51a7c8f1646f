"""A fault as a value: what is done to a running cluster, who must say so, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from tests.support.prometheus.rules import alerts

from . import scaling
from .routes import route_of
from .stage import Stage

Act = Callable[[Stage], None]

AFTERMATH: Final = frozenset({
    "LabdispatchAckAvailabilitySlow",
    "LabdispatchAckLatencySlow",
    "LabdispatchReadableLateSlow",
})  # fmt: skip
"""Tickets by which an outage is counted against what is promised for four weeks. They wake nobody,
come after the fact, and stay for hours: right after any outage, so no fault is to be without."""
SAYS_NOTHING: Final = frozenset({"none", "heartbeat"})
"""Severities that tell nobody of a fault."""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """A panel of a dashboard on which a fault is seen."""

    board: str
    title: str
    query: int = 0
    """Which of its queries."""
    of: tuple[tuple[str, str], ...] = ()
    """Only lines with these labels."""
    is_more: bool = True
    """The fault is a larger figure than a calm day's; else a smaller one, or none."""
    by: float = 0.0
    """At least so much larger or smaller."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a runbook, done as a person would do it."""

    runbook: str
    says: str
    """Words of docs/runbooks/NAME.md; a unit test finds them there."""
    do: Act
    """Fails where the step does not show or do what the runbook says."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One of the ten.

    To add one: a module `faults_*.py` with a tuple of these, named in `days.py`. `inject` may use
    whatever `Stage` holds; what it needs beside (a certificate, a second relay) is made there and
    taken away by `steps`, or by `tidy`.
    """

    name: str
    says: str
    """What happened, as the report says it."""
    alerts: tuple[str, ...]
    """What must reach a person; nothing else may, from the injection until all is calm again."""
    also: frozenset[str] = frozenset()
    """Tickets (never pages) that may reach a person as well, each with its reason in `why_also`."""
    why_also: str = ""
    panels: tuple[Panel, ...]
    inject: Act
    steps: tuple[Step, ...]
    tidy: Act | None = None
    """Done in any case at the end, also when something failed."""
    builds_seconds: float = 0.0
    """How long the figure takes to pass the alert's threshold: divided by the scale."""
    notices_seconds: float = 0.0
    """How long the hub itself takes to notice: a setting or a constant of its own, not divided."""


def derived_seconds(fault: Fault, stage: Stage) -> float:
    """Return within which time the last of a fault's alerts must reach a person, as rules say."""
    scrape = scaling.seconds(stage.prometheus.config["global"]["scrape_interval"])
    working = scaling.seconds(stage.prometheus.config["global"]["evaluation_interval"])
    longest = 0.0
    for name in fault.alerts:
        rule = alerts()[name]
        lasts = scaling.seconds(rule.get("for", "0s")) / stage.scale
        # What is recorded first is worked out once more.
        turns = 1 + ("labdispatch:" in rule["expr"])
        route = route_of(stage.alerting["route"], {**rule["labels"], "alertname": name})
        waits = scaling.seconds(route["group_wait"])
        longest = max(longest, lasts + turns * working + waits)
    return fault.notices_seconds + fault.builds_seconds / stage.scale + scrape + longest
