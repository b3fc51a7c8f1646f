"""A published table as it is kept: the figures of one time and level, packed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ops.runtime.compression import Compressor, Decompressor
from schemas.errors import FatalError
from schemas.figures import Figure

FORMAT: Final = 1
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, list[Figure]])


def pack_table(figures: Sequence[Figure]) -> bytes:
    """Return the bytes of figures; the same figures are the same bytes."""
    return _of_thread.compressor.compress(_ENCODER.encode((FORMAT, figures)))


def unpack_table(packed: bytes) -> list[Figure]:
    """Return the figures; a field that was not kept then has its default.

    Raises:
        FatalError: The bytes are another release's or damaged (`table_unreadable`).
    """
    try:
        made, figures = _DECODER.decode(_of_thread.decompressor.decompress(packed))
    except (ValueError, msgspec.MsgspecError):
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


class _OfThread(threading.local):
    """A compressor and a decompressor for each thread: neither bears being used by two at once."""

    def __init__(self) -> None:
        self.compressor = Compressor("figures")
        self.decompressor = Decompressor()


_of_thread: Final = _OfThread()
