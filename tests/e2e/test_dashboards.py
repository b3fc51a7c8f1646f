"""Every panel and every recorded figure, asked of a real Prometheus that scrapes a hub at work."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from ops.grafana.dashboard import BOARDS
from tests.support.product import Embedded
from tests.support.prometheus.everyday import ENV, SENDER, EverydayHub
from tests.support.prometheus.rules import figures_of, recorded
from tests.support.prometheus.server import PrometheusServer

pytestmark = pytest.mark.timeout(900)
WEEK: Final = 7 * 86_400
PATIENCE_SECONDS: Final = 180
_NO_KAFKA: Final = "an embedded hub has no topics"
EMPTY: Final[dict[str, str]] = {
    "labdispatch_inbound_lag_records": _NO_KAFKA,
    "labdispatch_inbound_records_total": _NO_KAFKA,
    "labdispatch_inbound_parked_records": _NO_KAFKA,
    "labdispatch_inbound_parks_total": _NO_KAFKA,
    "labdispatch_in_to_kafka_seconds_bucket": _NO_KAFKA,
    "labdispatch_relay_lag_events": _NO_KAFKA,
    "labdispatch_relay_events_total": _NO_KAFKA,
    "labdispatch_relay_again_events_total": _NO_KAFKA,
    "labdispatch_process_ending": "needs a process that ends for good",
    "labdispatch_trace_spans_total": "off by default: needs a collector",
    "labdispatch_review_items_withheld_total": "needs 10,000 records of which many are in doubt",
    "labdispatch_stream_fell_behind_total": "needs a reader slower than 16 MiB of events",
}
"""Figures that nothing gives here, and why: queries that need one of them may be empty."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    hub = Embedded({**ENV, "LABDISPATCH_BACKUP_DIR": str(tmp_path_factory.mktemp("backups"))})
    server = day = None
    try:
        hub.start()
        day = EverydayHub(hub)
        at = f"127.0.0.1:{hub.http_port}"
        folder = Path(tempfile.mkdtemp(prefix="ld-prometheus-"))
        server = PrometheusServer(folder, {"api": at, "laboratories": at}, day.operator_token)
        server.backfill(last_week(time.time()))
        server.start()
        asyncio.run(day.pass_once())
        asyncio.run(day.go_on(5))
        yield server
    finally:
        if day is not None:
            day.stop()
        if server is not None:
            server.remove()
        hub.remove()


def last_week(now: float) -> Iterator[str]:
    """Give what panels hold today against: some hours around this time, a week ago."""
    series = (
        "labdispatch:taken:rate5m",
        'labdispatch:stream_events:rate5m{stream="dossier"}',
        f'labdispatch_laboratory_received{{laboratory="{SENDER}"}}',
    )
    for name in series:
        yield f"# TYPE {name.partition('{')[0]} gauge\n"
        for at in range(int(now) - WEEK - 7_200, int(now) - WEEK + 7_200, 60):
            yield f"{name} {20 + at % 7} {at}\n"


def test_every_query_of_every_panel_gives_something(asked: PrometheusServer) -> None:
    queries = {
        (name, panel.title, expression)
        for name, board in BOARDS.items()
        for _, panels in board.rows
        for panel in panels
        for expression, _ in panel.queries
        if not figures_of(expression, recorded()) & set(EMPTY)
    }
    left = _left(asked, queries)
    assert not left, "\n".join(left)


def test_every_recorded_figure_gives_something(asked: PrometheusServer) -> None:
    left = _left(asked, {("", name, expr) for name, expr in recorded().items()})
    assert not left, "\n".join(left)


def test_what_is_said_to_be_empty_is_asked_by_a_panel() -> None:
    asked = {
        figure
        for board in BOARDS.values()
        for _, panels in board.rows
        for panel in panels
        for expression, _ in panel.queries
        for figure in figures_of(expression, recorded())
    }
    assert set(EMPTY) <= asked


def _left(asked: PrometheusServer, queries: set[tuple[str, str, str]]) -> list[str]:
    """Return which give nothing, once there was time enough."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        queries = {each for each in queries if not asked.now(each[2])}
        if not queries or time.monotonic() > until:
            return sorted(" | ".join(each) for each in queries)
        time.sleep(1)
