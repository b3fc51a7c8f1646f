"""The key function of an instance: its realm, its secret, the versions there are. Pure.

The table says which versions are in use (dedup/persons.py, `KeyVersions`); this says what they are.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from schemas.decision import Realm
from schemas.errors import FatalError
from schemas.patient import Ins, Traits

from .identity import Identity, PersonKeys
from .keys import FIRST_KEY_VERSION, KEY_VERSION, derive
from .model import Model
from .narrowing import Ways, narrowed, ways


class KeyFunction:
    """Derives keys of any version this release knows; the same traits give the same keys.

    Args:
        realm: Of the instance.
        secret: Of all digests of persons.
        model: Which combinations are keys; None: the one the service runs.
    """

    newest = KEY_VERSION

    def __init__(self, realm: Realm, secret: bytes, model: Model | None = None) -> None:
        self._realm = realm
        self._secret = secret
        self._model = model

    def __repr__(self) -> str:
        """Show nothing."""
        return "<KeyFunction withheld>"

    def derive(self, traits: Traits, version: int | None = None) -> PersonKeys:
        """Return a record's keys, of the newest version unless another is asked for.

        Raises:
            FatalError: The instance has gone on to a version of a later release.
        """
        if version is None:
            version = KEY_VERSION
        if not FIRST_KEY_VERSION <= version <= KEY_VERSION:
            raise FatalError(
                "release_too_old",
                "this instance's keys were made anew by a later release: start that one",
            )
        return derive(traits, self._realm, self._secret, self._model, version)

    def of_ins(self, ins: Ins, version: int) -> int:
        """Return the key of a qualified INS of the instance's realm."""
        keys = self.derive(Traits(ins=(ins,), identity_status="VALI"), version)
        assert keys.ins is not None, "what was kept was qualified"
        return keys.ins.key

    def ways(self, keys: PersonKeys, hot: AbstractSet[int]) -> Ways:
        """Return the keys of a record beside what is hot."""
        return ways(keys, hot, self._secret)

    def narrowed(self, key: int, identity: Identity) -> tuple[int, ...]:
        """Return the narrower keys that stand for a hot one."""
        return narrowed(key, identity, self._secret)
