"""What a message must hold: HL7 versions, processing ids, and conventions of a profile.

Sources: HL7 tables 0103 and 0104.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from schemas.decision import Realm

VERSIONS: Final = frozenset(
    {"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8"}
    | {"2.8.1", "2.8.2"}
)
_VERSION: Final = re.compile(r"2\.([1-8])(?![0-9])", re.ASCII)

_PROCESSING_IDS: Final = {
    Realm.PRODUCTION: frozenset({"P", ""}),
    Realm.TEST: frozenset({"P", "T", "D", ""}),
}


class Conventions(msgspec.Struct, frozen=True, kw_only=True):
    """A profile: what a laboratory means where it says nothing, and which rules it is held to."""

    name: str = "fr"
    """A rule of the catalogue names the profiles to which it belongs."""
    zone: str = "Europe/Paris"
    charsets: tuple[str, ...] = ("utf-8", "iso8859-15")
    """Tried in order where MSH-18 is empty."""


FRENCH: Final = Conventions()
GENERIC: Final = Conventions(name="generic", zone="UTC", charsets=("utf-8", "iso8859-1"))
"""Messages from anywhere: HL7 alone, no rule of France."""
PROFILES: Final = {profile.name: profile for profile in (FRENCH, GENERIC)}


def conventions_of(profile_name: str) -> Conventions:
    """Return the conventions of a laboratory profile; the French ones for a name not known here."""
    return PROFILES.get(profile_name, FRENCH)


def version_is_known(version: str) -> bool:
    """Say whether the first two numbers of MSH-12 are of 2.1 to 2.8."""
    return _VERSION.match(version) is not None


def version_is_listed(version: str) -> bool:
    """Say whether MSH-12 is a version of table 0104, and not only near one."""
    return version in VERSIONS


def version_has_errors(version: str) -> bool:
    """Say whether an answer in this version describes errors by ERR-2 to ERR-8 (2.5 and later)."""
    match = _VERSION.match(version)
    return match is None or int(match[1]) >= 5


def processing_id_is_taken(processing_id: str, realm: Realm) -> bool:
    """Say whether an instance of this realm takes messages with this MSH-11.1."""
    return processing_id in _PROCESSING_IDS[realm]
