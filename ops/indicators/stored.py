"""A published table as it is kept: the figures of one time and level, packed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec

from ops.runtime.compression import Compressor, Decompressor
from ops.runtime.metrics import METRICS
from schemas.errors import PermanentError
from schemas.figures import DelayFigure, Figure

FORMAT: Final = 1
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, list[Figure]])
_DELAYS: Final = msgspec.msgpack.Decoder(tuple[int, list[DelayFigure]])


class Kept(NamedTuple):
    """Where a table is kept."""

    condition: str
    period: str
    day: int
    """Ordinal, the last of its time."""
    level: str
    extraction: int

    @property
    def text(self) -> str:
        """As an operator finds it."""
        day = date.fromordinal(self.day).isoformat()
        return f"{self.condition}, {self.period}, {day}, {self.level}, extraction {self.extraction}"


def pack_table(figures: Sequence[Figure]) -> bytes:
    """Return the bytes of figures; the same figures are the same bytes."""
    return _packed(figures)


def pack_delays(figures: Sequence[DelayFigure]) -> bytes:
    """Return the bytes of a week's delays; the same figures are the same bytes."""
    return _packed(figures)


def unpack_table(packed: bytes, kept: Kept) -> list[Figure]:
    """Return the figures; a field that was not kept then has its default.

    Raises:
        PermanentError: The bytes are another release's or damaged (`table_unreadable`): where it
            is kept, and what to do. Whoever asked gets no figures; nobody else is concerned.
    """
    found: list[Figure] = _unpacked(_DECODER, packed, kept)
    return found


def unpack_delays(packed: bytes, kept: Kept) -> list[DelayFigure]:
    """Return a week's delays; as `unpack_table`."""
    found: list[DelayFigure] = _unpacked(_DELAYS, packed, kept)
    return found


def pick(
    figures: Iterable[Figure],
    areas: frozenset[str],
    age_classes: frozenset[str],
    sexes: frozenset[str],
) -> list[Figure]:
    """Return the figures asked for; an empty set asks for all."""
    return [
        figure
        for figure in figures
        if (not areas or figure.area in areas)
        and (not age_classes or figure.age_class in age_classes)
        and (not sexes or figure.sex in sexes)
    ]


def _packed(figures: Sequence[Figure] | Sequence[DelayFigure]) -> bytes:
    return _of_thread.compressor.compress(_ENCODER.encode((FORMAT, figures)))


def _unpacked(decoder: msgspec.msgpack.Decoder[Any], packed: bytes, kept: Kept) -> list[Any]:
    try:
        made, figures = decoder.decode(_of_thread.decompressor.decompress(packed))
    except (ValueError, msgspec.MsgspecError):
        made, figures = 0, []
    if made != FORMAT:
        METRICS.indicator_tables_unreadable.inc()
        raise PermanentError(
            "table_unreadable",
            f"a published table is damaged, or of a newer release ({kept.text}): ask for other"
            " times meanwhile; the operator follows docs/runbooks/table-damaged.md",
        )
    return list(figures)


class _OfThread(threading.local):
    """A compressor and a decompressor for each thread: neither bears being used by two at once."""

    def __init__(self) -> None:
        self.compressor = Compressor("figures")
        self.decompressor = Decompressor()


_of_thread: Final = _OfThread()
