"""The figures of a running hub, from its own /metrics: sums, and quantiles between two looks."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import msgspec

from ops.lone_thread import in_thread
from ops.runtime.settings import Engine, Settings

Labels = Mapping[str, str]

_LINE: Final = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_MOST_BYTES: Final = 32 * 1024 * 1024


class Figures(msgspec.Struct, frozen=True):
    """Samples by name."""

    samples: Mapping[str, list[tuple[dict[str, str], float]]]

    def of(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Yield labels and value of each sample of a name."""
        yield from self.samples.get(name, ())

    def total(self, name: str, **labels: str) -> float:
        """Return the sum over all samples that have these labels."""
        return sum(
            value
            for held, value in self.of(name)
            if all(held.get(key) == wanted for key, wanted in labels.items())
        )

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return the sums by the values of one label."""
        sums: dict[str, float] = defaultdict(float)
        for held, value in self.of(name):
            sums[held.get(label, "")] += value
        return dict(sums)

    def largest(self, name: str) -> float:
        """Return the largest sample; 0 where there is none."""
        return max((value for _, value in self.of(name)), default=0.0)


NOTHING: Final = Figures({})


def parse(text: str) -> Figures:
    """Return the samples of Prometheus text (exposition format 0.0.4); pure."""
    samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for line in text.splitlines():
        match = None if line.startswith("#") else _LINE.match(line)
        if match is not None:
            labels = dict(_LABEL.findall(match[2] or ""))
            samples[match[1]].append((labels, float(match[3])))
    return Figures(dict(samples))


def quantile(share: float, now: Figures, before: Figures, name: str) -> float | None:
    """Return a quantile of a histogram over the time between two looks; None where nothing came.

    Taken within a bucket as Prometheus does: linearly.

    Args:
        share: 0.99 for p99.
        now: The later look.
        before: The earlier one; `NOTHING` for since the start.
        name: Of the histogram, without `_bucket`.
    """
    bounds: dict[float, float] = defaultdict(float)
    for figures, sign in ((now, 1.0), (before, -1.0)):
        for labels, value in figures.of(f"{name}_bucket"):
            bounds[float(labels["le"])] += sign * value
    ordered = sorted(bounds.items())
    if not ordered or ordered[-1][1] <= 0:
        return None
    rank, low, below = share * ordered[-1][1], 0.0, 0.0
    for bound, cumulated in ordered:
        if cumulated >= rank:
            if bound == float("inf"):
                return low
            inside = cumulated - below
            return low + (bound - low) * ((rank - below) / inside if inside else 1.0)
        low, below = bound, cumulated
    return low


async def read_figures(address: str, settings: Settings) -> Figures | None:
    """Return the figures that a hub tells at an address; None where it does not answer."""

    def work() -> Figures | None:
        request = Request(f"{address}/metrics")  # noqa: S310 - the address is the hub's own
        try:
            with urlopen(  # noqa: S310
                request, timeout=settings.look_seconds, context=tls_of(address, settings)
            ) as answer:
                return parse(answer.read(_MOST_BYTES).decode("utf-8", "replace"))
        except (URLError, OSError, ValueError):
            return None

    return await in_thread(work)


async def figures_of(address: str, settings: Settings) -> Figures | None:
    """Return the figures of all processes there are; None where nobody answers.

    Under `run` the API adds all processes up. On the cluster each has its own, at
    `figures_addresses`; where none of them answers, those of the API alone, which is not asked
    again where it is one of them.
    """
    if settings.engine is Engine.EMBEDDED:
        return await read_figures(address, settings)
    places = [f"http://{each}" for each in settings.figures_places]
    found = await asyncio.gather(*(read_figures(each, settings) for each in places))
    answered = [each for each in found if each is not None]
    if answered:
        return _together(answered)
    return None if address in places else await read_figures(address, settings)


def _together(found: Sequence[Figures]) -> Figures:
    samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for figures in found:
        for name, held in figures.samples.items():
            samples[name] += held
    return Figures(dict(samples))


def tls_of(address: str, settings: Settings) -> ssl.SSLContext | None:
    """Return how an address of the hub itself is trusted; None for clear text."""
    if not address.startswith("https"):
        return None
    # Figures of this very machine, and no secret goes there: its certificate is its own proof.
    context = ssl.create_default_context(
        cafile=None if settings.http_tls_cert is None else str(settings.http_tls_cert)
    )
    context.check_hostname = False
    return context
