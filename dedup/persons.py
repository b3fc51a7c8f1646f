"""The tables of persons, spoken to in arrays: one statement a table and batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from schemas.errors import TransientError
from schemas.patient import Ins, Traits

from . import person_queries as queries
from .decide import Verdicts
from .deciding import Known
from .identity import Candidate, HeldIns, Merge
from .keys import KEY_VERSION
from .person_writing import PersonWriter, Sealer
from .queue import ReviewBudget

_LOCK_ROUNDS: Final = 5
_PAIR: Final = 2
_ALL_ALIASES: Final = 10_000
"""For whoever is looked at whole: an unmerge, a steward, an explanation."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much is looked at; see docs/settings.md, identity_*."""

    key_persons: int = 300
    """The most persons a key leads to; a key of more is hot and leads nowhere by itself."""
    aliases: int = 20
    """The most sets of traits a person is compared by: those that were seen last."""
    narrowed_persons: int = 3_000
    """The most persons that are given narrower keys when their key turns out to be hot."""
    hot_keys: int = 10_000
    """The most hot keys that a process remembers."""


class KeyVersions(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions of the key function are in use.

    By `live` persons are looked up. Both are locked and written while `filling` is being filled.
    """

    live: int
    filling: int | None = None

    @property
    def all(self) -> tuple[int, ...]:
        """Return every version that a transaction must lock and write."""
        return (self.live,) if self.filling is None else (self.live, self.filling)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a look-up found."""

    under: dict[int, list[int]]
    """Key -> persons; one more than the bound where there are more."""
    hot: set[int]
    """Keys that lead nowhere by themselves."""


class PersonStore(PersonWriter):
    """Reads and writes of persons, always on the connection of its transaction.

    The order of locks is one for all: progress rows, `begin`, `lock_keys`, `lock_persons`.

    Args:
        sealer: Seals traits and INS.
        bounds: How much is looked at.
        budget: How many review items may be opened.
    """

    def __init__(
        self,
        sealer: Sealer,
        bounds: Bounds | None = None,
        budget: ReviewBudget | None = None,
    ) -> None:
        super().__init__(sealer, budget)
        self.bounds = bounds or Bounds()

    # ------------------------------------------------------------------ locks

    async def begin(self, connection: Connection, count: int) -> list[int]:
        """Hold the state of the key function; return unused person numbers.

        A number that a rollback leaves behind is never used.
        """
        rows = await connection.fetch(queries.BEGIN, count)
        return [row["n"] for row in rows]

    async def lock_keys(self, connection: Connection, keys: Iterable[int]) -> KeyVersions | None:
        """Take the advisory locks of all keys of a batch, sorted, in one statement.

        Returns:
            The versions in use, as they stand until this transaction ends; None: never set.
        """
        row = await connection.fetchrow(queries.LOCK_KEYS, sorted(set(keys)))
        if row["live"] is None:
            return None
        return KeyVersions(live=row["live"], filling=row["filling"])

    async def begin_keys(self, connection: Connection, version: int) -> KeyVersions:
        """Fix the version of a new instance's keys; return what is in use.

        Where somebody else does at this moment, waits for them and goes by what they fixed.
        """
        await connection.execute(queries.BEGIN_KEYS, version)
        row = await connection.fetchrow(queries.KEY_VERSIONS)
        return KeyVersions(live=row["live"], filling=row["filling"])

    async def lock_keys_of(
        self, connection: Connection, persons: Collection[int]
    ) -> tuple[int, ...]:
        """Take the locks of all keys of whole persons (merge, unmerge, verdict); return the keys.

        Reads again behind the locks until nothing was added: what a worker wrote meanwhile is
        locked too.

        Raises:
            TransientError: New keys came in again and again; nothing was written.
        """
        await connection.execute(queries.HOLD_STATE)
        locked: set[int] = set()
        for _ in range(_LOCK_ROUNDS):
            rows = await connection.fetch(queries.KEYS_OF, sorted(persons))
            more = {row["key"] for row in rows} - locked
            if locked and not more:
                break
            await connection.fetchrow(queries.LOCK_KEYS, sorted(more))
            locked |= more
            if not locked:
                break
        else:
            raise TransientError("persons_busy", "try again")
        return tuple(sorted(locked))

    async def lock_persons(self, connection: Connection, numbers: Iterable[int]) -> dict[int, int]:
        """Lock these persons' rows in the order of their numbers; return their versions."""
        ordered = sorted(set(numbers))
        if not ordered:
            return {}
        rows = await connection.fetch(queries.LOCK_PERSONS, ordered)
        return {row["person_id"]: row["version"] for row in rows}

    # ------------------------------------------------------------------ look-up

    async def look_up(
        self, connection: Connection, keys: Iterable[int], also: Iterable[int] = ()
    ) -> Found:
        """Return who stands under these keys, and which of them and of `also` are hot.

        Call it after `lock_keys`, in a statement of its own: its snapshot must be younger than
        the locks.
        """
        ordered = sorted(set(keys))
        asked = sorted({*ordered, *also})
        under: dict[int, list[int]] = {}
        hot: set[int] = set()
        rows = await connection.fetch(queries.LOOK_UP, ordered, self.bounds.key_persons + 1, asked)
        for row in rows:
            if row["person_id"] is None:
                hot.add(row["key"])
            else:
                under.setdefault(row["key"], []).append(row["person_id"])
        for key in hot:
            under.pop(key, None)
        return Found(under=under, hot=hot)

    async def load(self, connection: Connection, numbers: Iterable[int], known: Known) -> None:
        """Add these persons to what is known: whom they became, and what they are known by."""
        asked = sorted(set(numbers))
        if not asked:
            return
        everybody = []
        merged = set()
        for row in await connection.fetch(queries.FOLLOW, asked):
            if row["start"] != row["person_id"]:
                merged.add(row["person_id"])
            end = known.ends[row["start"]] = row["person_id"]
            if end not in known.persons:
                known.persons[end] = Candidate(
                    person_id=end, ins={}, aliases={}, isolated=row["isolated"]
                )
            everybody.append(row["start"])
        everybody.sort()
        await self._load_ins(connection, everybody, known)
        await self._load_aliases(connection, everybody, known)
        if merged:
            for (end, digest), (owner, _) in known.rows.items():
                if end in merged:
                    known.persons[end].homes[digest] = owner
            for row in await connection.fetch(queries.MERGES, everybody):
                known.persons[known.ends[row["gone_id"]]].merges[row["gone_id"]] = Merge(
                    kept=row["kept_id"], known=frozenset((*row["kept_aliases"], *row["kept_ins"]))
                )

    async def _load_ins(self, connection: Connection, numbers: list[int], known: Known) -> None:
        for row in await connection.fetch(queries.LOAD_INS, numbers):
            end, digest = known.ends[row["person_id"]], row["ins_digest"]
            known.rows[end, digest] = (row["person_id"], row["last_seen_on"])
            # Whose number retention has taken is the same person under its digest still.
            ins = self.open_ins(row["payload"], digest) or Ins(matricule="", oid=row["oid"])
            former = row["replaced_on"] is not None
            known.persons[end].ins[digest] = HeldIns(ins, former, row["strict_digest"])

    async def _load_aliases(self, connection: Connection, numbers: list[int], known: Known) -> None:
        most = self.bounds.aliases
        times: dict[int, int] = {}
        for row in await connection.fetch(queries.LOAD_ALIASES, numbers, most + 1):
            person_id, digest = row["person_id"], row["alias_digest"]
            times[person_id] = times.get(person_id, 0) + 1
            if times[person_id] <= most:
                end = known.ends[person_id]
                known.rows[end, digest] = (person_id, row["last_seen_on"])
                known.persons[end].aliases[digest] = self._open_alias(row["payload"], digest)
        METRICS.capped_aliases.inc(sum(n > most for n in times.values()))

    async def verdicts(self, connection: Connection, ends: Mapping[int, int]) -> Verdicts:
        """Return what stewards said of pairs of whom these persons became, the lower number first.

        A verdict is on the persons as they were then; it holds for whom they became. `different`
        outweighs what else was said of others of the same two.

        Args:
            connection: Under the locks of the persons' keys.
            ends: Number -> whom it became.
        """
        if len(set(ends.values())) < _PAIR:
            return {}
        found: dict[tuple[int, int], str] = {}
        for row in await connection.fetch(queries.VERDICTS, sorted(ends)):
            one, other = ends[row["person_id"]], ends[row["other_person_id"]]
            pair = (one, other) if one < other else (other, one)
            if one != other and found.get(pair) != "different":
                found[pair] = row["verdict"]
        return found

    # ------------------------------------------------------------------ whole persons

    async def each_alone(
        self, connection: Connection, numbers: Collection[int]
    ) -> dict[int, Candidate]:
        """Return persons by all that each is known by itself, whomever they are merged into."""
        ordered = sorted(set(numbers))
        known = Known(
            ends={n: n for n in ordered},
            persons={n: Candidate(person_id=n, ins={}, aliases={}) for n in ordered},
        )
        await self._load_ins(connection, ordered, known)
        for row in await connection.fetch(queries.LOAD_ALIASES, ordered, _ALL_ALIASES):
            held = known.persons[row["person_id"]]
            held.aliases[row["alias_digest"]] = self._open_alias(
                row["payload"], row["alias_digest"]
            )
        return known.persons

    async def traits_of(
        self, connection: Connection, persons: Collection[int]
    ) -> dict[tuple[int, UUID], Traits | None]:
        """Return (person, digest) -> traits as they came; None where their key was destroyed."""
        return {
            (row["person_id"], row["alias_digest"]): self.open_traits(
                row["payload"], row["alias_digest"]
            )
            for row in await connection.fetch(
                queries.LOAD_ALIASES, sorted(set(persons)), _ALL_ALIASES
            )
        }

    async def hot_of(self, connection: Connection, keys: Collection[int], at: datetime) -> set[int]:
        """Return which of these keys were hot at a moment."""
        rows = await connection.fetch(queries.HOT_OF, list(keys), at)
        return {row["key"] for row in rows}

    async def key_versions(self, connection: Connection) -> KeyVersions:
        """Return the versions in use; inside a transaction that holds `lock_keys_of`."""
        row = await connection.fetchrow(queries.KEY_VERSIONS)
        if row is None:
            return KeyVersions(live=KEY_VERSION)
        return KeyVersions(live=row["live"], filling=row["filling"])

    # ------------------------------------------------------------------ hot keys

    async def under(
        self, connection: Connection, keys: Iterable[int], after: int = 0
    ) -> dict[int, list[int]]:
        """Return everybody under some keys beyond a person's number, a bounded number a key."""
        most = self.bounds.narrowed_persons
        found: dict[int, list[int]] = {}
        for row in await connection.fetch(queries.UNDER, sorted(set(keys)), most, after):
            found.setdefault(row["key"], []).append(row["person_id"])
        METRICS.narrowings_cut.inc(sum(len(persons) >= most for persons in found.values()))
        return found

    async def mark_hot(self, connection: Connection, persons: dict[int, int], at: datetime) -> None:
        """Mark keys as hot, with how many persons they were found to lead to."""
        await connection.execute(queries.MARK_HOT, list(persons), list(persons.values()), at)
