"""`labdispatch indicators plot`: what is asked for, read and drawn."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ops.indicators.answering import Answer, Content
from ops.indicators.asking import Asked, known_condition, read_asked
from ops.indicators.commands import pairs_of, published_of
from ops.indicators.extractions import Made
from ops.looking import instance_at
from schemas.errors import PermanentError
from schemas.figures import Extraction, Figure, Period

from .about import MOST_TIMES, NOTHING, About, Measure
from .picture import Kind, form_of, picture, write

_SPANS: Final = {Period.WEEK: 7, Period.MONTH: 28}
_SHOWN: Final = {Period.WEEK: 53, Period.MONTH: 60}
_SHOWN_DAYS: Final = 120
"""Times of a picture where nobody said from when; of days and windows."""


class Source(Protocol):
    """What published figures are read from: `Published`, in the product."""

    async def contents(self, as_of: datetime | None) -> tuple[Made, list[Content]]:
        """Return what there is, as of an extraction."""
        ...

    async def figures(self, condition: str, asked: Asked) -> Answer:
        """Return a page of figures."""
        ...


async def plot(
    data_dir: Path,
    kind: Kind,
    condition: str,
    where: Sequence[str],
    *,
    measure: Measure,
    out: Path,
    note: str,
) -> int:
    """Draw a picture of published figures into a file."""
    form = form_of(out)
    known_condition(condition)
    asked = asked_for(kind, where)
    async with instance_at(data_dir) as hub:
        extraction, figures = await figures_for(published_of(hub), kind, condition, asked)
    about = About(measure=measure, extraction=extraction, note=note)
    write(out, picture(kind, figures, about, form))
    sys.stdout.write(f"{out}: extraction {extraction.number} of {extraction.at.isoformat()}\n")
    return 0


def asked_for(kind: Kind, where: Sequence[str]) -> Asked:
    """Return what a kind of picture needs beside what was asked for.

    Raises:
        PermanentError: As `read_asked` says, or `bad_question` where the kind decides.
    """
    pairs = pairs_of(where)
    decided = {Kind.AGES: ("age_class", "*"), Kind.MAP: ("area", "departments")}.get(kind)
    if decided is not None:
        if any(name == decided[0] for name, _ in pairs):
            raise PermanentError("bad_question", f"{decided[0]}: this picture has all of them")
        pairs.append(decided)
    return read_asked(pairs)


async def figures_for(
    source: Source, kind: Kind, condition: str, asked: Asked
) -> tuple[Extraction, list[Figure]]:
    """Return the figures of a picture, all of one extraction.

    Raises:
        PermanentError: There are none (`nothing_to_draw`), or more than a picture shows
            (`too_many_times`); nothing was read of them then.
    """
    made, contents = await source.contents(asked.as_of)
    held = [each for each in contents if (each.condition, each.period) == (condition, asked.period)]
    if not held:
        raise PermanentError("nothing_to_draw", NOTHING)
    last = min(asked.last, held[0].last)
    asked = msgspec.structs.replace(
        asked, first=_first(kind, asked, last), last=last, as_of=made.at
    )
    figures: list[Figure] = []
    while True:
        answer = await source.figures(condition, asked)
        figures += answer.figures
        if answer.next is None:
            return answer.extraction, figures
        asked = msgspec.structs.replace(asked, after=int(answer.next))


def _first(kind: Kind, asked: Asked, last: int) -> int:
    """Return the first day to read; of a map the one that it shows."""
    if kind is Kind.MAP:
        return last
    span = _SPANS.get(asked.period, 1)
    first = asked.first or last - span * (_SHOWN.get(asked.period, _SHOWN_DAYS) - 1)
    if (last - first) // span >= MOST_TIMES:
        raise PermanentError(
            "too_many_times",
            f"A picture shows {MOST_TIMES} times at most: give from and to, or period=week.",
        )
    return first
