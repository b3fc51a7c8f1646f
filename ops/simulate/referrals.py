"""Specimens that are sent on: a second laboratory screens or sequences what a first one found."""

from __future__ import annotations

from random import Random
from typing import Final

from .analyses import SARS_PCR, Verdict
from .messages import MessageWriter
from .orders import Order, Referral

FIRST_NUMBER: Final = 900_000
"""Running numbers of second lines, apart from those of orders."""
_DAY_SECONDS: Final = 86_400


def refer(rng: Random, order: Order, writer: MessageWriter) -> Referral | None:
    """Return what goes with the specimen of a final positive PCR; None without one.

    A laboratory that sends documents tells no code: its second line would wait for ever.

    Args:
        rng: Draws whether it is screened or sequenced.
        order: With its whole life.
        writer: Of the laboratory whose order it is.
    """
    place = _found_positive(order)
    if place is None or writer.sends_documents:
        return None
    return Referral(
        specimen=writer.specimen_number(order, place + 1),
        filler=writer.order_number(order, place),
        collected_at=order.collected_at,
        is_sequencing=rng.random() < 0.3,
    )


def reported_at(rng: Random, order: Order, ordered_at: float, *, early: bool) -> float:
    """Return when the second laboratory reports: days later, or (early) before the first one."""
    if early:
        return ordered_at + rng.random() * (order.versions[0].at - ordered_at)
    return order.versions[-1].at + 3_600 + rng.random() * 5 * _DAY_SECONDS


def _found_positive(order: Order) -> int | None:
    if order.referral is not None or order.versions[-1].kind not in {"new", "final"}:
        return None
    for line in order.versions[-1].lines:
        positive = line.result.verdict is Verdict.POSITIVE and line.status == "F"
        if positive and order.battery[line.position] is SARS_PCR:
            return line.position
    return None
