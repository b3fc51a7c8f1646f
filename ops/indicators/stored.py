"""A published table as it is kept: the figures of one time and level, packed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from ops.runtime.compression import Compressor, Decompressor
from schemas.errors import FatalError
from schemas.figures import Figure

FORMAT: Final = 1
_KEPT: Final = tuple(
    name for name in Figure.__struct_fields__ if name not in {"condition", "period", "label"}
)


def pack_table(figures: Sequence[Figure]) -> bytes:
    """Return the bytes of the figures of one condition, period and label."""
    one = figures[0]
    rows = [[getattr(figure, name) for name in _KEPT] for figure in figures]
    plain = msgspec.msgpack.encode((FORMAT, one.condition, one.period, one.label, _KEPT, rows))
    return _compressor().compress(plain)


def unpack_table(packed: bytes) -> list[Figure]:
    """Return the figures; a field that was not kept then has its default.

    Raises:
        FatalError: The bytes are another release's or damaged (`table_unreadable`).
    """
    try:
        made, condition, period, label, names, rows = msgspec.msgpack.decode(
            _decompressor().decompress(packed)
        )
        same = {"condition": condition, "period": period, "label": label}
        told = [{**dict(zip(names, row, strict=True)), **same} for row in rows]
        figures = msgspec.convert(told, list[Figure])
    except (ValueError, TypeError, msgspec.MsgspecError):
        made, figures = 0, []
    if made != FORMAT:
        raise FatalError(
            "table_unreadable", "a published table was made by another release: update this one"
        )
    return figures


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


@cache
def _compressor() -> Compressor:
    return Compressor("figures")


@cache
def _decompressor() -> Decompressor:
    return Decompressor()


def as_row(figure: Figure, names: Sequence[str]) -> list[Any]:
    """Return some fields of a figure."""
    return [getattr(figure, name) for name in names]
