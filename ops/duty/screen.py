"""The screen of `top`: rates and latencies between two looks, and what wants a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ops.doctor.checks import Check, State
from ops.figures import NOTHING, Figures, quantile

_RATES: Final = (
    ("received", "labdispatch_frames_total"),
    ("answered", "labdispatch_answers_total"),
    ("ended", "labdispatch_outcomes_total"),
    ("events", "labdispatch_stream_events_total"),
    ("to Kafka", "labdispatch_relay_events_total"),
    ("pushed", "labdispatch_push_deliveries_total"),
    ("errors", "labdispatch_errors_total"),
)
_TIMES: Final = (
    ("bytes in -> answer", "labdispatch_ack_seconds"),
    ("received -> dispatch", "labdispatch_in_to_taken_seconds"),
    ("received -> readable", "labdispatch_in_to_readable_seconds"),
    ("received -> Kafka", "labdispatch_in_to_kafka_seconds"),
    ("readable -> pushed", "labdispatch_readable_to_pushed_seconds"),
)
_LABORATORIES: Final = 5
_HINTS: Final = 8


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What one screen shows."""

    rates: dict[str, float]
    """Station -> a second."""
    times: dict[str, tuple[float | None, float | None]]
    """Way -> p50 and p99 in milliseconds; None: nothing went it."""
    lag: int
    oldest_seconds: float
    laboratories: list[tuple[str, int]]
    """Who sent most in 24 hours."""
    hints: list[Check]
    fault: str = ""


def frame_of(
    now: Figures | None,
    before: Figures | None,
    seconds: float,
    hints: Sequence[Check],
    *,
    fault: str = "",
) -> Frame:
    """Return what is to be shown; pure.

    Args:
        now: The later look; None: the hub did not answer.
        before: The earlier one.
        seconds: Between them.
        hints: What wants a person.
        fault: What keeps us from looking further.
    """
    later, earlier = now or NOTHING, before or now or NOTHING
    leading = sorted(
        later.by("labdispatch_laboratory_top_received", "laboratory").items(),
        key=lambda each: -each[1],
    )
    return Frame(
        rates={
            name: max(0.0, later.total(figure) - earlier.total(figure)) / seconds
            for name, figure in _RATES
        },
        times={
            name: (_ms(0.5, later, earlier, figure), _ms(0.99, later, earlier, figure))
            for name, figure in _TIMES
        },
        lag=int(later.largest("labdispatch_lag_records")),
        oldest_seconds=later.largest("labdispatch_oldest_unread_seconds"),
        laboratories=[(name, int(n)) for name, n in leading[:_LABORATORIES]],
        hints=list(hints)[:_HINTS],
        fault=fault or ("" if now is not None else "/metrics does not answer"),
    )


def _ms(share: float, now: Figures, before: Figures, name: str) -> float | None:
    found = quantile(share, now, before, name)
    return None if found is None else found * 1_000


def render(frame: Frame) -> Group:
    """Return the screen."""
    rates = Table(title="a second", min_width=24)
    rates.add_column("station")
    rates.add_column("rate", justify="right")
    for name, rate in frame.rates.items():
        rates.add_row(name, f"{rate:,.1f}")
    times = Table(title="latency, ms", min_width=40)
    times.add_column("way")
    times.add_column("p50", justify="right")
    times.add_column("p99", justify="right")
    for name, pair in frame.times.items():
        times.add_row(name, *("-" if each is None else f"{each:,.1f}" for each in pair))
    both = Table.grid(padding=(0, 2))
    both.add_row(rates, times)
    waits = f"in flight {frame.lag:,}, the oldest {frame.oldest_seconds:.0f} s"
    parts: list[Table | Text] = [Text("labdispatch top (q ends it)"), both, Text(waits)]
    if frame.laboratories:
        said = ", ".join(f"{name} {n:,}" for name, n in frame.laboratories)
        parts.append(Text(f"most in 24 h: {said}"))
    parts += [Text(f"{frame.fault}")] if frame.fault else []
    parts += [_hint(each) for each in frame.hints]
    if not frame.hints and not frame.fault:
        parts.append(Text("nothing wants a person"))
    return Group(*parts)


def _hint(each: Check) -> Text:
    style = "bold red" if each.state is State.WRONG else "yellow"
    mark = "WRONG" if each.state is State.WRONG else "look"
    return Text(f"{mark} {each.area}: {each.name}: {each.said} -> {each.to_do}", style=style)
