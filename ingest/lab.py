"""A laboratory as a door knows it: who it is, how it proves that, for whom it may speak. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from .codes import NO_CODES, CodeTable
from .judge import LabProfile

Proof = Literal["certificate", "token", "folder", "topic"]


class LabLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a laboratory may send; None is no limit, and that is the default of each."""

    rate_per_second: float | None = None
    burst: int | None = None
    """Messages at once above the rate; None: as many as the rate is a second."""
    daily_quota: int | None = None
    """Messages a day (UTC)."""
    max_connections: int | None = None


NO_LIMITS: Final = LabLimits()


class LabCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate of a laboratory by its fingerprint, or a rule about the whole subject."""

    fingerprint: bytes = b""
    """SHA-256 of the DER; empty: a rule."""
    subject: str = ""
    """RFC 4514; of a rule what is compared, exactly."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    revoked: bool = False

    def holds_at(self, moment: datetime) -> bool:
        """Say whether it counts at this moment: not revoked, begun, not over."""
        begun = self.not_before is None or self.not_before <= moment
        over = self.not_after is not None and self.not_after < moment
        return begun and not over and not self.revoked


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """A laboratory of the register: `registry_id` is its own sending facility, normalised."""

    lab_id: int
    registry_id: str
    name: str = ""
    state: str = "onboarding"
    profile: str = "fr"
    profile_version: int = 1
    wants_no_answer: bool = False
    codes: CodeTable = NO_CODES
    """What its own codes mean, at this version of its profile."""
    facilities: frozenset[str] = frozenset()
    """Sending facilities that it may speak for beside its own."""
    limits: LabLimits = NO_LIMITS
    certificates: tuple[LabCertificate, ...] = ()
    """Also those that were revoked: a subject rule must not let them in again."""
    tokens: tuple[bytes, ...] = ()
    """SHA-256 of each token that counts."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """Who a door has proved to stand at the other end, and by what."""

    lab_id: int
    registry_id: str
    proof: Proof


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """When laboratories lose the last certificate they have; each is counted in one class."""

    soonest_days: float | None = None
    """Days until the first one has none that holds; negative: since when. None: no certificate."""
    expired: int = 0
    under_7_days: int = 0
    under_30_days: int = 0
    later: int = 0


def profile_of(lab: Lab) -> LabProfile:
    """Return what the verdict about a laboratory's message depends on."""
    return LabProfile(name=lab.profile, version=lab.profile_version, codes=lab.codes)


def may_speak(lab: Lab, facility: str) -> bool:
    """Say whether a laboratory may send for a facility (MSH-4, normalised): its own or a listed."""
    return facility == lab.registry_id or facility in lab.facilities


def expiry_of(labs: Iterable[Lab], now: datetime) -> Expiry:
    """Count laboratories by when their last certificate ends.

    In a rotation two certificates hold, and the later one counts. Suspended laboratories and
    those that have no certificate with an end (none at all, or a subject rule) are left out.
    """
    ends = []
    for lab in labs:
        own = [
            each.not_after
            for each in lab.certificates
            if each.fingerprint and not each.revoked and each.not_after is not None
        ]
        by_rule = any(not each.fingerprint for each in lab.certificates)
        if own and not by_rule and lab.state != "suspended":
            ends.append(max(own) - now)
    day = timedelta(days=1)
    return Expiry(
        soonest_days=min(ends) / day if ends else None,
        expired=sum(left < 0 * day for left in ends),
        under_7_days=sum(0 * day <= left < 7 * day for left in ends),
        under_30_days=sum(7 * day <= left < 30 * day for left in ends),
        later=sum(left >= 30 * day for left in ends),
    )
