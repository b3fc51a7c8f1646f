"""Who may send: the register of laboratories as a door sees it.

The register lives in PostgreSQL; a door keeps a copy in memory, refreshed every few seconds, and
on the cluster a signed copy on disk. On the default (loopback, test realm) a sending facility that
is not yet known is registered at first sight, in state `onboarding`; everywhere else it is refused
(AR) with what to do.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, Protocol

from ops.runtime.clock import Clock, SystemClock
from ops.runtime.metrics import METRICS
from schemas.errors import HubError, TransientError

from .lab import Lab, LabCertificate, LabLimits, Peer, expiry_of, may_speak, profile_of
from .lab_store import PostgresLabStore

__all__ = [
    "Lab",
    "LabCertificate",
    "LabLimits",
    "LabRegister",
    "LabStore",
    "Peer",
    "PostgresLabStore",
    "may_speak",
    "profile_of",
]

MAX_TOKEN_CHARACTERS: Final = 200
FIRST_SIGHT_FULL: Final = "first_sight_full"
"""Our code of what a sender is answered that would have been registered, were there a place."""


class LabStore(Protocol):
    """Where the register is kept."""

    async def all(self) -> list[Lab]:
        """Return every laboratory; the same object again says that nothing has changed."""
        ...

    async def register(self, registry_id: str) -> Lab | None:
        """Return the laboratory of this registry id or facility, made if it was not there.

        None where there are as many already as may be when one more is made.
        """
        ...


class Keeper(Protocol):
    """Keeps a copy of the register on disk (ingest/lab_snapshot.py)."""

    async def keep(self, labs: Sequence[Lab], *, changed: bool) -> None:
        """Write the register if it changed or the copy grows old; never raises for a full disk."""
        ...

    def tell(self) -> None:
        """Set the figure of the copy's age."""
        ...


class LabRegister:
    """The door's copy of the register.

    Args:
        store: Where the register is kept.
        register_unknown: Whether a facility seen for the first time is registered.
        max_pending: The most registrations under way at once; beyond, the sender is to try again.
        clock: Says which certificates hold now.
        keeper: Keeps what was read on disk; None: nothing is kept.
    """

    def __init__(
        self,
        store: LabStore,
        *,
        register_unknown: bool,
        max_pending: int = 1_000,
        clock: Clock | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self._store = store
        self._register_unknown = register_unknown
        self._max_pending = max_pending
        self._clock: Clock = clock or SystemClock()
        self._keeper = keeper
        self._read: Sequence[Lab] | None = None
        self._read_at: datetime | None = None
        self._labs: dict[str, Lab] = {}
        self._by_fingerprint: dict[bytes, tuple[Lab, LabCertificate]] = {}
        self._by_subject: dict[str, Lab] = {}
        self._by_token: dict[bytes, Lab] = {}
        self._pending: dict[str, asyncio.Future[Lab | None]] = {}
        self._is_full = False

    def __len__(self) -> int:
        return len({lab.lab_id for lab in self._labs.values()})

    # ------------------------------------------------------------------ who is it

    def get(self, registry_id: str) -> Lab | None:
        """Return the laboratory of a facility, its own or a listed one; never waits."""
        return self._labs.get(registry_id)

    def of_certificate(self, fingerprint: bytes, subject: str) -> Lab | None:
        """Return the laboratory that a certificate proves now; never waits.

        A fingerprint that is registered decides alone: revoked, not yet valid or expired is None
        whatever a subject rule says. A door must have proved the chain and the peer's key before.

        Args:
            fingerprint: SHA-256 of the certificate's DER.
            subject: The whole subject (RFC 4514), as ops/runtime/certificates.py gives it.
        """
        known = self._by_fingerprint.get(fingerprint)
        if known is None:
            return self._by_subject.get(subject) if subject else None
        lab, certificate = known
        return lab if certificate.holds_at(self._clock.now()) else None

    def of_token(self, token: str) -> Lab | None:
        """Return the laboratory of a bearer token that counts; never waits, tells no timing."""
        if not token or len(token) > MAX_TOKEN_CHARACTERS:
            return None
        digest = sha256(token.encode("utf-8", "replace")).digest()
        # What a table look-up may tell by its time is about a digest, which nobody can aim at.
        lab = self._by_token.get(digest)
        if lab is None:
            return None
        return lab if any(hmac.compare_digest(digest, held) for held in lab.tokens) else None

    async def admit(self, registry_id: str) -> Lab | None:
        """Return the laboratory, registered now if that is allowed; None when it is refused.

        Raises:
            TransientError: The register cannot be asked now, or is full (`first_sight_full`).
        """
        known = self._labs.get(registry_id)
        if known is not None or not self._register_unknown:
            return known
        pending = self._pending.get(registry_id)
        if pending is None:
            if self._is_full:  # until the next look, a flood of names asks the database nothing
                raise _full()
            if len(self._pending) >= self._max_pending:
                METRICS.limit_hits.labels("pending_registrations").inc()
                raise TransientError("not_now", "many register at once: send it again in a minute")
            pending = asyncio.ensure_future(self._store.register(registry_id))
            self._pending[registry_id] = pending
            pending.add_done_callback(lambda _: self._pending.pop(registry_id, None))
        lab = await asyncio.shield(pending)
        if lab is None:
            self._is_full = True
            raise _full()
        self._labs[registry_id] = lab
        return lab

    # ------------------------------------------------------------------ how it stays fresh

    def take(self, labs: Sequence[Lab], read_at: datetime) -> None:
        """Put a register in place whole, as it was read at a moment."""
        self._read, self._read_at = labs, read_at
        self._labs = {name: lab for lab in labs for name in lab.facilities}
        self._labs.update({lab.registry_id: lab for lab in labs})
        self._by_fingerprint = {
            each.fingerprint: (lab, each)
            for lab in labs
            for each in lab.certificates
            if each.fingerprint
        }
        self._by_subject = {
            each.subject: lab
            for lab in labs
            for each in lab.certificates
            if not each.fingerprint and not each.revoked
        }
        self._by_token = {digest: lab for lab in labs for digest in lab.tokens}

    async def refresh(self) -> None:
        """Read the register again, if it has moved.

        Raises:
            TransientError: The database is away; the copy in memory stays as it was.
        """
        labs, now = await self._store.all(), self._clock.now()
        self._is_full = False
        changed = labs is not self._read
        if changed:
            self.take(labs, now)
        self._read_at = now
        if self._keeper is not None:
            await self._keeper.keep(labs, changed=changed)
        self._tell()

    async def keep_fresh(self, period_seconds: float) -> None:
        """Refresh for ever; a database that is away leaves the copy as it is."""
        while True:
            await asyncio.sleep(period_seconds)
            try:
                await self.refresh()
            except HubError as error:
                METRICS.errors.labels("register", error.reason).inc()
                self._tell()

    def _tell(self) -> None:
        """Set the figures of the register: its age, and when certificates end."""
        now = self._clock.now()
        if self._read_at is not None:
            METRICS.register_age.set((now - self._read_at).total_seconds())
        if self._keeper is not None:
            self._keeper.tell()
        expiry = expiry_of(self._read or (), now)
        days = float("inf") if expiry.soonest_days is None else expiry.soonest_days
        METRICS.certificate_days.set(days)
        for name in ("expired", "under_7_days", "under_30_days", "later"):
            METRICS.certificates.labels(name).set(getattr(expiry, name))


def _full() -> TransientError:
    METRICS.limit_hits.labels("first_sight").inc()
    return TransientError(
        FIRST_SIGHT_FULL, "labdispatch labs add, or raise max_labs_at_first_sight"
    )
