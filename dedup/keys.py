"""What a record is found by: its keyed digests. Pure.

Every key is a keyed hash (blake2b with a secret that lies outside the database): the tables hold
no clear trait. The function is versioned by its `person` strings; a new version derives anew.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from schemas.decision import Realm
from schemas.ids import id_of
from schemas.patient import INS_PRODUCTION_OIDS, INS_TEST_OIDS, Ins, Traits

from .normalize import fold_name, fold_place, fold_sex, full_date, is_placeholder, phonetic

ISOLATING_STATUSES: Final = frozenset(
    {"FICT", "ANOM", "CACH", "DOUT", "INVA", "USUR", "COLP", "COLV"}
)
"""PID-32 values with which a record is never linked (guard 1)."""

_QUALIFYING_STATUSES: Final = frozenset({"VALI", "QUAL"})
_ALIAS: Final = b"alias-v1"
_INS: Final = b"ins-v1"
_BLOCKING: Final = b"blocking-v1"


class InsKey(msgspec.Struct, frozen=True, kw_only=True):
    """A qualified INS of a record: its digest, its blocking key, and itself."""

    digest: UUID
    key: int
    ins: Ins


class PersonKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What a record's traits give to find and to compare by."""

    alias_digest: UUID
    """Digest of the five strict traits after folding."""
    is_strict: bool
    """All five strict traits are there, and none is a placeholder."""
    ins: InsKey | None
    """The qualified INS: VALI, an OID of the realm, a right key; None otherwise."""
    blocking: tuple[int, ...]
    """Signed 64-bit keys under which the person is looked for and kept; empty when isolated."""
    isolation: str = ""
    """Why this record is never linked (guard 1); empty when it may be."""
    is_validated: bool = False
    """The laboratory says VALI: the identity was checked against a document."""


def derive(traits: Traits, realm: Realm, secret: bytes) -> PersonKeys:
    """Return the keys of a record's traits; the same traits always give the same keys."""
    family = fold_name(traits.birth_family)
    given = fold_name(traits.birth_given)
    born = full_date(traits.birth_date)
    sex, place = fold_sex(traits.sex), fold_place(traits.birth_place)
    alias = _digest(secret, _ALIAS, family, given, born, sex, place)
    qualified = _qualified(traits, realm, secret)
    nobody = is_placeholder(family, given)
    isolation = _isolation(traits, realm, nobody=nobody, qualified=qualified)
    blocking: set[int] = set()
    if not isolation:
        if qualified is not None:
            blocking.add(qualified.key)
        if born and not nobody:
            blocking.add(_key(secret, "day+family", born, phonetic(family)))
            blocking.add(_key(secret, "day+given", born, phonetic(given)))
    return PersonKeys(
        alias_digest=alias,
        is_strict=bool(born and sex and place) and not nobody,
        ins=None if isolation else qualified,
        blocking=tuple(sorted(blocking)),
        isolation=isolation,
        is_validated=traits.identity_status in _QUALIFYING_STATUSES,
    )


def has_foreign_ins(traits: Traits, realm: Realm) -> bool:
    """Say whether a record carries an INS of the other realm."""
    return any(ins.oid not in _oids(realm) for ins in traits.ins)


def _qualified(traits: Traits, realm: Realm, secret: bytes) -> InsKey | None:
    if traits.identity_status not in _QUALIFYING_STATUSES:
        return None
    allowed = [ins for ins in traits.ins if ins.oid in _oids(realm)]
    if len({(ins.matricule, ins.oid) for ins in allowed}) != 1:
        return None  # none, or two that contradict each other
    ins = allowed[0]
    digest = _digest(secret, _INS, ins.matricule, ins.oid)
    return InsKey(digest=digest, key=_key(secret, "ins", ins.matricule, ins.oid), ins=ins)


def _isolation(traits: Traits, realm: Realm, *, nobody: bool, qualified: InsKey | None) -> str:
    if traits.identity_status in ISOLATING_STATUSES:
        return f"status_{traits.identity_status.lower()}"
    if has_foreign_ins(traits, realm):
        return "ins_of_other_realm"
    if nobody and qualified is None:
        return "placeholder_name"
    return ""


def _oids(realm: Realm) -> frozenset[str]:
    return INS_PRODUCTION_OIDS if realm is Realm.PRODUCTION else INS_TEST_OIDS


def _digest(secret: bytes, kind: bytes, *parts: str) -> UUID:
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return id_of(blake2b(text, digest_size=16, key=secret, person=kind).digest())


def _key(secret: bytes, *parts: str) -> int:
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    digest = blake2b(text, digest_size=8, key=secret, person=_BLOCKING).digest()
    return int.from_bytes(digest, "big", signed=True)
