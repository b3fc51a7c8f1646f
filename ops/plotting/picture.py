"""From figures to a file: which kind of picture, and its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from schemas.errors import PermanentError
from schemas.figures import Figure

from . import ages, curve, departments
from .about import WORDS, About, footer_of
from .drawing import Form, Sheet, render


class Kind(StrEnum):
    """Of picture."""

    CURVE = "curve"
    AGES = "ages"
    MAP = "map"


def picture(kind: Kind, figures: Sequence[Figure], about: About, form: Form) -> bytes:
    """Return a picture of published figures; the same figures give the same bytes.

    Args:
        kind: Of picture. A curve is of one area, age class and sex; a heat map of one area and sex;
            a map of one time, age class and sex.
        figures: What is drawn; those that are not of the picture (other ages, France on a map)
            are left out where they can be told.
        about: What they have in common.
        form: SVG or PNG.

    Raises:
        PermanentError: Nothing fits, or too much for one picture.
    """

    def draw(sheet: Sheet) -> None:
        if kind is Kind.CURVE:
            curve.draw_curve(sheet, figures, about)
        elif kind is Kind.AGES:
            ages.draw_ages(sheet, figures, about)
        else:
            departments.draw_departments(sheet, figures, about)

    inches = {
        Kind.CURVE: curve.INCHES,
        Kind.AGES: ages.INCHES,
        Kind.MAP: departments.INCHES,
    }
    return render(
        draw,
        form,
        inches=inches[kind],
        title=f"{kind.value}: {WORDS[about.measure]}",
        description=footer_of(figures, about),
    )


def form_of(path: Path) -> Form:
    """Return the form that a file's name asks for."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in {form.value for form in Form}:
        raise PermanentError("bad_picture_name", remedy="The file's name must end in .svg or .png.")
    return Form(suffix)


def write(path: Path, content: bytes) -> None:
    """Put a picture in its place whole, or not at all."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content)
    beside.replace(path)
