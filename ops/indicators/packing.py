"""Cells as they are kept: of a condition, a time and a department all ages and sexes in one. Pure.

A batch touches thousands of cells of a few days; packed by department it writes some hundred rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add
from typing import Final

import msgspec

from routing.indicator_cells import (
    DAY,
    DELAYS,
    MEASURES,
    CellKey,
    DelayKey,
    Delays,
    Deltas,
    Place,
)
from schemas.errors import PermanentError

FORMAT: Final = 1
"""Of a packed row; another one is counted anew."""


class Packed(msgspec.Struct, array_like=True, gc=False):
    """All cells of a place, and its delays; cells that count nothing are left out."""

    made: int = FORMAT
    cells: dict[str, list[int]] = {}
    """Age class and sex, as `29F`; counts by `Measure`."""
    delays: list[int] = []
    """Of tests, by days to reception; empty where there are none."""
    positive_delays: list[int] = []


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Packed)


def unpack(packed: bytes) -> Packed:
    """Return what a row holds.

    Raises:
        PermanentError: `row_unreadable`: another release's.
    """
    try:
        found = _DECODER.decode(packed)
    except msgspec.MsgspecError:
        found = Packed(made=0)
    if found.made != FORMAT:
        raise PermanentError("row_unreadable", "cells have another format: rebuild indicators")
    return found


def pack(cells: Packed) -> bytes | None:
    """Return the bytes of a row; None where it counts nothing any more."""
    if not (cells.cells or cells.delays or cells.positive_delays):
        return None
    # In one order, so that equal counts are equal bytes.
    cells.cells = dict(sorted(cells.cells.items()))
    return _ENCODER.encode(cells)


def touched_by(deltas: Deltas) -> dict[Place, list[DelayKey]]:
    """Return which rows a change touches, and whose delays."""
    found: dict[Place, list[DelayKey]] = {place: [] for place in deltas.places}
    for delay in deltas.delays:
        place = Place(delay.condition, DAY, delay.day, delay.department)
        found.setdefault(place, []).append(delay)
    return found


def change(held: Packed, deltas: Deltas, place: Place, delays: Iterable[DelayKey]) -> None:
    """Add to a row what changes of it.

    Raises:
        PermanentError: `counts_differ`: a count would fall below zero, which no events can cause.
    """
    into = held.cells
    for name, counted in deltas.places.get(place, {}).items():
        counts = _added(into.get(name), counted)
        if counts:
            into[name] = counts
        else:
            into.pop(name, None)
    for delay in delays:
        told = deltas.delays[delay]
        held.delays = _added(held.delays, told.tests)
        held.positive_delays = _added(held.positive_delays, told.positive_tests)


def cells_of(place: Place, held: Packed) -> dict[CellKey, list[int]]:
    """Return the cells of a row, each with all its measures."""
    return {
        CellKey(place.condition, place.period, place.day, place.department, name[:-1], name[-1]): (
            [*counts, *(0,) * (MEASURES - len(counts))]
        )
        for name, counts in held.cells.items()
    }


def delays_of(held: Packed) -> Delays:
    """Return the delays of a row, of every class."""
    return Delays(_filled(held.delays), _filled(held.positive_delays))


def _filled(counts: list[int]) -> list[int]:
    return [*counts, *(0,) * (DELAYS - len(counts))]


def _added(held: Sequence[int] | None, change: Sequence[int]) -> list[int]:
    counts = list(map(add, held, change)) if held else list(change)
    if min(counts) < 0:
        raise PermanentError(
            "counts_differ", "a count would fall below zero: labdispatch indicators verify"
        )
    return counts if any(counts) else []
