"""One message being mapped: its fields as text, times, codes and people, and what is found odd.

No finding holds a value of the message. Sources: HL7 v2.5.1 chapter 2A (CWE, XCN, XON, TS).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeVar

import msgspec

from schemas.finding import Finding
from schemas.place import Place
from schemas.report import Coded, Organisation, Practitioner

from .bounds import KEY_BYTES, MAX_FINDINGS, key_of
from .catalogue import RULES, finding
from .er7 import Message, Segment, is_delete
from .numbers import commune_of, finess_of, rpps_of
from .profile import Conventions
from .separators import Separators
from .structures import Sender
from .times import TIME_CHARACTERS, timestamp

NOTHING: Final = Coded()
"""A coded element that says nothing."""
_ENTRY_CHARACTERS: Final = 4 * KEY_BYTES
_POSTCODE_DIGITS: Final = 5
_KEPT_CHARACTERS: Final = 4_000_000
"""Of all catalogues together: some 50,000 entries. Whoever sends ever new texts costs no memory."""
_V = TypeVar("_V")


class Catalogue:
    """What laboratories have said before, by its raw text: read once, met in every message.

    It holds what was examined, units, methods, organisations, prescribers and the authorities of
    numbers; never a value, and nothing of a patient. Only what gave no finding is kept.
    """

    __slots__ = (
        "authorities",
        "codes",
        "organisations",
        "practitioners",
        "producers",
        "senders",
    )

    def __init__(self) -> None:
        self.codes: dict[str, Coded] = {}
        self.organisations: dict[str, Organisation] = {}
        """By OBX-23, with OBX-24 where that is written."""
        self.producers: dict[str, Organisation] = {}
        """By OBX-15."""
        self.practitioners: dict[str, Practitioner] = {}
        self.authorities: dict[str, tuple[str, str]] = {}
        self.senders: dict[str, Sender] = {}


class _Kept:
    """How many characters all catalogues hold together."""

    def __init__(self) -> None:
        self.characters = 0


_kept: Final = _Kept()


def keep(known: dict[str, _V], raw: str, value: _V) -> None:
    """Keep what a raw text means; where that is too much in all, every catalogue begins anew."""
    size = len(raw)
    if size > _ENTRY_CHARACTERS:
        return
    _kept.characters += size
    if _kept.characters > _KEPT_CHARACTERS:
        _catalogue.cache_clear()
        _kept.characters = size
    known[raw] = value


@lru_cache(maxsize=64)
def _catalogue(_separators: Separators, _charset: str) -> Catalogue:
    """Return the catalogue of messages with these separators and this character set."""
    return Catalogue()


class Reading:
    """One message being mapped: what its parts share, and the findings that come together."""

    __slots__ = (
        "component",
        "facility",
        "findings",
        "known",
        "message",
        "profile",
        "repetition",
        "subcomponent",
        "text",
        "zone",
    )

    def __init__(self, message: Message, conventions: Conventions) -> None:
        separators = message.separators
        self.message = message
        self.text = message.text
        self.zone = conventions.zone
        self.profile = conventions.name
        self.component = separators.component
        self.repetition = separators.repetition
        self.subcomponent = separators.subcomponent
        self.findings: dict[tuple[str, Place], Finding] = {}
        self.facility: Organisation | None = None
        self.known = _catalogue(separators, message.charset)

    def note(self, code: str, place: Place) -> None:
        """Keep a finding of the catalogue, each once, bounded in number; of this profile alone."""
        if len(self.findings) < MAX_FINDINGS and self.profile in RULES[code].profiles:
            self.findings.setdefault((code, place), finding(code, place))

    def time(self, segment: Segment, field: int) -> str:
        """Return a time as ISO 8601, empty (with a finding where it was not) if there is none."""
        raw = segment.field(field)
        return self.time_of(raw, segment, field) if raw else ""

    def time_of(self, raw: str, segment: Segment, field: int) -> str:
        """Return the time that a raw field holds, as `time` does."""
        iso = timestamp(raw, self.zone) if len(raw) <= TIME_CHARACTERS else None
        if iso is None:
            text = self.message.first_part(segment.component(field, 1))
            if not text:
                return ""
            iso = timestamp(text, self.zone) if len(text) <= TIME_CHARACTERS else None
        if iso is None:
            self.note("time_unreadable", segment.place(field))
            return ""
        return iso

    def coded(self, raw: str, segment: Segment, field: int) -> Coded | None:
        """Return a coded field as the catalogue has it, None when it says nothing.

        Kept from message to message: what was examined, units and methods, never a value.
        """
        known = self.known.codes.get(raw)
        if known is not None:
            return known
        first = raw[: raw.index(self.repetition)] if self.repetition in raw else raw
        if not first or is_delete(first):
            return None
        coded = self.coded_once(first, segment, field)
        if coded == NOTHING:
            return None
        keep(self.known.codes, raw, coded)
        return coded

    def coded_once(self, raw: str, segment: Segment, field: int) -> Coded:
        """Return a coded element; its codes fit an index."""
        parts = list(map(self.text, raw.split(self.component, 6)[:6]))
        if len(raw) > KEY_BYTES // 4:
            for number, part in enumerate(parts):
                if number not in {1, 4}:
                    key_of(part, segment, field)
        if len(parts) <= 3:
            return Coded(*parts)
        return Coded(*parts)

    def coded_or_none(self, segment: Segment, field: int) -> Coded | None:
        """Return a coded field, None when it is empty."""
        raw = segment.field(field)
        return self.coded(raw, segment, field) if raw else None

    def head(self, raw: str) -> str:
        """Return the first component of the first repetition of a raw field as text."""
        if self.repetition in raw:
            raw = raw[: raw.index(self.repetition)]
        if self.component in raw:
            raw = raw[: raw.index(self.component)]
        return self.text(raw)

    def first(self, segment: Segment, field: int) -> str:
        """Return the first repetition of a field, as received."""
        raw = segment.field(field)
        separator = self.repetition
        return raw[: raw.index(separator)] if separator in raw else raw

    def part(self, segment: Segment, field: int, component: int = 1) -> str:
        """Return a component of a field's first repetition as text."""
        raw = segment.component(field, component)
        return self.text(raw) if raw else ""

    def comments(self, segments: list[Segment]) -> tuple[str, ...]:
        """Return the comments, one text for each NTE that has one."""
        texts = []
        for segment in segments:
            raw = segment.field(3)
            if self.repetition in raw:
                text = "\n".join(map(self.text, raw.split(self.repetition))).strip()
            else:
                text = self.text(raw)
            if text:
                texts.append(text)
        return tuple(texts)

    def authority(self, raw: str) -> tuple[str, str]:
        """Return namespace and universal id of an assigning authority (HD in a component)."""
        known = self.known.authorities.get(raw)
        if known is None:
            parts = raw.split(self.subcomponent, 2)
            known = self.text(parts[0]), self.text(parts[1]) if len(parts) > 1 else ""
            keep(self.known.authorities, raw, known)
        return known

    def practitioner(self, segment: Segment, field: int) -> Practitioner | None:
        """Return the health professional of an XCN: the repetition with a RPPS, else the first."""
        raw = segment.field(field)
        if not raw:
            return None
        known = self.known.practitioners.get(raw)
        if known is not None:
            return known
        before = len(self.findings)
        people = [self._person(part, segment, field) for part in raw.split(self.repetition)]
        found = [person for person in people if person is not None]
        if not found:
            return None
        rpps = (person for person in found if person.identifier_type == "RPPS")
        person = next(rpps, found[0])
        if len(self.findings) == before < MAX_FINDINGS:
            keep(self.known.practitioners, raw, person)
        return person

    def _person(self, raw: str, segment: Segment, field: int) -> Practitioner | None:
        parts = raw.split(self.component, 13)
        parts += [""] * (13 - len(parts))
        identifier, kind = self.text(parts[0]), self.text(parts[12]).upper()
        family, given = self.message.first_part(parts[1]), self.text(parts[2])
        if not (identifier or family or given):
            return None
        if kind in {"", "RPPS", "IDNPS"}:
            rpps = rpps_of(identifier)
            if rpps:
                identifier, kind = rpps, "RPPS"
            elif kind:
                kind = ""
                self.note("rpps_key_wrong", segment.place(field))
        return Practitioner(identifier, kind, family, given)

    def performer(self, raw: str, older: str, address: str = "") -> Organisation | None:
        """Return who made an observation: of OBX-23 with OBX-24, else of OBX-15."""
        key = f"{raw}\r{address}" if address else raw  # no field holds the end of a segment
        found = self.known.organisations.get(key)
        if found is None and raw:
            found = self._organisation(raw, address)
            if found is not None:
                keep(self.known.organisations, key, found)
        if found is None and older:
            found = self.known.producers.get(older)
            if found is None:
                found = self._producer(older)
                if found is not None:
                    keep(self.known.producers, older, found)
        return found

    def _organisation(self, raw: str, address: str) -> Organisation | None:
        parts = self._components(raw, 10)
        name, kind = self.text(parts[0]), self.text(parts[6]).upper()
        identifier = self.text(parts[9]) or self.text(parts[2])
        found = organisation_of(name, identifier, kind)
        if found is None or not address:
            return found
        where = self._components(address, 10)
        commune = next(filter(None, (commune_of(self.text(p).upper()) for p in where[8:10])), "")
        postcode = self.text(where[4]).replace(" ", "")
        is_french = postcode.isdecimal() and len(postcode) == _POSTCODE_DIGITS
        return msgspec.structs.replace(
            found, commune=commune, postcode=postcode if is_french else ""
        )

    def _producer(self, raw: str) -> Organisation | None:
        parts = self._components(raw, 2)
        return organisation_of(self.text(parts[1]), self.text(parts[0]), "")

    def _components(self, raw: str, least: int) -> list[str]:
        """Return the components of a field's first repetition, at least so many."""
        first = raw[: raw.index(self.repetition)] if self.repetition in raw else raw
        parts = first.split(self.component, least)
        return parts + [""] * (least - len(parts))


def organisation_of(name: str, identifier: str, kind: str) -> Organisation | None:
    """Return an organisation; a FINESS without its leading `1`, as FINEG, FINEJ or FINESS."""
    if not name and not identifier:
        return None
    finess = finess_of(identifier)
    if finess and kind in {"", "FINESS", "FINEG", "FINEJ", "IDNST", "XX"}:
        kind = kind if kind in {"FINEG", "FINEJ"} else "FINESS"
        return Organisation(name, finess, kind)
    return Organisation(name, identifier, kind)
