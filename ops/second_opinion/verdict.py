"""What hl7apy says of a message, as codes and places. The only importer of hl7apy.

hl7apy's own texts may hold values of the message, so none of them is kept: what is kept is of which
element an error was made. Slow (tens of messages a second) and of unbounded appetite: it runs in a
process of its own (`ops/second_opinion/worker.py`), never in ours.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
from hl7apy import validation
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException, MaxLengthReached
from hl7apy.factories import datatype_factory
from hl7apy.parser import parse_message
from hl7apy.validation import Validator

from schemas.place import Place

Told = tuple[str, Place]
"""One of our codes (`ingest/rules/hl7.py`) and a place."""

Element = Any
"""An element of hl7apy, untyped."""

UNREADABLE: Final = "hl7apy_unreadable"
"""hl7apy could not read the message at all."""

_SEPARATORS: Final = frozenset({"MSH_1", "MSH_2"})
"""Fields that are the separators themselves."""
_noted: list[tuple[str, Element, str]] = []
"""Of the validation that runs: the function that made an error, of which element and child."""


class _Error(validation.ValidationError):  # type: ignore[misc]
    """hl7apy's error, which says of which element it is; its text is dropped where it is made."""

    def __init__(self, _text: str) -> None:
        super().__init__("")
        frame = sys._getframe(1)  # noqa: SLF001 - hl7apy keeps the element nowhere else
        child = frame.f_locals.get("child_name", "")
        _noted.append((frame.f_code.co_name, frame.f_locals["el"], child))


class _Warning(validation.ValidationWarning):  # type: ignore[misc]
    """The same for hl7apy's warnings."""

    def __init__(self, _text: str) -> None:
        super().__init__("")
        frame = sys._getframe(1)  # noqa: SLF001 - same
        _noted.append((frame.f_code.co_name, frame.f_locals["el"], ""))


class Verdict(msgspec.Struct, frozen=True):
    """What hl7apy found, and the segments that it kept: it drops those that it cannot place."""

    found: tuple[Told, ...]
    segments: tuple[str, ...] = ()

    @property
    def was_read(self) -> bool:
        """Whether hl7apy could read the message at all."""
        return all(code != UNREADABLE for code, _ in self.found)


def verdict(raw: bytes, codec: str) -> Verdict:
    """Return what hl7apy finds off, each code once a place; never a text of it.

    Args:
        raw: The message without its frame.
        codec: Of its character set, as our own reader found it.
    """
    validation.ValidationError, validation.ValidationWarning = _Error, _Warning
    text = raw.decode(codec).replace("\r\n", "\r").replace("\n", "\r")
    text = text[max(text.find("MSH"), 0) :]  # hl7apy takes no byte order mark
    try:
        message = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT)
        places = _Places(message)
        found = [*_validated(message, places), *_values(places)]
    except MemoryError:
        raise  # the worker's bound, not the message's fault: the process ends
    except Exception:  # noqa: BLE001 - boundary: hl7apy raises anything; its texts hold values
        return Verdict(((UNREADABLE, Place()),))
    return Verdict(tuple(dict.fromkeys(found)), tuple(name for name, _ in places.segments.values()))


class _Places:
    """Where the elements of one message stand."""

    def __init__(self, message: Element) -> None:
        self.segments: dict[int, tuple[str, int]] = {}
        self.fields: dict[int, tuple[Element, Place]] = {}
        seen: Counter[str] = Counter()
        for segment in _segments(message):
            seen[segment.name] += 1
            self.segments[id(segment)] = segment.name, seen[segment.name]
            repetitions: Counter[str] = Counter()
            for field in segment.children:
                repetitions[field.name] += 1
                place = Place(
                    segment.name,
                    seen[segment.name],
                    _number(field.name),
                    repetitions[field.name],
                )
                self.fields[id(field)] = field, place

    def of(self, element: Element, child: str = "") -> Place:
        """Return where an element (or a child that it lacks) stands; nowhere for a group."""
        numbers: list[int] = []
        while element is not None:
            if id(element) in self.segments:
                name, sequence = self.segments[id(element)]
                return Place(name, sequence, _number(child))
            if id(element) in self.fields:
                place = self.fields[id(element)][1]
                if child:
                    numbers.append(_number(child))
                numbers += [0, 0]
                return Place(*msgspec.structs.astuple(place)[:4], *numbers[:2])
            numbers.insert(0, _number(element.name))
            element = element.parent
        return Place()


def _segments(element: Element) -> Iterator[Element]:
    for child in element.children:
        if child.classname == "Segment":
            yield child
        else:
            yield from _segments(child)


def _validated(message: Element, places: _Places) -> Iterator[Told]:
    """Yield what hl7apy's validator finds, by the function of it that found it."""
    _noted.clear()
    with suppress(HL7apyException):  # the first of those that were noted
        Validator.validate(message, report_file=os.devnull)
    for function, element, child in _noted:
        is_group = element.classname in {"Message", "Group"}
        if function == "_check_repetitions":
            count = len(element.children.get(child))
            if is_group:
                yield "hl7_segment_repeated" if count else "hl7_segment_missing", Place()
            else:
                yield (
                    "hl7_too_many" if count else "hl7_required_missing",
                    places.of(element, child),
                )
        elif function in {"_check_table_compliance", "_check_length"}:
            what = "hl7_table_value" if function == "_check_table_compliance" else "hl7_too_long"
            yield what, places.of(element)
        elif is_group:
            yield "hl7_segment_unknown", Place()
        elif element.classname == "Segment":
            yield "hl7_field_unknown", places.of(element)
        else:
            yield "hl7_part_unknown", places.of(element)
    _noted.clear()


def _values(places: _Places) -> Iterator[Told]:
    """Yield values that are not written as their data type, by hl7apy's own factories."""
    for field, place in places.fields.values():
        if field.name in _SEPARATORS or not place.field:
            continue  # a field that hl7apy does not know is told as such
        for component in field.children:
            for part in component.children:
                datatype = part.datatype or component.datatype
                if datatype in {None, "varies"}:
                    continue
                try:
                    datatype_factory(datatype, part.to_er7(), part.version, VALIDATION_LEVEL.STRICT)
                except MaxLengthReached:
                    yield "hl7_too_long", place
                except (HL7apyException, ValueError):
                    yield "hl7_type_wrong", place


def _number(name: str | None) -> int:
    """Return the number of a field or component by its name (`PID_3`), 0 for one without."""
    number = (name or "").rpartition("_")[2]
    return int(number) if number.isdigit() else 0
