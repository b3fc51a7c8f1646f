"""Spans: off by default, a message's hang together, no value gets there, the queue is bounded."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ops.runtime.ids import new_message_id
from ops.runtime.metrics import METRICS
from ops.runtime.settings import load_settings
from ops.runtime.traces import Traces, sampled
from schemas.errors import FatalError

CANARY = "ZZ CANARY"
ENDPOINT = "http://127.0.0.1:9/v1/traces"


def begun(exporter: Any = None, **changes: Any) -> Traces:
    traces = Traces()
    traces.start(load_settings(**{"traces_endpoint": ENDPOINT, **changes}), "tests", exporter)
    return traces


def counted(outcome: str) -> float:
    found: float = METRICS.trace_spans.labels(outcome)._value.get()
    return found


def test_nothing_is_loaded_or_noted_without_an_endpoint() -> None:
    script = (
        "import sys; from ops.runtime.traces import TRACES;"
        " from ops.runtime.settings import load_settings;"
        " TRACES.start(load_settings(), 'x'); TRACES.span('door', 0);"
        " sys.exit(any(name.startswith('opentelemetry') for name in sys.modules) or TRACES.is_on)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


def test_the_spans_of_a_message_hang_below_the_door() -> None:
    exporter = InMemorySpanExporter()
    traces, message = begun(exporter), new_message_id()
    traces.span("append", 20, trace=message, ended=30)
    traces.span("door", 10, trace=message, ended=40, is_first=True, answer="AA", partition=3)
    traces.span_batch("dispatch", 0.5, [message], events=2)
    traces.stop()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    door = spans["door"]
    assert door.context.trace_id == message.int
    assert (door.start_time, door.end_time, door.parent) == (10, 40, None)
    assert dict(door.attributes or {}) == {"answer": "AA", "partition": 3}
    inner = spans["append"]
    assert inner.parent is not None
    assert inner.context.trace_id == message.int
    assert inner.parent.span_id == door.context.span_id
    (link,) = spans["dispatch"].links
    assert (link.context.trace_id, link.context.span_id) == (message.int, door.context.span_id)
    assert dict(spans["dispatch"].attributes or {}) == {"records": 1, "events": 2}


def test_what_is_not_on_the_list_is_dropped() -> None:
    exporter = InMemorySpanExporter()
    traces = begun(exporter)
    traces.span("door", 1, name_of_patient=CANARY, code=CANARY, receiver=[CANARY], events=1)
    traces.span(CANARY, 1)
    traces.stop()
    (span,) = exporter.get_finished_spans()
    assert dict(span.attributes or {}) == {"events": 1}
    assert CANARY not in span.to_json()


def test_a_message_is_kept_at_every_station_or_at_none() -> None:
    ids = [new_message_id() for _ in range(2_000)]
    kept = [each for each in ids if sampled(each, 0.25)]
    assert 350 < len(kept) < 650
    assert not any(sampled(each, 0) for each in ids)
    assert all(sampled(each, 1) for each in ids)
    exporter = InMemorySpanExporter()
    traces = begun(exporter, traces_ratio=0.25)
    for each in ids[:50]:
        traces.span("check", 1, trace=each)
        traces.span_batch("relay", 0, [each])
    traces.stop()
    told = {s.context.trace_id for s in exporter.get_finished_spans() if s.name == "check"}
    linked = {s.links[0].context.trace_id for s in exporter.get_finished_spans() if s.links}
    assert told == linked == {each.int for each in kept if each in ids[:50]}


class Stuck:
    """A collector that answers when it is let go."""

    def __init__(self) -> None:
        self.entered, self.free = threading.Event(), threading.Event()

    def export(self, _: object) -> Any:
        self.entered.set()
        self.free.wait(60)
        raise ConnectionError

    def shutdown(self) -> None:
        pass


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    stuck, before, failed = Stuck(), counted("dropped"), counted("failed")
    traces = begun(stuck, traces_queue=3, traces_seconds=0.01)
    traces.span("read", 1)
    assert stuck.entered.wait(60)
    for _ in range(10):
        traces.span("read", 1)
    assert counted("dropped") == before + 7
    stuck.free.set()
    traces.stop()
    assert counted("failed") >= failed + 1


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    taken: list[bytes] = []

    class Taking(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", taken
    server.shutdown()
    server.server_close()
    thread.join(60)


def test_spans_go_over_http(collector: tuple[str, list[bytes]]) -> None:
    address, taken = collector
    message = UUID("018f0000-0000-7000-8000-000000000001")
    traces = begun(traces_endpoint=address, traces_seconds=30)
    traces.span("door", 1, trace=message, is_first=True)
    traces.stop()
    (body,) = taken
    assert message.bytes in body
    assert b"door" in body


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(FatalError, match="settings_invalid") as said:
        begun(data_dir=tmp_path)
    assert "labdispatch[traces]" in said.value.remedy
