"""What was checked, for a program: a JSON array with one entry a message. Pure."""

from __future__ import annotations

import msgspec

from .entries import Entry


class JsonReport:
    """Writes entries as one array, each on a line of its own, so that it can be read by both."""

    def __init__(self) -> None:
        self._count = 0

    def entry(self, entry: Entry) -> str:
        """Return the next element of the array."""
        self._count += 1
        return ("[\n" if self._count == 1 else ",\n") + msgspec.json.encode(entry).decode()

    def summary(self) -> str:
        """Return the end of the array."""
        return "\n]\n" if self._count else "[]\n"
