"""Slips of a desk: one name, date or number, written wrong in one way. Pure; chance is given.

Two hands: the training stream slips as a typist does who leaves out, doubles, turns round or
replaces any letter; the test stream slips to neighbouring keys, misreads letters as a scanner does,
and cuts names. So nothing can be tuned to the very slips it is tested on.
"""

from __future__ import annotations

from random import Random
from typing import Final

from .registration import mistyped, respelled
from .seeds import below

_ROWS: Final = ("AZERTYUIOP", "QSDFGHJKLM", "WXCVBN")
"""A French keyboard."""
_BESIDE: Final = {
    letter: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    for row in _ROWS
    for place, letter in enumerate(row)
}
_SCANNED: Final = (("RN", "M"), ("M", "RN"), ("CL", "D"), ("I", "L"), ("VV", "W"), ("U", "V"),
                   ("E", "F"), ("O", "Q"), ("H", "N"), ("B", "R"))  # fmt: skip
_HEARD: Final = (
    ("EAU", "AUX"), ("EAU", "OT"), ("AULT", "AUD"), ("TH", "T"), ("PH", "F"), ("Y", "I"),
    ("I", "Y"), ("LL", "L"), ("NN", "N"), ("TT", "T"), ("SS", "C"), ("C", "K"), ("QU", "K"),
    ("AN", "EN"), ("EN", "AN"), ("AI", "E"), ("ET", "EZ"), ("ER", "EZ"), ("D", "T"), ("S", "Z"),
)  # fmt: skip
"""What is heard at the telephone and written otherwise."""


def heard(rng: Random, name: str) -> str:
    """Return a name written by its sound."""
    upper, start = name.upper(), below(rng, len(_HEARD))
    for written, other in _HEARD[start:] + _HEARD[:start]:
        place = upper.find(written, 1)
        if place > 0:
            return upper[:place] + other + upper[place + len(written) :]
    return name


def keyed(rng: Random, name: str) -> str:
    """Return a name with a neighbouring key hit, instead of a letter or beside it."""
    if len(name) < 3:
        return name
    place = 1 + below(rng, len(name) - 1)
    near = _BESIDE.get(name[place].upper(), "")
    if not near:
        return name[:place] + name[place + 1 :]
    key = near[below(rng, len(near))]
    instead = rng.random() < 0.7
    return name[:place] + key + name[place + 1 if instead else place :]


def scanned(rng: Random, name: str) -> str:
    """Return a name as a scanner misread it."""
    upper, start = name.upper(), below(rng, len(_SCANNED))
    for seen, read in _SCANNED[start:] + _SCANNED[:start]:
        place = upper.find(seen, 1)
        if place > 0:
            return upper[:place] + read + upper[place + len(seen) :]
    return name


def trained_slip(rng: Random, name: str) -> str:
    """Return a name with a slip of the training stream."""
    return heard(rng, name) if rng.random() < 0.3 else mistyped(rng, name)


def tested_slip(rng: Random, name: str) -> str:
    """Return a name with a slip of the test stream."""
    drawn = rng.random()
    if drawn < 0.4:
        return keyed(rng, name)
    if drawn < 0.6:
        return scanned(rng, name)
    if drawn < 0.8:
        return heard(rng, name)
    if drawn < 0.9:
        return name[: max(3, len(name) - 1 - below(rng, 3))]
    return mistyped(rng, name)


def spelled(rng: Random, name: str) -> str:
    """Return a name with its hyphens, accents or apostrophe written otherwise; one name for all."""
    return respelled(name) if rng.random() < 0.7 else name.upper()


def digit_off(rng: Random, day: str) -> str:
    """Return YYYY-MM-DD with one digit of year, month or day wrong; it may be no date any more."""
    place = (2, 3, 3, 6, 8, 9, 9)[below(rng, 7)]
    digit = str((int(day[place]) + 1 + below(rng, 9)) % 10)
    return day[:place] + digit + day[place + 1 :]


def turned(day: str) -> str:
    """Return YYYY-MM-DD with day and month swapped, where that is a date; else as it is."""
    return f"{day[:5]}{day[8:]}-{day[5:7]}" if int(day[8:]) <= 12 else day
