"""In which order files of tests are begun: the long ones first, so that no process ends alone.

Two processes share the files. Whatever comes last is waited for by the other one: a file that
starts a cluster at the very end costs its whole length, one of the unit tests a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Final, Protocol, TypeVar


class HasPath(Protocol):
    """A test that was collected."""

    @property
    def path(self) -> PurePath:
        """Its file."""
        ...


Item = TypeVar("Item", bound=HasPath)
FOLDERS: Final = ("crash", "e2e", "packaging", "contract", "integration", "properties", "golden")
"""Longest files first; all others come behind."""


def place_of(path: PurePath) -> int:
    """Return where a file stands in the order; files of one folder are equal."""
    named = [FOLDERS.index(part) for part in path.parts if part in FOLDERS]
    return min(named, default=len(FOLDERS))


def long_ones_first(items: Iterable[Item]) -> list[Item]:
    """Return items by place; within one, the order stays what chance has made it."""
    return sorted(items, key=lambda item: place_of(item.path))
