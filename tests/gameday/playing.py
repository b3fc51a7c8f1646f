"""One fault from calm to calm: injected, paged, seen, mended, over; and nothing else."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Final

import msgspec

from ops.grafana.dashboard import BOARDS
from tests.support.prometheus.rules import alerts
from tests.support.prometheus.server import PrometheusServer

from .fault import AFTERMATH, SAYS_NOTHING, Fault, Panel, derived_seconds
from .stage import PROCESSES, Stage

_CALM_REAL_SECONDS: Final = 3_600.0
"""How long after a fault figures may look back at it (a window of an hour), before scaling."""
_LEAST_SECONDS: Final = 240.0
_QUIET_REAL_SECONDS: Final = 300.0
"""How long nothing may fire before a day is called calm, before scaling."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a panel showed on a calm day and while the fault lasted."""

    board: str
    title: str
    calm: float | None
    fault: float | None


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """How a fault went."""

    name: str
    paged: dict[str, float]
    """Alert -> seconds from the injection until a person was told."""
    derived: float
    """Within which time that had to be, without patience."""
    shown: list[Shown]
    silent: list[str]
    """What fired in Prometheus meanwhile and was rightly told to nobody."""
    tickets: list[str]
    """Tickets beside it that are allowed."""
    over: float
    """Seconds from the last step of the runbook until its alerts were resolved."""
    calm: float
    """Seconds from then until nothing fired any more."""


class FaultFailed(Exception):
    """A fault was not told of, not in time, not alone, not shown, or not ended; says which."""


def firing(stage: Stage) -> set[str]:
    """Return the alerts that fire and tell somebody, aftermath aside."""
    rules = alerts()
    return {
        name
        for name in stage.prometheus.firing()
        if rules[name]["labels"]["severity"] not in SAYS_NOTHING and name not in AFTERMATH
    }


def calm(stage: Stage, fired: set[str] | None = None) -> float:
    """Wait until all is ready and nothing fires; return how long that took.

    Args:
        stage: Running.
        fired: Gets what fires meanwhile.
    """
    began = time.monotonic()
    limit = max(_LEAST_SECONDS, 2 * _CALM_REAL_SECONDS / stage.scale)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_REAL_SECONDS / stage.scale:
        fires = firing(stage)
        if fired is not None:
            fired |= fires
        if fires or not stage.is_ready() or not _sees_all(stage):
            quiet_since = time.monotonic()
        if time.monotonic() - began > limit:
            raise FaultFailed(f"no calm in {limit:.0f} s: {sorted(fires)} fire")
        time.sleep(0.5)
    return time.monotonic() - began


def _sees_all(stage: Stage) -> bool:
    """Whether Prometheus scrapes every process."""
    found = stage.prometheus.now("sum(up)")
    return bool(found) and float(found[0]["value"][1]) == len(PROCESSES)


def play(stage: Stage, fault: Fault, patience: float, say: Callable[[str], None]) -> Played:
    """Play a fault.

    Args:
        stage: Running and calm.
        fault: Which.
        patience: How many times the derived time an alert may take: the machine may be loaded.
        say: Told how far it is.

    Raises:
        FaultFailed: It did not go as it should.
    """
    calm(stage)
    before = {panel: figure(stage.prometheus, panel) for panel in fault.panels}
    derived = derived_seconds(fault, stage)
    fired: set[str] = set()
    began = time.monotonic()
    say(f"{fault.name}: injected; {', '.join(fault.alerts)} within {derived:.0f} s")
    try:
        fault.inject(stage)
        paged = _until_told(stage, fault, began, derived * patience, fired)
        say(f"{fault.name}: told after {max(paged.values()):.0f} s")
        shown = _until_shown(stage, fault, before, fired)
        for step in fault.steps:
            step.do(stage)
            fired |= firing(stage)
            say(f"{fault.name}: {step.runbook}: {step.says}")
        mended = time.monotonic()
        _until_over(stage, fault, fired)
        over = time.monotonic() - mended
        say(f"{fault.name}: over after {over:.0f} s")
        quiet = calm(stage, fired)
    finally:
        if fault.tidy is not None:
            fault.tidy(stage)
    told = {each.alert: each.severity for each in stage.sink.since(began) if each.is_firing}
    tickets = told.keys() - set(fault.alerts)
    wrong = {name for name in tickets if told[name] not in SAYS_NOTHING} - AFTERMATH - fault.also
    wrong |= {name for name in tickets & (AFTERMATH | fault.also) if told[name] == "page"}
    if wrong:
        # On a machine that gives us no processor other things are slow too: say how loaded it was.
        raise FaultFailed(
            f"{fault.name}: told after {max(paged.values()):.0f} s (by the rules {derived:.0f} s),"
            f" over {over:.0f} s after its last step; but a person was also told of"
            f" {sorted(wrong)} (load of the machine {os.getloadavg()[0]:.0f})"
        )
    return Played(
        name=fault.name,
        paged=paged,
        derived=derived,
        shown=shown,
        silent=sorted(fired - told.keys()),
        tickets=sorted(name for name in tickets if told[name] not in SAYS_NOTHING),
        over=over,
        calm=quiet,
    )


def figure(prometheus: PrometheusServer, panel: Panel) -> float | None:
    """Return what a panel shows now: its largest value, or its smallest where less is bad."""
    expression = query_of(panel)
    values = [
        float(each["value"][1])
        for each in prometheus.now(expression)
        if dict(panel.of).items() <= each["metric"].items()
    ]
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return None
    return max(values) if panel.is_more else min(values)


def query_of(panel: Panel) -> str:
    """Return the query of a panel, out of the dashboard that operators get."""
    (drawn,) = (
        each
        for _, panels in BOARDS[panel.board].rows
        for each in panels
        if each.title == panel.title
    )
    return drawn.queries[panel.query][0]


def differs(panel: Panel, before: float | None, now: float | None) -> bool:
    """Say whether a panel shows a fault: more (or less) than on a calm day, by as much as asked."""
    if panel.is_more:
        return now is not None and now > (before or 0.0) + panel.by
    return before is not None and (now is None or now < before - panel.by)


def _until_told(
    stage: Stage, fault: Fault, began: float, limit: float, fired: set[str]
) -> dict[str, float]:
    paged: dict[str, float] = {}
    while True:
        for each in stage.sink.since(began):
            if each.is_firing and each.alert in fault.alerts:
                paged.setdefault(each.alert, each.at - began)
        if len(paged) == len(fault.alerts):
            return paged
        fired |= firing(stage)
        if time.monotonic() - began > limit:
            told = sorted({each.alert for each in stage.sink.since(began) if each.is_firing})
            raise FaultFailed(
                f"{fault.name}: in {limit:.0f} s told of {told}; firing: {sorted(fired)}"
            )
        time.sleep(0.5)


def _until_shown(
    stage: Stage, fault: Fault, before: dict[Panel, float | None], fired: set[str]
) -> list[Shown]:
    until = time.monotonic() + 60
    shown = []
    for panel in fault.panels:
        while not differs(panel, before[panel], now := figure(stage.prometheus, panel)):
            fired |= firing(stage)
            if time.monotonic() > until:
                raise FaultFailed(
                    f"{fault.name}: '{panel.title}' shows nothing of it: {before[panel]} and {now}"
                )
            time.sleep(0.5)
        shown.append(Shown(board=panel.board, title=panel.title, calm=before[panel], fault=now))
    return shown


def _until_over(stage: Stage, fault: Fault, fired: set[str]) -> None:
    """Wait until what was told is resolved, in Prometheus and for the person."""
    limit = max(_LEAST_SECONDS, 2 * _CALM_REAL_SECONDS / stage.scale)
    began = time.monotonic()
    while True:
        fires = firing(stage)
        fired |= fires
        state: dict[str, dict[str, bool]] = {}
        for each in stage.sink.notified:
            if each.alert in fault.alerts:
                state.setdefault(each.alert, {})[str(sorted(each.labels.items()))] = each.is_firing
        still = {name for name, each in state.items() if any(each.values())} | (
            fires & set(fault.alerts)
        )
        if not still:
            return
        if time.monotonic() - began > limit:
            raise FaultFailed(f"{fault.name}: after its runbook's steps {sorted(still)} go on")
        time.sleep(0.5)
