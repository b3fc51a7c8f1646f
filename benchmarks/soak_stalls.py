"""How long the door took in a long run while a base backup was taken, and otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import msgspec


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """From due to ACK, in ms: medians of the samples, and the longest of all."""

    samples: int
    p50: float
    p99: float
    longest: float


def stalls_of(samples: Sequence[Mapping[str, Any]]) -> dict[str, Stall]:
    """Return what the door took, by whether a base backup was under way."""
    found = {}
    for name, is_taken in (("a base backup is taken", True), ("none is taken", False)):
        of = [
            sample["due_to_ack"]
            for sample in samples
            if sample.get("backs_up", False) is is_taken and sample["due_to_ack"]["count"]
        ]
        if of:
            p50, p99 = (median(each[share] * 1e3 for each in of) for share in ("p50", "p99"))
            longest = max(each["max"] for each in of) * 1e3
            found[name] = Stall(samples=len(of), p50=p50, p99=p99, longest=longest)
    return found
