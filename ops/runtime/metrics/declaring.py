"""How a metric is declared: name, help, labels with their sets, and how processes add up.

What is declared here can give no label value outside of its set: it comes as `other`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Counted
from collections.abc import Mapping, Sequence
from typing import Final, Generic, Literal, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from .labels import METRIC_NAMES, OTHER, LabelSet

PREFIX: Final = "labdispatch_"
FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Every stage of the road has these, so that one can be held against another."""
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)

Mode = Literal["livesum", "livemax", "livemin", "livemostrecent"]
"""How the gauges of several living processes add up; those of one that ended count no more."""
M = TypeVar("M", Counter, Gauge, Histogram, "Seconds")


class Labelled(Generic[M]):
    """A metric with labels, each combination looked up once: label values are closed sets."""

    def __init__(self, metric: M, sets: Mapping[str, LabelSet]) -> None:
        self.metric: M = metric
        self.sets: Final = dict(sets)
        self._in_order: Final = tuple(sets.values())
        self._children: dict[tuple[str, ...], M] = {}

    def labels(self, *values: str) -> M:
        """Return the figure of these label values; of a value outside its set that of `other`."""
        child = self._children.get(values)
        return self._new(values) if child is None else child

    def told(self) -> list[M]:
        """Return the figures of all label values that were told."""
        return list(self._children.values())

    def _new(self, values: tuple[str, ...]) -> M:
        # str: members of a StrEnum are what they say, and nothing else is kept of them.
        told = tuple(
            str(value) if of.takes(value) else OTHER
            for value, of in zip(values, self._in_order, strict=True)
        )
        child: M = self.metric.labels(*told)
        if told != values:  # never kept under what was handed in: that may be anything
            _REFUSED.labels(self.metric._name.removeprefix(PREFIX)).inc()  # noqa: SLF001 - no other way to its name
            return child
        return self._children.setdefault(told, child)


class Seconds(Histogram):
    """A histogram that takes many values at once."""

    def observe_all(self, values: Sequence[float]) -> None:
        """Take values as `observe` takes each."""
        found = Counted(bisect_left(self._upper_bounds, value) for value in values)
        for bucket, times in found.items():
            self._buckets[bucket].inc(times)
        self._sum.inc(sum(values))


def counter(name: str, documentation: str) -> Counter:
    """Declare what is counted."""
    return Counter(PREFIX + name, documentation)


def counters(name: str, documentation: str, **sets: LabelSet) -> Labelled[Counter]:
    """Declare what is counted by labels."""
    return Labelled(Counter(PREFIX + name, documentation, list(sets)), sets)


def gauge(name: str, documentation: str, *, mode: Mode) -> Gauge:
    """Declare what stands at a value now."""
    return Gauge(PREFIX + name, documentation, multiprocess_mode=mode)


def gauges(name: str, documentation: str, *, mode: Mode, **sets: LabelSet) -> Labelled[Gauge]:
    """Declare what stands at a value now, by labels."""
    return Labelled(Gauge(PREFIX + name, documentation, list(sets), multiprocess_mode=mode), sets)


def seconds(name: str, documentation: str, *, buckets: Sequence[float] = FAST) -> Seconds:
    """Declare a histogram of durations that can take many at once."""
    return Seconds(PREFIX + name, documentation, buckets=buckets)


def seconds_by(name: str, documentation: str, **sets: LabelSet) -> Labelled[Seconds]:
    """Declare durations by labels that come many at once."""
    return Labelled(Seconds(PREFIX + name, documentation, list(sets), buckets=FAST), sets)


def histogram(name: str, documentation: str, *, buckets: Sequence[float]) -> Histogram:
    """Declare a histogram."""
    return Histogram(PREFIX + name, documentation, buckets=buckets)


def histograms(
    name: str, documentation: str, *, buckets: Sequence[float], **sets: LabelSet
) -> Labelled[Histogram]:
    """Declare histograms by labels."""
    return Labelled(Histogram(PREFIX + name, documentation, list(sets), buckets=buckets), sets)


_REFUSED: Final = Labelled(
    Counter(
        PREFIX + "label_values_refused",
        "Label values that were in no set and told as `other`, by metric: a fault of ours",
        ["metric"],
    ),
    {"metric": METRIC_NAMES},
)


def refused_labels() -> Labelled[Counter]:
    """Return the figure of label values that were in no set."""
    return _REFUSED
