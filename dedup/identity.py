"""What the engine works on: normalised identities, keys, candidates. Structs only, no rules. Pure.

They stand apart from what makes and compares them, because that has compiled twins and a Struct
of keywords would lose them there (ADR 0011).
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from schemas.patient import Ins, Phi, Traits

FULL: Final = "full"
PARTIAL: Final = "partial"
DEFAULT: Final = "default"
NONE: Final = "none"
"""Kinds of birth date; `default` is a whole one that stands for an unknown day (01/01, 31/12)."""


class Identity(Phi, frozen=True, array_like=True, gc=False):
    """Traits after folding: what is compared, and nothing that two spellings would tell apart.

    A placeholder (INCONNU, BEBE, a phone of one digit) is folded to nothing. Never shown.
    """

    family: str = ""
    given: str = ""
    givens: tuple[str, ...] = ()
    """Further given names, in the order sent; the first is `given`."""
    used_family: str = ""
    """Empty where it is the birth name."""
    used_given: str = ""
    birth_date: str = ""
    """ISO 8601, shortened when the sender gave less."""
    date_kind: str = NONE
    sex: str = ""
    birth_place: str = ""
    """INSEE code, or a folded name where the sender has no codes."""
    postcode: str = ""
    commune: str = ""
    city: str = ""
    street: str = ""
    house: str = ""
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    family_sound: str = ""
    given_sound: str = ""
    """Of the first word of the given name."""
    used_family_sound: str = ""
    used_given_sound: str = ""
    is_nobody: bool = False
    """There is no family name, neither of birth nor used, that would be a name."""
    state: str = ""
    """State or province, where a country has them."""


class Alias(Phi, frozen=True, array_like=True, gc=False):
    """A distinct set of traits of a person as kept: as received, for a steward, and folded."""

    traits: Traits
    identity: Identity
    normalise_version: int


class HeldIns(Phi, frozen=True, array_like=True, gc=False):
    """A qualified INS of a person; `is_former` where another has replaced it (NIA, then NIR).

    Its number is empty where the key that sealed it was destroyed: its digest is known still.
    """

    ins: Ins
    is_former: bool = False
    strict_digest: UUID | None = None
    """Of the five strict traits of the record that brought it last."""


class InsKey(msgspec.Struct, frozen=True, kw_only=True):
    """A qualified INS of a record: its digest, its blocking key, and itself."""

    digest: UUID
    key: int
    ins: Ins


class PersonKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What a record's traits give to find and to compare by; all that `decide` asks of a record."""

    identity: Identity
    alias_digest: UUID
    """Digest of the whole identity: each distinct one is a row of `person_alias`."""
    strict_digest: UUID
    """Digest of the five strict traits alone."""
    is_strict: bool
    """All five strict traits are there, and none is a placeholder."""
    ins: InsKey | None
    """The qualified INS: VALI, an OID of the realm, a right key; None otherwise."""
    is_misfit: bool = False
    """The INS itself contradicts the record: another year of birth, and another month or sex. It is
    somebody else's card, whether its owner is known here or not."""
    former_ins: tuple[InsKey, ...] = ()
    """A NIA that the same validated record declares beside its NIR."""
    held_ins: tuple[Ins, ...] = ()
    """INS that are evidence and no identity (PROV's, or several that contradict each other)."""
    tight: tuple[int, ...] = ()
    """Signed 64-bit keys under which the person is looked for first; empty when isolated."""
    wide: tuple[int, ...] = ()
    """Keys that are asked only where no tight one gives a link. Both are locked and kept."""
    isolation: str = ""
    """Why this record is never linked (guard 1); empty when it may be."""
    is_validated: bool = False
    """The laboratory says VALI: the identity was checked against a document."""
    key_version: int = 0

    @property
    def blocking(self) -> tuple[int, ...]:
        """All keys: every one is locked, and leads to the person afterwards."""
        return self.tight + self.wide


class Merge(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that stands, seen from whom was merged."""

    kept: int
    known: frozenset[UUID]
    """Digests of traits and INS that the kept person had before; others came to both as one."""


class Candidate(msgspec.Struct, kw_only=True):
    """A person that shares a key with the record, as far as the verdict needs to know them."""

    person_id: int
    ins: dict[UUID, HeldIns]
    """Qualified INS by digest."""
    aliases: dict[UUID, Identity | None]
    """Identities by digest; None where their key was destroyed."""
    isolated: bool = False
    quarantine: str = ""
    """Why nothing is linked to this person for now (a doubtful status); empty otherwise."""
    homes: dict[UUID, int] = {}
    """Where stewards merged persons into this one: digest of an INS or of traits -> whose row it
    is. Empty where nobody was merged."""
    merges: dict[int, Merge] = {}
    """Who was merged -> into whom, and what that one was known by then."""
