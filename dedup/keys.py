"""What a record is found by: its keyed digests. Pure.

Every key is a keyed hash (blake2b with a secret that lies outside the database): the tables hold
no clear trait. A key is of one exact combination of traits, with nothing missing and no
placeholder in it; which combinations there are is said by the model (`tight`, `wide`).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from schemas.decision import Realm
from schemas.errors import PermanentError
from schemas.ids import id_of
from schemas.patient import INS_NIA_OIDS, INS_PRODUCTION_OIDS, INS_TEST_OIDS, Ins, Traits

from .identity import DEFAULT, FULL, Identity, InsKey, PersonKeys
from .model import Model, load_model
from .normalize import NORMALISE_VERSION, normalise

KEY_VERSION: Final = 2
"""Which function makes the blocking keys. 1 was that of the strict first form."""
FIRST_KEY_VERSION: Final = 1
VERSION_BITS: Final = 15
"""The last bits of a key say by which version it was made, so that those of an old one can be
dropped. An INS's key says 0; keys of the first version say nothing."""

ISOLATING_STATUSES: Final = frozenset(
    {"FICT", "ANOM", "CACH", "DOUT", "INVA", "USUR", "COLP", "COLV"}
)
"""PID-32 values with which a record is never linked (guard 1)."""

_QUALIFYING_STATUSES: Final = frozenset({"VALI", "QUAL"})
_ALIAS: Final = b"alias-v2"
_STRICT: Final = b"strict-v2"
_INS: Final = b"ins-v1"
_BLOCKING: Final = {1: b"blocking-v1", 2: b"blocking-v2"}

_encode = msgspec.msgpack.Encoder().encode


def derive(
    traits: Traits,
    realm: Realm,
    secret: bytes,
    model: Model | None = None,
    version: int = KEY_VERSION,
) -> PersonKeys:
    """Return the keys of a record's traits; the same traits always give the same keys.

    Args:
        traits: As received.
        realm: Of the instance; an INS of the other one isolates.
        secret: Key of all digests.
        model: Says which combinations are keys, and whether guard 1 is on; `fr` where none.
        version: Of the key function; an older one while keys of both are alive.

    Raises:
        PermanentError: There is no such version.
    """
    if version not in _BLOCKING:
        raise PermanentError("key_version_unknown", "ask for a version that dedup/keys.py lists")
    if model is None:
        model = load_model("fr")
    identity = normalise(traits)
    qualified, former, evidence = (
        _ins_of(traits, realm, secret, version) if traits.ins else (None, (), ())
    )
    isolation = _isolation(traits, realm, identity, model, has_ins=qualified is not None)
    tight: tuple[int, ...] = ()
    wide: tuple[int, ...] = ()
    if not isolation:
        numbers = [ins.key for ins in (qualified, *former) if ins is not None]
        if version == FIRST_KEY_VERSION:
            tight = _first_form(identity, secret, numbers)
        else:
            tight, wide = _families(identity, model, secret, numbers)
    return PersonKeys(
        identity=identity,
        alias_digest=_digest(secret, _ALIAS, _encode((NORMALISE_VERSION, identity))),
        strict_digest=strict_digest(identity, secret),
        is_strict=bool(
            identity.family
            and identity.given
            and identity.sex
            and identity.birth_place
            and len(identity.birth_date) == 10
        ),
        ins=None if isolation else qualified,
        is_misfit=qualified is not None and contradicts(qualified.ins, identity),
        former_ins=() if isolation else former,
        held_ins=evidence,
        tight=tight,
        wide=wide,
        isolation=isolation,
        is_validated=traits.identity_status in _QUALIFYING_STATUSES,
        key_version=version,
    )


def strict_digest(identity: Identity, secret: bytes) -> UUID:
    """Return the digest of the five strict traits (french-profile 1.4)."""
    names = f"{identity.family}\x1f{identity.given}"
    rest = f"{identity.birth_date}\x1f{identity.sex}\x1f{identity.birth_place}"
    return _digest(secret, _STRICT, _join(names, rest))


def has_foreign_ins(traits: Traits, realm: Realm) -> bool:
    """Say whether a record carries an INS of the other realm."""
    return any(ins.oid not in _oids(realm) for ins in traits.ins)


# ------------------------------------------------------------------------------- INS


def _ins_of(
    traits: Traits, realm: Realm, secret: bytes, version: int
) -> tuple[InsKey | None, tuple[InsKey, ...], tuple[Ins, ...]]:
    """Return the qualified INS, those it declares as former, and those that are evidence only."""
    allowed = [ins for ins in traits.ins if ins.oid in _oids(realm)]
    distinct = list({(ins.matricule, ins.oid): ins for ins in allowed}.values())
    if traits.identity_status not in _QUALIFYING_STATUSES or not distinct:
        return None, (), tuple(distinct)
    if len(distinct) == 1:
        return _ins_key(distinct[0], secret, version), (), ()
    provisional = [ins for ins in distinct if ins.oid in INS_NIA_OIDS]
    lasting = [ins for ins in distinct if ins.oid not in INS_NIA_OIDS]
    if len(lasting) == 1 and len(provisional) == 1:
        return (
            _ins_key(lasting[0], secret, version),
            (_ins_key(provisional[0], secret, version),),
            (),
        )
    return None, (), tuple(distinct)  # two that contradict each other are none


def contradicts(ins: Ins, identity: Identity) -> bool:
    """Say whether a NIR is plainly not of somebody born then: other year, and other month or sex.

    Either alone may be a slip, or a civil status put right after the number was given (its digits
    stay). Positions: CNAM nir-validation; a month above 12 is unknown. A NIA is left alone.
    """
    number, born = ins.matricule, identity.birth_date
    if identity.date_kind != FULL or ins.oid in INS_NIA_OIDS or number[1:3] == born[2:4]:
        return False
    other_month = number[3:5] <= "12" and number[3:5] != born[5:7]
    other_sex = identity.sex == ("F" if number[0] == "1" else "M" if number[0] == "2" else "")
    return other_month or (other_sex and identity.sex != "")


def _ins_key(ins: Ins, secret: bytes, version: int) -> InsKey:
    digest = _digest(secret, _INS, _join(ins.matricule, ins.oid))
    key = _key(secret, b"blocking-v1", "ins", ins.matricule, ins.oid)
    if version != FIRST_KEY_VERSION:
        key &= ~VERSION_BITS  # of no version: it leads to its person through every re-keying
    return InsKey(digest=digest, key=key, ins=ins)


def _isolation(
    traits: Traits, realm: Realm, identity: Identity, model: Model, *, has_ins: bool
) -> str:
    if traits.identity_status in ISOLATING_STATUSES:
        return f"status_{traits.identity_status.lower()}"
    if traits.ins and has_foreign_ins(traits, realm):
        return "ins_of_other_realm"
    if identity.is_nobody and not has_ins and model.isolates_nobody:
        return "placeholder_name"
    return ""


def _oids(realm: Realm) -> frozenset[str]:
    return INS_PRODUCTION_OIDS if realm is Realm.PRODUCTION else INS_TEST_OIDS


# ------------------------------------------------------------------------------- families


def _families(
    identity: Identity, model: Model, secret: bytes, numbers: list[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    parts = parts_of(identity)
    if model.has_starts:
        parts.update(starts_of(identity))
    # A copy of a keyed hash costs half of making one.
    keyed = blake2b(digest_size=8, key=secret, person=_BLOCKING[KEY_VERSION])
    tight = set(numbers)
    for name, family in model.tight:
        _add(tight, parts, name, family, keyed)
    wide: set[int] = set()
    for name, family in model.wide:
        _add(wide, parts, name, family, keyed)
    return tuple(sorted(tight)), tuple(sorted(wide - tight))


def _add(
    keys: set[int],
    parts: dict[str, tuple[str, ...]],
    name: str,
    family: tuple[str, ...],
    keyed: blake2b,
) -> None:
    """Add the keys of one family: of each combination of its parts' values."""
    rows: list[str] = [name]
    for part in family:
        values = parts.get(part)
        if not values:
            return
        if len(values) == 1:
            rows = [f"{row}\x1f{values[0]}" for row in rows]
        else:
            rows = [f"{row}\x1f{value}" for row in rows for value in values]
    for row in rows:
        fresh = keyed.copy()
        fresh.update(row.encode("utf-8", "surrogatepass"))
        number = int.from_bytes(fresh.digest(), "big", signed=True)
        keys.add(number & ~VERSION_BITS | KEY_VERSION)


PARTS: Final = frozenset(
    {
        "day", "default_day", "year", "month_day", "family", "given", "pair", "birth_place",
        "postcode", "city", "street", "house", "phone", "email", "sex",
        "family_name", "given_name", "any_name", "name_start", "street_start", "city_start",
    }
)  # fmt: skip
"""What a key family may be made of; model files name them."""


def parts_of(identity: Identity) -> dict[str, tuple[str, ...]]:
    """Return each part's values; a part that is missing has none, and no key is made with it.

    `day` is a whole birth date that is not a default one, `default_day` one that is: 01/01 is
    shared by thousands. `family` and `given` are sounds, of birth and used names alike, so that a
    married name meets its birth name. `pair` is both sounds in order, which finds swapped names.
    """
    found: dict[str, tuple[str, ...]] = {}
    born = identity.birth_date
    if born:
        found["year"] = (born[:4],)
        if len(born) == 10:
            if identity.date_kind == DEFAULT:
                found["default_day"] = (born,)
            else:
                found["day"] = (born,)
                found["month_day"] = (born[5:],)
    family = identity.family_sound or identity.used_family_sound
    given = identity.given_sound or identity.used_given_sound
    if family:
        used = identity.used_family_sound
        found["family"] = (family, used) if used and used != family else (family,)
        found["family_name"] = (identity.family or identity.used_family,)
    if given:
        used = identity.used_given_sound
        found["given"] = (given, used) if used and used != given else (given,)
        found["given_name"] = (identity.given or identity.used_given,)
    if family and given:
        found["pair"] = (f"{family}\x1e{given}" if family < given else f"{given}\x1e{family}",)
        found["any_name"] = (family, given) if family != given else (family,)
    elif family or given:
        found["any_name"] = (family or given,)
    if identity.birth_place:
        found["birth_place"] = (identity.birth_place,)
    if identity.postcode:
        found["postcode"] = (identity.postcode,)
    if identity.city:
        found["city"] = (identity.city,)
    if identity.street:
        found["street"] = (identity.street,)
    if identity.house:
        found["house"] = (identity.house,)
    if identity.phones:
        found["phone"] = identity.phones
    if identity.emails:
        found["email"] = identity.emails
    if identity.sex:
        found["sex"] = (identity.sex,)
    return found


def starts_of(identity: Identity) -> dict[str, tuple[str, ...]]:
    """Return beginnings of names, street and town: parts of models for badly typed records."""
    found: dict[str, tuple[str, ...]] = {}
    starts = {
        name.replace(" ", "")[:3]
        for name in (identity.family, identity.given, identity.used_family)
        if len(name) > 2
    }
    if starts:
        found["name_start"] = tuple(sorted(starts))
    if identity.street:
        found["street_start"] = (identity.street.replace(" ", "")[:5],)
    if identity.city:
        found["city_start"] = (identity.city.replace(" ", "")[:4],)
    return found


def _first_form(identity: Identity, secret: bytes, numbers: list[int]) -> tuple[int, ...]:
    """Return the keys of version 1: day of birth with the sound of either birth name."""
    keys = set(numbers)
    if len(identity.birth_date) == 10 and identity.family and identity.given:
        person = _BLOCKING[FIRST_KEY_VERSION]
        keys.add(_key(secret, person, "day+family", identity.birth_date, identity.family_sound))
        keys.add(_key(secret, person, "day+given", identity.birth_date, identity.given_sound))
    return tuple(sorted(keys))


def _join(*parts: str) -> bytes:
    return "\x1f".join(parts).encode("utf-8", "surrogatepass")


def _digest(secret: bytes, kind: bytes, text: bytes) -> UUID:
    return id_of(blake2b(text, digest_size=16, key=secret, person=kind).digest())


def _key(secret: bytes, person: bytes, *parts: str) -> int:
    digest = blake2b(_join(*parts), digest_size=8, key=secret, person=person).digest()
    return int.from_bytes(digest, "big", signed=True)
