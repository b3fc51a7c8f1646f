"""Laboratories that send: an endless, seeded stream of messages about a population.

Time is simulated: it starts at `start_at` and passes as fast as messages are taken, so that people
come back days later within minutes. The next thing to happen lies on top of a heap, and nothing
is drawn before its time; a message leaves a laboratory after everything it sent earlier.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count
from math import log
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from .broken import BREAKAGES, ODDITIES, made_odd, spoiled
from .documents import DOCUMENT_CODE, document_status
from .laboratories import laboratories
from .messages import MessageWriter
from .orders import LifeCycle, Order, Request, Version, plan, wants_confirmation
from .population import Population
from .referrals import FIRST_NUMBER, refer, reported_at
from .registration import ErrorModel, register
from .sample import sample_message
from .seeds import Stream, Weighted, below, generator, mixed
from .truth import SimulatedMessage, TrueReport, TruthFile

__all__ = ["Habits", "SimulatedMessage", "Simulation", "TrueReport", "sample_message"]

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DAY_SECONDS: Final = 86_400


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """How people come and what laboratories' systems do, as shares of orders or messages."""

    messages_per_day: int = 1_000
    """How many messages, of all laboratories together, make a day of simulated time; roughly."""
    returns: float = 0.35
    """Of orders: the person is tested again, hours to days later."""
    same_laboratory: float = 0.55
    """Of those who come again."""
    confirmed: float = 0.6
    """Of positive antigen tests: a PCR the same day."""
    sent_on: float = 0.3
    """Of final positive PCRs: another laboratory screens or sequences the specimen, and reports."""
    early: float = 0.15
    """Of those: its report comes before the first laboratory's."""
    resent: float = 0.015
    """The same bytes again."""
    same_content: float = 0.005
    """The same content again, under a control id of its own."""
    broken: float = 0.005
    """A broken message before the good one."""
    odd: float = 0.0
    """A message before the good one that is taken although something is wrong with it."""
    cycle: LifeCycle = LifeCycle()


class _Due(msgspec.Struct, frozen=True):
    """A version of an order is to be sent, for the first time or under another control id."""

    order: Order
    place: int
    again: bool = False


_Happening: TypeAlias = Request | _Due | SimulatedMessage
"""Somebody comes, a version is due, or a message is sent again as it was."""


class Simulation:
    """Laboratories and their messages: the same seed, numbers and start give the same bytes.

    Args:
        seed: Seed, zero or more.
        labs: Number of laboratories.
        start_at: When simulated time begins (aware).
        persons: Size of the population.
        errors: How often a registration desk gets what wrong.
        habits: How often people come again, messages are sent again, broken ...

    Raises:
        ValueError: If `start_at` has no offset, or a number is out of range.
    """

    def __init__(
        self,
        *,
        seed: int,
        labs: int,
        start_at: datetime,
        persons: int = 20_000,
        errors: ErrorModel | None = None,
        habits: Habits | None = None,
    ) -> None:
        if start_at.tzinfo is None:
            raise ValueError("start_at needs an offset")
        if seed < 0:
            raise ValueError("a seed is zero or more")
        self.seed = seed
        self.started = start_at.timestamp()
        self.population = Population(seed, persons, start_at.date())
        self.laboratories = laboratories(seed, labs)
        self.errors = errors or ErrorModel()
        self.habits = habits or Habits()
        self.digest = _digest(seed, seed >> 32, int(self.started), labs, persons)
        self._truth: TruthFile | None = None

    def record_truth(self, path: Path) -> None:
        """Write a line of truth (NDJSON) for each message from now on; a file there is replaced."""
        self._truth = TruthFile(path)

    def messages(self) -> Iterator[SimulatedMessage]:
        """Yield messages without end, from the beginning of simulated time.

        The line of truth of a message is written before it is yielded, and flushed when the
        iterator is closed.
        """
        truth: TruthFile | None = None
        try:
            for message in _Road(self).messages():
                truth = self._truth
                if truth is not None:
                    truth.note(message, self.laboratories[message.lab_index].finess)
                yield message
        finally:
            if truth is not None:
                truth.close()


class _Road:
    """One run through a simulation: its heap, its counters, its chance."""

    def __init__(self, simulation: Simulation) -> None:
        self._of = simulation
        self._habits = simulation.habits
        self._rng = generator(simulation.seed, Stream.ROAD)
        self._heap: list[tuple[float, int, _Happening]] = []
        self._ticks = count()
        self._by_work = Weighted([(lab.index, lab.weight) for lab in simulation.laboratories])
        self._writers = [MessageWriter(lab, simulation.digest) for lab in simulation.laboratories]
        self._orders = [0] * len(self._writers)
        self._referrals = [0] * len(self._writers)
        self._sent = [0] * len(self._writers)
        self._breakages = count(below(self._rng, len(BREAKAGES)))
        self._oddities = count()
        self._person = lru_cache(maxsize=8_192)(simulation.population.person)
        self._patient = lru_cache(maxsize=8_192)(self._make_patient)
        # An order has about 1.3 messages and, with all who come again, 1.5 orders behind it.
        self._pause = _DAY_SECONDS * 2.0 / simulation.habits.messages_per_day

    def messages(self) -> Iterator[SimulatedMessage]:
        """Let happen what comes next, without end."""
        arrival = self._of.started
        while True:
            while not self._heap or arrival <= self._heap[0][0]:
                person = below(self._rng, len(self._of.population))
                self._ask(arrival, person, self._by_work.draw(self._rng))
                arrival -= log(1.0 - self._rng.random()) * self._pause
            at, _, happening = heappop(self._heap)
            if isinstance(happening, Request):
                self._admit(happening)
            elif isinstance(happening, _Due):
                yield from self._send(at, happening)
            else:
                yield happening

    def _happen(self, at: float, happening: _Happening) -> None:
        heappush(self._heap, (at, next(self._ticks), happening))

    def _ask(self, at: float, person: int, lab: int, *, confirm: bool = False) -> None:
        self._orders[lab] += 1
        request = Request(
            lab_index=lab, person_index=person, number=self._orders[lab], at=at, confirm=confirm
        )
        self._happen(at, request)

    def _admit(self, request: Request) -> None:
        """Plan an order, put its first message and its person's next visit on the heap."""
        of, rng = self._of, self._rng
        dialect = of.laboratories[request.lab_index].dialect
        person = self._person(request.person_index)
        order = plan(of.seed, request, person, dialect, self._habits.cycle)
        self._happen(order.versions[0].at, _Due(order, 0))
        if request.referral is not None:
            return
        self._send_on(request, order)
        confirm = wants_confirmation(order) and rng.random() < self._habits.confirmed
        if not confirm and rng.random() >= self._habits.returns:
            return
        if confirm or rng.random() < 0.3:
            later = 3_600 + rng.random() * 8 * 3_600
        else:
            later = _DAY_SECONDS * (1 + rng.random() * 11)
        stays = rng.random() < self._habits.same_laboratory
        lab = request.lab_index if stays else self._by_work.draw(rng)
        self._ask(request.at + later, request.person_index, lab, confirm=confirm)

    def _send_on(self, request: Request, order: Order) -> None:
        """Send the specimen of a positive PCR to another laboratory, now and then.

        Drawn by itself: a world with second lines is the same world otherwise.
        """
        rng = generator(self._of.seed, Stream.REFERRAL, order.number, order.lab_index)
        habits, writer = self._habits, self._writers[order.lab_index]
        referral = refer(rng, order, writer) if rng.random() < habits.sent_on else None
        lab = self._by_work.draw(rng)
        if referral is None or lab == order.lab_index or self._writers[lab].sends_documents:
            return
        at = reported_at(rng, order, request.at, early=rng.random() < habits.early)
        self._referrals[lab] += 1
        second = Request(
            lab_index=lab,
            person_index=order.person_index,
            number=FIRST_NUMBER + self._referrals[lab],
            at=at,
            referral=referral,
        )
        self._happen(at, second)

    def _send(self, at: float, due: _Due) -> Iterator[SimulatedMessage]:
        """Yield a version's message, perhaps after a broken one; put what follows on the heap."""
        order, version, rng = due.order, due.order.versions[due.place], self._rng
        if order.referral is not None:
            yield self._message(at, due)
            return
        if not due.again and rng.random() < self._habits.broken:
            yield self._spoil(at, order, version)
        if self._habits.odd and not due.again and rng.random() < self._habits.odd:
            yield self._make_odd(at, order, version)
        message = self._message(at, due)
        yield message
        if due.again:
            return
        if due.place + 1 < len(order.versions):
            self._happen(order.versions[due.place + 1].at, _Due(order, due.place + 1))
        drawn = rng.random()
        if drawn < self._habits.resent:
            again = msgspec.structs.replace(message, kind="resend")
            self._happen(at + 5 + rng.random() * 7_200, again)
        elif drawn < self._habits.resent + self._habits.same_content:
            self._happen(at + 60 + rng.random() * 7_200, _Due(order, due.place, again=True))

    def _message(self, at: float, due: _Due) -> SimulatedMessage:
        order, version = due.order, due.order.versions[due.place]
        control_id = self._next_control_id(order.lab_index)
        writer = self._writers[order.lab_index]
        return SimulatedMessage(
            lab_index=order.lab_index,
            control_id=control_id,
            raw=writer.encoded(self._text(at, order, version, control_id)),
            kind="same_content" if due.again else version.kind,
            expected="AA",
            person_index=order.person_index,
            reports=_reports(writer, order, version),
        )

    def _spoil(self, at: float, order: Order, version: Version) -> SimulatedMessage:
        """Return the broken message before a good one; all the ways take turns."""
        turn = next(self._breakages)
        breakage = BREAKAGES[turn % len(BREAKAGES)]
        control_id = self._next_control_id(order.lab_index)
        dialect = self._of.laboratories[order.lab_index].dialect
        text = self._text(at, order, version, control_id)
        return SimulatedMessage(
            lab_index=order.lab_index,
            control_id=control_id if breakage.keeps_control_id else "",
            raw=spoiled(breakage, text, dialect, turn // len(BREAKAGES)),
            kind=f"broken:{breakage.value}",
            expected=breakage.expected,
            reason=breakage.reason(dialect),
            person_index=None,
            reports=(),
        )

    def _make_odd(self, at: float, order: Order, version: Version) -> SimulatedMessage:
        """Return the odd message before a good one; all the ways take turns, where they can."""
        control_id = self._next_control_id(order.lab_index)
        dialect = self._of.laboratories[order.lab_index].dialect
        text = self._text(at, order, version, control_id)
        turn = next(self._oddities)
        ways = ODDITIES[turn % len(ODDITIES) :] + ODDITIES
        made = ((way, made_odd(way, text, dialect)) for way in ways)
        oddity, odd = next((way, odd) for way, odd in made if odd is not None)
        return SimulatedMessage(
            lab_index=order.lab_index,
            control_id=control_id,
            raw=self._writers[order.lab_index].encoded(odd),
            kind=f"odd:{oddity.value}",
            expected="AA",
            reason=oddity.value,
            person_index=None,
            reports=(),
        )

    def _text(self, at: float, order: Order, version: Version, control_id: str) -> str:
        patient = self._patient(order.lab_index, order.person_index)
        writer = self._writers[order.lab_index]
        return writer.text(order, version, patient=patient, control_id=control_id, sent_at=at)

    def _make_patient(self, lab_index: int, person_index: int) -> str:
        of = self._of
        person = self._person(person_index)
        entry = register(of.seed, of.laboratories[lab_index], person, of.errors)
        return self._writers[lab_index].patient(entry)

    def _next_control_id(self, lab_index: int) -> str:
        self._sent[lab_index] += 1
        code = self._of.laboratories[lab_index].code
        return f"{code}{self._of.digest}-{self._sent[lab_index]:07d}"


def _reports(writer: MessageWriter, order: Order, version: Version) -> tuple[TrueReport, ...]:
    if writer.sends_documents:
        number, status = writer.order_number(order, 0), document_status(version)
        return (TrueReport(order=number, code=DOCUMENT_CODE, status=status, result=""),)
    return tuple(
        TrueReport(
            order=writer.order_number(order, line.position),
            code=order.battery[line.position].code,
            status=line.status,
            result=line.result.text,
        )
        for line in version.lines
    )


def _digest(*parts: int) -> str:
    """Return six letters and digits that differ from those of another simulation."""
    rest, digest = mixed(*parts), ""
    for _ in range(6):
        rest, digit = divmod(rest, 36)
        digest += _DIGITS[digit]
    return digest
