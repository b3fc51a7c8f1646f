"""Spans of the road for OpenTelemetry: off by default, and then nothing is loaded or done.

A span is noted once it is over, with the time at which it began. The trace of a message is its id,
as in the headers of its events (routing/headers.py), and its first span is the door's. What a span
says is on an allow-list, as in logs: no value of a message gets there. Spans wait in a bounded
queue; what does not fit, or what nobody takes, is dropped and counted, and holds nobody up.

Sources: W3C Trace Context (2021), OpenTelemetry Specification 1.x (trace API, OTLP over HTTP).
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from schemas.errors import FatalError

from .metrics import METRICS
from .settings import Settings

SPANS: Final = frozenset({"door", "check", "seal", "append", "dispatch", "relay", "push", "read"})
"""The names of spans there are."""
ALLOWED_ATTRIBUTES: Final = frozenset(
    {"answer", "code", "events", "offset", "outcome", "partition", "receiver", "records", "stream"}
)
_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{0,64}")
_RANDOM: Final = (1 << 62) - 1
"""Of a message id these bits are by chance (RFC 9562, version 7)."""
_SPAN: Final = (1 << 64) - 1
_LINKS: Final = 128
_AT_ONCE: Final = 512


def sampled(trace: UUID, ratio: float) -> bool:
    """Say whether a message's spans are kept: the same at every station, without asking."""
    return (trace.int & _RANDOM) < ratio * (_RANDOM + 1)


class Traces:
    """The spans of a process; `is_on` is looked at before anything else is done."""

    def __init__(self) -> None:
        self.is_on = False
        self._ratio = 0.0
        self._queue: _Queue | None = None
        self._tracer: Any = None
        self._api: Any = None
        self._ids: Any = None

    def start(self, settings: Settings, role: str, exporter: Any = None) -> None:
        """Begin, where the settings name an endpoint.

        Args:
            settings: Endpoint, ratio and bounds.
            role: Of this process.
            exporter: Instead of OTLP over HTTP; tests.

        Raises:
            FatalError: The extra `traces` is not installed (`settings_invalid`).
        """
        if not settings.traces_endpoint:
            return
        try:
            from opentelemetry import trace as api  # noqa: PLC0415 - loaded where it is wanted
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )
            from opentelemetry.sdk import trace as sdk  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415
        except ImportError:
            raise FatalError(
                "settings_invalid",
                "traces_endpoint needs the extra `traces` (pip install 'labdispatch[traces]'), or"
                " leave it empty",
            ) from None
        self._queue = _Queue(
            exporter
            or OTLPSpanExporter(
                endpoint=settings.traces_endpoint, timeout=settings.traces_timeout_seconds
            ),
            most=settings.traces_queue,
            seconds=settings.traces_seconds,
        )
        self._ids = _Ids()
        provider = sdk.TracerProvider(
            resource=Resource({"service.name": "labdispatch", "service.instance.id": role}),
            sampler=ALWAYS_ON,  # what is not to be kept is never made
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._queue)  # type: ignore[arg-type]
        self._tracer = provider.get_tracer("labdispatch")
        self._api = api
        self._ratio = settings.traces_ratio
        self.is_on = True

    def stop(self) -> None:
        """Give away what waits, for as long as one try may take."""
        if self._queue is not None:
            self._queue.shutdown()
        self.is_on = False
        self._queue = None

    def span(
        self,
        name: str,
        began: int,
        *,
        trace: UUID | None = None,
        ended: int | None = None,
        is_first: bool = False,
        **attributes: object,
    ) -> None:
        """Note a span that is over; never raises for what it is told.

        Args:
            name: One of `SPANS`.
            began: Nanoseconds since 1970.
            trace: The message it is of; None: a trace of its own.
            ended: Nanoseconds since 1970; now, unless given.
            is_first: It is the message's first span: the others hang below it.
            attributes: What is not on the list, or no plain word or number, is dropped.
        """
        until = time.time_ns() if ended is None else ended
        self._write(name, (began, until), (), attributes, trace=trace, is_first=is_first)

    def span_batch(
        self, name: str, seconds: float, messages: Sequence[UUID], **attributes: object
    ) -> None:
        """Note a span that took so long and is over now; it links to the first 128 messages."""
        now = time.time_ns()
        if messages:
            attributes["records"] = len(messages)
        self._write(name, (now - int(seconds * 1e9), now), messages, attributes)

    def _write(
        self,
        name: str,
        times: tuple[int, int],
        links: Sequence[UUID],
        attributes: Mapping[str, object],
        *,
        trace: UUID | None = None,
        is_first: bool = False,
    ) -> None:
        if not self.is_on or name not in SPANS:
            return
        kept = [each for each in links if sampled(each, self._ratio)][:_LINKS]
        if not self._is_kept(trace, links, kept):
            return
        context = None
        if trace is not None and is_first:
            self._ids.first = trace
        elif trace is not None:
            context = self._api.set_span_in_context(
                self._api.NonRecordingSpan(self._context_of(trace))
            )
        span = self._tracer.start_span(
            name,
            context=context,
            links=[self._api.Link(self._context_of(each)) for each in kept],
            start_time=times[0],
            attributes={k: v for k, v in attributes.items() if _may_be_told(k, v)},
        )
        self._ids.first = None
        span.end(times[1])

    def _is_kept(self, trace: UUID | None, about: Sequence[UUID], kept: Sequence[UUID]) -> bool:
        if trace is not None:
            return sampled(trace, self._ratio)
        return bool(kept) if about else random.random() < self._ratio  # noqa: S311 - no secret

    def _context_of(self, trace: UUID) -> Any:
        return self._api.SpanContext(
            trace_id=trace.int,
            span_id=_first_span_of(trace),
            is_remote=True,
            trace_flags=self._api.TraceFlags(self._api.TraceFlags.SAMPLED),
        )


def _first_span_of(trace: UUID) -> int:
    return (trace.int ^ (trace.int >> 64)) & _SPAN or 1


def _may_be_told(name: str, value: object) -> bool:
    if name not in ALLOWED_ATTRIBUTES:
        return False
    return isinstance(value, int) or (isinstance(value, str) and _WORD.fullmatch(value) is not None)


class _Ids:
    """Gives ids by chance, and to a message's first span its own."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

        self._by_chance = RandomIdGenerator()
        self.first: UUID | None = None

    def generate_span_id(self) -> int:
        if self.first is not None:
            return _first_span_of(self.first)
        return self._by_chance.generate_span_id()

    def generate_trace_id(self) -> int:
        if self.first is not None:
            return self.first.int
        return self._by_chance.generate_trace_id()

    def is_trace_id_random(self) -> bool:
        return False


class _Queue:
    """Hands spans over from a thread of its own, some at a time; never keeps anybody waiting."""

    def __init__(self, exporter: Any, *, most: int, seconds: float) -> None:
        self._exporter = exporter
        self._most = most
        self._seconds = seconds
        self._waiting: deque[Any] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Do nothing: a span is noted once it is over."""

    def _on_ending(self, span: Any) -> None:
        """Do nothing."""

    def on_end(self, span: Any) -> None:
        """Take a span; drop it where the queue is full."""
        if len(self._waiting) >= self._most:
            METRICS.trace_spans.labels("dropped").inc()
            return
        self._waiting.append(span)
        if len(self._waiting) >= _AT_ONCE:
            self._wake.set()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's
        """Wake the thread."""
        self._wake.set()
        return True

    def shutdown(self) -> None:
        """Give away what waits; one try, and no longer than that takes."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=2 * self._seconds)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._seconds)
            self._wake.clear()
            self._hand_over()
        self._hand_over()
        self._exporter.shutdown()

    def _hand_over(self) -> None:
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            if not self._give(some):
                return

    def _give(self, some: Sequence[Any]) -> bool:
        try:
            taken = bool(self._exporter.export(some).name == "SUCCESS")
        except Exception:  # noqa: BLE001 - boundary: a collector's fault is no fault of ours
            taken = False
        METRICS.trace_spans.labels("sent" if taken else "failed").inc(len(some))
        return taken


TRACES: Final = Traces()
"""Of this process."""
