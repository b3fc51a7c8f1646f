"""What a verdict is: a ruling with its findings, under the conventions of a laboratory.

Plain on purpose: a compiled twin would lose that these are frozen (see `ops/compile.py`).
"""

from __future__ import annotations

from enum import Enum

import msgspec

from schemas.finding import Finding
from schemas.patient import Phi
from schemas.report import MappedMessage

from .codes import NO_CODES, CodeTable


class Ruling(Enum):
    """The three answers: durable (AA/CA), content wrong (AE/CE), not now or not here (AR/CR)."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    REJECT = "reject"

    # Members are the only ones of their kind: `Enum` would hash a name in Python at each look-up.
    __hash__ = object.__hash__


class LabProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The conventions agreed with a laboratory, by name and version."""

    name: str = "fr"
    version: int = 1
    codes: CodeTable = NO_CODES
    """What the laboratory's own codes mean; another table has another version."""


class Judgement(Phi, frozen=True, kw_only=True):
    """A ruling with its findings; what is accepted has exactly one of `mapped`, `unmappable`.

    An unmappable message also has a warning among its findings, so that its sender is told.
    """

    ruling: Ruling
    findings: tuple[Finding, ...] = ()
    mapped: MappedMessage | None = None
    unmappable: Finding | None = None
