"""Keys that too many persons share, and the narrower ones that stand in their place. Pure.

A default birth date, the postcode of a large home, a switchboard's number: such a key says nothing,
and whoever compared by it would compare with thousands. From the bound on it leads nowhere by
itself; everybody under it stands under two narrower keys made of it instead.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from hashlib import blake2b
from typing import Final

import msgspec

from .identity import Identity, PersonKeys
from .keys import VERSION_BITS

_NARROWED: Final = b"narrowed-v1"


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a record as they are asked for: hot ones replaced by narrower ones."""

    tight: tuple[int, ...] = ()
    """Asked first."""
    wide: tuple[int, ...] = ()
    """Asked where the tight ones give no link."""
    narrow: tuple[int, ...] = ()
    """Made of hot keys; asked with the wide ones."""

    @property
    def all(self) -> tuple[int, ...]:
        """Every key: all are locked, and written with the record's traits."""
        return self.tight + self.wide + self.narrow


def ways(keys: PersonKeys, hot: AbstractSet[int], secret: bytes) -> Ways:
    """Return the keys of a record beside what is hot. An INS's key is never narrowed."""
    if hot.isdisjoint(keys.blocking):
        return Ways(tight=keys.tight, wide=keys.wide)
    crowded = {k for k in keys.blocking if k in hot}
    narrower = {n for k in crowded for n in narrowed(k, keys.identity, secret)}
    return Ways(
        tight=tuple(k for k in keys.tight if k not in crowded),
        wide=tuple(k for k in keys.wide if k not in crowded),
        narrow=tuple(sorted(narrower)),
    )


def narrowed(key: int, identity: Identity, secret: bytes) -> tuple[int, ...]:
    """Return the narrower keys of a hot one for an identity; none where it has no names.

    One by both names as folded, in any order (the date may be wrong); one by the whole birth date
    and the sound of the given name (the birth name may be another).
    """
    found = []
    if identity.family and identity.given:
        names = sorted((identity.family, identity.given))
        found.append(_key(key, secret, "names", *names))
    if len(identity.birth_date) == _WHOLE_DATE and identity.given_sound:
        found.append(_key(key, secret, "day", identity.birth_date, identity.given_sound))
    return tuple(found)


_WHOLE_DATE: Final = len("1979-03-28")


def _key(key: int, secret: bytes, *parts: str) -> int:
    text = key.to_bytes(8, "big", signed=True) + "\x1f".join(parts).encode("utf-8", "surrogatepass")
    digest = blake2b(text, digest_size=8, key=secret, person=_NARROWED).digest()
    made = int.from_bytes(digest, "big", signed=True)
    return (made & ~VERSION_BITS) | (key & VERSION_BITS)
