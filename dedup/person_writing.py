"""What is written of persons, in arrays, and how it is sealed: one statement a table and batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

import msgspec

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from ops.runtime.vault import SealClass
from schemas.decision import MatchDecision
from schemas.errors import PermanentError
from schemas.patient import Ins, Traits

from . import person_queries as queries
from .deciding import AliasRow, InsRow
from .evidence import pack
from .identity import Alias, Identity
from .normalize import NORMALISE_VERSION, normalise
from .queue import NewItem, ReviewBudget, items_of


class Sealer(Protocol):
    """What seals and opens (ops/runtime/vault.py)."""

    def seal(self, seal_class: SealClass, plaintext: bytes, associated: bytes) -> bytes:
        """Return ciphertext bound to `associated`."""
        ...

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return the plaintext or raise `PermanentError`."""
        ...


class LinkRow(msgspec.Struct, frozen=True, kw_only=True):
    """A decision to write: append-only, and enough to decide again bit for bit."""

    person_id: int
    partition: int
    offset: int
    alias_digest: UUID
    decision: MatchDecision


class PersonWriter:
    """Writes of persons, always on the connection of their transaction.

    Args:
        sealer: Seals traits and INS.
        budget: How many review items may be opened; None: as many as records.
    """

    def __init__(self, sealer: Sealer, budget: ReviewBudget | None = None) -> None:
        self._sealer = sealer
        self._budget = budget or ReviewBudget(1.0, 1_000)

    async def write_persons(
        self,
        connection: Connection,
        *,
        new: Sequence[tuple[int, int, bool]],
        versions: dict[int, int],
        at: datetime,
    ) -> None:
        """Write new persons (id, version, isolated) and the versions of known ones."""
        if new:
            ids, numbers, isolated = (list(column) for column in zip(*new, strict=True))
            await connection.execute(queries.WRITE_PERSONS, ids, numbers, isolated, at)
        if versions:
            await connection.execute(
                queries.WRITE_VERSIONS, list(versions), list(versions.values())
            )

    async def write_identities(
        self,
        connection: Connection,
        *,
        ins: Sequence[InsRow],
        aliases: Sequence[AliasRow],
        keys: Collection[tuple[int, int]],
        on: date,
    ) -> None:
        """Write what persons are known by: INS, sets of traits, keys (key, person id)."""
        if ins:
            sealed = [self._seal(msgspec.msgpack.encode(r.ins), r.digest) for r in ins]
            await connection.execute(
                queries.WRITE_INS,
                [r.person_id for r in ins],
                [r.digest for r in ins],
                [r.ins.oid for r in ins],
                sealed,
                on,
                [r.is_former for r in ins],
                [r.strict_digest for r in ins],
            )
        if aliases:
            sealed = [self._seal(msgspec.msgpack.encode(r.alias), r.digest) for r in aliases]
            await connection.execute(
                queries.WRITE_ALIASES,
                [r.person_id for r in aliases],
                [r.digest for r in aliases],
                sealed,
                on,
            )
        if keys:
            await self.write_keys(connection, keys)

    async def write_keys(self, connection: Connection, keys: Collection[tuple[int, int]]) -> None:
        """Write (key, person id); what is there stays."""
        ordered = sorted(keys)
        await connection.execute(
            queries.WRITE_KEYS, [k for k, _ in ordered], [p for _, p in ordered]
        )

    async def write_links(
        self, connection: Connection, rows: Sequence[LinkRow], at: datetime
    ) -> None:
        """Append the link events of a batch, and open review items where a guard asks for one."""
        if not rows:
            return
        await connection.execute(
            queries.WRITE_LINKS,
            [r.decision.verdict.value for r in rows],
            [r.person_id for r in rows],
            [r.decision.contradicts for r in rows],
            [r.partition for r in rows],
            [r.offset for r in rows],
            [r.alias_digest for r in rows],
            [r.decision.rule for r in rows],
            [r.decision.model_version for r in rows],
            [pack(r.decision) for r in rows],
            at,
        )
        self._budget.pay_in(len(rows))
        asked = [(r, item) for r in rows for item in items_of(r.decision)]
        await self._open_items(connection, sorted(asked, key=lambda a: a[1].priority), at)

    async def _open_items(
        self, connection: Connection, asked: Sequence[tuple[LinkRow, NewItem]], at: datetime
    ) -> None:
        """Open what its share of records allows; the rest stays on the link events, and is counted.

        Of a pair on which a steward has said the final word nothing is asked.
        """
        opened = []
        for row, item in asked:
            if self._budget.take(item.priority):
                opened.append((row, item))
            else:
                METRICS.review_withheld.labels(str(item.priority)).inc()
        if opened:
            await connection.execute(
                queries.OPEN_REVIEWS,
                [r.person_id for r, _ in opened],
                [item.other_person_id for _, item in opened],
                [item.guard for _, item in opened],
                [msgspec.json.encode(r.decision).decode() for r, _ in opened],
                at,
                [item.kind.value for _, item in opened],
                [item.priority for _, item in opened],
                [item.bits for _, item in opened],
                [r.decision.model_version for r, _ in opened],
            )

    # ------------------------------------------------------------------ sealing

    def _seal(self, plaintext: bytes, digest: UUID) -> bytes:
        return self._sealer.seal(SealClass.IDENTITY, plaintext, digest.bytes)

    def open_ins(self, sealed: bytes, digest: UUID) -> Ins | None:
        """Return an INS as it was kept; None where its key was destroyed."""
        try:
            return _decode_ins(self._sealer.open(sealed, digest.bytes))
        except PermanentError:
            return None

    def open_traits(self, sealed: bytes, digest: UUID) -> Traits | None:
        """Return a set of traits as received; None where its key was destroyed."""
        try:
            return _read_alias(self._sealer.open(sealed, digest.bytes)).traits
        except PermanentError:
            return None

    def _open_alias(self, sealed: bytes, digest: UUID) -> Identity | None:
        try:
            alias = _read_alias(self._sealer.open(sealed, digest.bytes))
        except PermanentError:
            return None
        if alias.normalise_version == NORMALISE_VERSION:
            return alias.identity
        return normalise(alias.traits)


_decode_ins = msgspec.msgpack.Decoder(Ins).decode
_decode_alias = msgspec.msgpack.Decoder(Alias).decode
_decode_traits = msgspec.msgpack.Decoder(Traits).decode


def _read_alias(plain: bytes) -> Alias:
    """Read a set of traits, also in the form of the first releases, which kept them alone."""
    try:
        return _decode_alias(plain)
    except msgspec.ValidationError:
        return Alias(traits=_decode_traits(plain), identity=Identity(), normalise_version=0)
