"""One order and its life: what is measured, what is found, and which messages tell it when.

Everything about an order is drawn from a generator of its own, before its first message leaves.
Whether a person is infected is drawn for a fortnight and not for an order, so that a second test,
there or elsewhere, mostly agrees with the first.
"""

from __future__ import annotations

from math import exp
from random import Random
from typing import Final
from zlib import crc32

import msgspec

from .analyses import (
    BATTERIES,
    LINEAGES,
    OVERSEAS_BATTERIES,
    RARE,
    RARE_ORDERS,
    SARS_ANTIGEN,
    SARS_GENOME,
    SARS_PCR,
    SARS_SCREENING,
    SCREENED,
    Analysis,
    Battery,
    Verdict,
)
from .person import Person
from .seeds import Stream, below, generator, mixed
from .vendors import Dialect

_FORTNIGHT_SECONDS: Final = 14 * 86_400
_INCONCLUSIVE: Final = 0.008
_RARE: Final = 0x52415245
_TYPED: Final = 0x54595045
_PRELIMINARY_DIFFERS: Final = 0.12
"""Share of preliminary results that the final one does not confirm."""


class LifeCycle(msgspec.Struct, frozen=True, kw_only=True):
    """How often what befalls an order after its first result."""

    corrected: float = 0.02
    flipped: float = 0.4
    """Of corrections of a qualitative result: the other verdict."""
    cancelled: float = 0.005
    cancelled_early: float = 0.3
    """Of cancelled orders: after the preliminary result or before any, never final."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one analysis gave: a verdict or a number, nothing when it was cancelled."""

    verdict: Verdict | None = None
    number: str = ""
    below: bool = False
    """`number` is the limit of detection, and the quantity lies below it."""
    cycles: str = ""
    """Ct of a positive PCR."""
    typed: tuple[str, ...] = ()
    """What a second line has found: mutations that are there or not, or one lineage."""

    @property
    def text(self) -> str:
        """The result as the truth file has it: POS, NEG, IND, a number, `<1.0` or empty."""
        if self.verdict is not None:
            return self.verdict.value
        return f"<{self.number}" if self.below else self.number


NOTHING: Final = Result()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One OBR group of a version: which analysis of the battery, its status and its result."""

    position: int
    """Zero-based place in the order's battery."""
    status: str
    """P, F, C, or X for cancelled (the dialect says whether OBX-11 is X or D)."""
    result: Result


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One message of an order's life."""

    kind: str
    """new (an order's first message, P or F), final (F after P), corrected, cancelled, or
    second_line (of another laboratory's specimen)."""
    at: float
    """Seconds since 1970 at which the laboratory sends it."""
    lines: tuple[Line, ...]


class Referral(msgspec.Struct, frozen=True, kw_only=True):
    """What a second laboratory is given with a specimen, and what it writes under its result."""

    specimen: str
    """The first laboratory's number of the specimen."""
    filler: str
    """The first laboratory's order number; the second one's placer number."""
    collected_at: float
    is_sequencing: bool

    @property
    def note(self) -> str:
        """The note that says which line it is."""
        return "Séquençage" if self.is_sequencing else "Deuxième intention"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order of one person at one laboratory."""

    lab_index: int
    person_index: int
    number: int
    """Running number in the laboratory; order numbers are made of it."""
    battery: tuple[Analysis, ...]
    collected_at: float
    received_at: float
    prescriber: int
    has_placer: bool
    note: int
    """A number that the note under the result is chosen by; negative for none."""
    versions: tuple[Version, ...]
    referral: Referral | None = None
    """Set for a second line."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody goes to a laboratory."""

    lab_index: int
    person_index: int
    number: int
    at: float
    confirm: bool = False
    """They come to have an antigen test confirmed by PCR."""
    referral: Referral | None = None
    """Nobody comes: a specimen is sent on by another laboratory."""


def plan(seed: int, request: Request, person: Person, dialect: Dialect, cycle: LifeCycle) -> Order:
    """Return the order of a request with its whole life: the same for the same arguments."""
    if request.referral is not None:
        return _second_line(seed, request, request.referral)
    rng = generator(seed, Stream.ORDER, request.number, request.lab_index)
    overseas = person.commune.startswith("97")
    battery = (OVERSEAS_BATTERIES if overseas else BATTERIES).draw(rng)
    battery = _rare(seed, request) or battery
    if request.confirm:
        battery = (SARS_PCR,)
    collected = request.at - 600 - below(rng, 5_400)
    results = tuple(_measured(seed, rng, analysis, request) for analysis in battery)
    return Order(
        lab_index=request.lab_index,
        person_index=request.person_index,
        number=request.number,
        battery=battery,
        collected_at=collected,
        received_at=request.at - below(rng, 600),
        prescriber=below(rng, 400),
        has_placer=rng.random() < 0.85,
        note=below(rng, 1_000) if rng.random() < 0.3 else -1,
        versions=_life(rng, request.at, results, dialect, cycle),
    )


def wants_confirmation(order: Order) -> bool:
    """Say whether an order is a positive antigen test, which people have confirmed by PCR."""
    first = order.versions[0].lines[0].result
    return order.battery == (SARS_ANTIGEN,) and first.verdict is Verdict.POSITIVE


def _rare(seed: int, request: Request) -> Battery | None:
    """Return what is ordered now and then; drawn by itself, so that every other order stays."""
    drawn = mixed(seed, _RARE, request.number, request.lab_index)
    if drawn >= RARE_ORDERS * 2**32:
        return None
    return RARE[mixed(drawn, _RARE) % len(RARE)]


def _second_line(seed: int, request: Request, referral: Referral) -> Order:
    """Return the order of a specimen that was sent on: what was found is found again, and typed."""
    drawn = mixed(seed, _TYPED, request.number, request.lab_index)
    typed = (
        (LINEAGES[drawn % len(LINEAGES)],)
        if referral.is_sequencing
        else SCREENED[drawn % len(SCREENED)]
    )
    line = Line(position=0, status="F", result=Result(verdict=Verdict.POSITIVE, typed=typed))
    return Order(
        lab_index=request.lab_index,
        person_index=request.person_index,
        number=request.number,
        battery=(SARS_GENOME if referral.is_sequencing else SARS_SCREENING,),
        collected_at=referral.collected_at,
        received_at=request.at,
        prescriber=0,
        has_placer=True,
        note=-1,
        versions=(Version(kind="second_line", at=request.at, lines=(line,)),),
        referral=referral,
    )


def _life(
    rng: Random, at: float, results: tuple[Result, ...], dialect: Dialect, cycle: LifeCycle
) -> tuple[Version, ...]:
    """Draw which versions there are; each is sent minutes to days after the one before."""
    versions: list[Version] = []
    cancelled = rng.random() < cycle.cancelled
    early = cancelled and rng.random() < cycle.cancelled_early
    at += 60 + below(rng, 1_800)
    if rng.random() < dialect.share_preliminary:
        shown = tuple(_preliminary(rng, result) for result in results)
        versions.append(Version(kind="new", at=at, lines=_lines("P", shown)))
        at += 1_200 + below(rng, 14_400)
    if not early:
        kind = "final" if versions else "new"
        versions.append(Version(kind=kind, at=at, lines=_lines("F", results)))
        at += 900 + below(rng, 2 * 86_400)
    if cancelled:
        nothing = (NOTHING,) * len(results)
        versions.append(Version(kind="cancelled", at=at, lines=_lines("X", nothing)))
    elif rng.random() < cycle.corrected:
        place = below(rng, len(results))
        again = _corrected(rng, results[place], cycle)
        line = Line(position=place, status="C", result=again)
        versions.append(Version(kind="corrected", at=at, lines=(line,)))
    return tuple(versions)


def _lines(status: str, results: tuple[Result, ...]) -> tuple[Line, ...]:
    return tuple(
        Line(position=place, status=status, result=result) for place, result in enumerate(results)
    )


def _measured(seed: int, rng: Random, analysis: Analysis, request: Request) -> Result:
    if analysis.measure is not None:
        return _quantity(rng, analysis)
    infected = _infected(seed, analysis, request)
    found = infected and rng.random() < analysis.sensitivity
    if rng.random() < _INCONCLUSIVE:
        return Result(verdict=Verdict.INCONCLUSIVE)
    if not found:
        return Result(verdict=Verdict.NEGATIVE)
    return Result(verdict=Verdict.POSITIVE, cycles=_cycles(rng) if analysis.cycles else "")


def _cycles(rng: Random) -> str:
    return f"{15 + 20 * rng.random():.1f}"


def _infected(seed: int, analysis: Analysis, request: Request) -> bool:
    """Say whether the person has the condition in the fortnight of the request."""
    fortnight = int(request.at) // _FORTNIGHT_SECONDS
    name = crc32(analysis.condition.encode())
    drawn = mixed(seed, request.person_index, name, fortnight)
    return drawn < analysis.positive * 2**32


def _quantity(rng: Random, analysis: Analysis) -> Result:
    measure = analysis.measure
    assert measure is not None
    normal = sum(rng.random() for _ in range(6)) * 2**0.5 - 3 * 2**0.5
    value = measure.median * exp(measure.spread * normal)
    if value < measure.limit:
        return Result(number=f"{measure.limit:.{measure.decimals}f}", below=True)
    return Result(number=f"{value:.{measure.decimals}f}")


def _preliminary(rng: Random, final: Result) -> Result:
    """Return what was shown before a final result: mostly the same."""
    if final.verdict is None or rng.random() >= _PRELIMINARY_DIFFERS:
        return final
    other = Verdict.NEGATIVE if final.verdict is Verdict.POSITIVE else Verdict.INCONCLUSIVE
    return Result(verdict=other)


def _corrected(rng: Random, final: Result, cycle: LifeCycle) -> Result:
    """Return what a correction says instead: the other verdict, another Ct, another number."""
    if final.verdict is None:
        value = float(final.number) * (1.2 + 0.3 * rng.random())
        decimals = len(final.number.partition(".")[2])
        return Result(number=f"{value:.{decimals}f}")
    if final.verdict is Verdict.INCONCLUSIVE:
        return Result(verdict=Verdict.NEGATIVE)
    if rng.random() < cycle.flipped:
        positive = final.verdict is Verdict.NEGATIVE
        return Result(verdict=Verdict.POSITIVE if positive else Verdict.NEGATIVE)
    return Result(verdict=final.verdict, cycles=_cycles(rng) if final.cycles else "")
