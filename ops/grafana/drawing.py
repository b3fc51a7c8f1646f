"""How a dashboard is drawn: panels that say what they show, what to do, and where to read on.

The Grafana SDK is imported here and nowhere else. A dashboard of ours is a `Board`: data that tests
ask Prometheus with, and that `drawn` turns into Grafana's JSON, always the same bytes.
"""

from __future__ import annotations

from typing import Final

import msgspec
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    QueryVariable,
    Row,
    TextBoxVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Figure
from grafana_foundation_sdk.builders.timeseries import Panel as Lines
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    GridPos,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="labdispatch-prometheus")
TAG: Final = "labdispatch"
RUNBOOKS: Final = "docs/runbooks"
"""Where links to runbooks lead: the default of a box on each dashboard, for a copy on a site."""
_WIDTH: Final = 8
_HEIGHT: Final = 8
_FIGURE_WIDTH: Final = 4
_FIGURE_HEIGHT: Final = 4
_ALL: Final = 24

Query = tuple[str, str]
"""Expression and legend."""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """One panel: what it shows, in which unit, what to do about it, and where to read on."""

    title: str
    queries: tuple[Query, ...]
    unit: str
    advice: str
    runbook: str
    """Name of a page of docs/runbooks."""
    limit: float | None = None
    """From here on it is bad; a red line."""
    is_bad_below: bool = False
    """Bad is what lies below the limit."""
    is_figure: bool = False
    """One large number instead of lines."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A choice above a dashboard."""

    name: str
    label: str
    query: str
    """As Grafana asks Prometheus for its values."""


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """One dashboard."""

    uid: str
    title: str
    about: str
    rows: tuple[tuple[str, tuple[Drawn, ...]], ...]
    since: str = "now-1h"
    refresh: str = "10s"
    asked: tuple[Asked, ...] = ()


def rate(metric: str, *labels: str) -> tuple[Query, ...]:
    """Return how often a second something is counted, by labels."""
    by = f" by ({', '.join(labels)})" if labels else ""
    legend = " ".join(f"{{{{{label}}}}}" for label in labels) or "all"
    return ((f"sum{by} (rate(labdispatch_{metric}_total[$__rate_interval]))", legend),)


def quantiles(metric: str) -> tuple[Query, ...]:
    """Return the middle and the slowest hundredth of a histogram."""
    inner = f"sum by (le) (rate(labdispatch_{metric}_bucket[$__rate_interval]))"
    return (
        (f"histogram_quantile(0.5, {inner})", "p50"),
        (f"histogram_quantile(0.99, {inner})", "p99"),
    )


def p99_by(metric: str, label: str) -> tuple[Query, ...]:
    """Return the slowest hundredth of a histogram by a label."""
    inner = f"sum by (le, {label}) (rate(labdispatch_{metric}_bucket[$__rate_interval]))"
    return ((f"histogram_quantile(0.99, {inner})", f"p99 {{{{{label}}}}}"),)


def drawn(board: Board) -> str:
    """Return a dashboard as JSON, always the same bytes."""
    builder = (
        Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags([TAG])
        .time(board.since, "now")
        .refresh(board.refresh)
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            DashboardLink("Dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for asked in board.asked:
        builder = builder.with_variable(
            QueryVariable(asked.name)
            .label(asked.label)
            .datasource(SOURCE)
            .query(asked.query)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
    builder = builder.with_variable(
        TextBoxVariable("runbooks").label("Runbooks at").default_value(RUNBOOKS)
    )
    top, number = 0, 1
    for title, panels in board.rows:
        builder = builder.with_row(Row(title).id(number).grid_pos(_place(0, top, _ALL, 1)))
        number += 1
        top += 1
        left = height = 0
        for panel in panels:
            wide, high = (_FIGURE_WIDTH, _FIGURE_HEIGHT) if panel.is_figure else (_WIDTH, _HEIGHT)
            if left + wide > _ALL or (height and high != height):
                top, left, height = top + height, 0, 0
            place = _place(left, top, wide, high)
            built = _figure(panel) if panel.is_figure else _lines(panel)
            builder = builder.with_panel(built.id(number).grid_pos(place))
            left, height, number = left + wide, high, number + 1
        top += height
    return JSONEncoder(sort_keys=True, indent=2).encode(builder.build()) + "\n"


def _place(left: int, top: int, width: int, height: int) -> GridPos:
    return GridPos(x=left, y=top, w=width, h=height)


def _lines(panel: Drawn) -> Lines:
    legend = (
        VizLegendOptions()
        .show_legend(True)
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
    )
    tooltip = VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    built = (
        Lines()
        .title(panel.title)
        .description(panel.advice)
        .datasource(SOURCE)
        .unit(panel.unit)
        .legend(legend)
        .tooltip(tooltip)
        .links([_runbook(panel)])
    )
    if not panel.is_bad_below:
        built = built.min(0)
    if panel.limit is not None:
        built = built.thresholds(_thresholds(panel)).thresholds_style(
            GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE)
        )
    for query in _queries(panel):
        built = built.with_target(query)
    return built


def _figure(panel: Drawn) -> Figure:
    built = (
        Figure()
        .title(panel.title)
        .description(panel.advice)
        .datasource(SOURCE)
        .unit(panel.unit)
        .thresholds(_thresholds(panel))
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .links([_runbook(panel)])
    )
    for query in _queries(panel):
        built = built.with_target(query)
    return built


def _thresholds(panel: Drawn) -> ThresholdsConfig:
    below, above = ("red", "green") if panel.is_bad_below else ("green", "red")
    steps = [Threshold(value=None, color=below)]
    if panel.limit is not None:
        steps.append(Threshold(value=panel.limit, color=above))
    elif panel.is_bad_below:
        steps = [Threshold(value=None, color=above)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _runbook(panel: Drawn) -> DashboardLink:
    return DashboardLink("Runbook").url(f"${{runbooks}}/{panel.runbook}.md").target_blank(True)


def _queries(panel: Drawn) -> list[Dataquery]:
    return [
        Dataquery().ref_id(letter).datasource(SOURCE).expr(expression).legend_format(label)
        for letter, (expression, label) in zip("ABCDEFGH", panel.queries, strict=False)
    ]
