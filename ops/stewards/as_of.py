"""What was known when a record was decided, read back from the link events. Reads only.

Traits are known from the first link event that names them; a merge counts from its event to that of
its undoing. Dates alone tell since when a person has an INS: one that came on the day of the record
counts, unless the decision shows that the person did not have it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from dedup.decide import Verdicts, decide
from dedup.deciding import wants_more
from dedup.evidence import unpack
from dedup.identity import Candidate, PersonKeys
from dedup.model import Model
from dedup.narrowing import Ways
from dedup.store import DedupStore
from ops.runtime.postgres import Connection
from ops.sources import Sources
from schemas.decision import MatchDecision

from .deciding import numbers_of

# The same look-up as the stream's, without its locks.
UNDER: Final = """
SELECT DISTINCT found.person_id FROM unnest($1::bigint[]) AS asked (key)
CROSS JOIN LATERAL (
    SELECT pk.person_id FROM person_key pk WHERE pk.key = asked.key
    ORDER BY pk.person_id LIMIT $2
) AS found
"""
# Everybody whom some persons lead to, and everybody who leads there, whether or not it stands now.
RELATED: Final = """
WITH RECURSIVE related AS (
    SELECT p.p AS person_id FROM unnest($1::bigint[]) AS p (p)
    UNION
    SELECT CASE WHEN m.gone_id = r.person_id THEN m.kept_id ELSE m.gone_id END
    FROM related r JOIN person_merge m ON m.gone_id = r.person_id OR m.kept_id = r.person_id
)
SELECT person_id FROM related LIMIT 1000
"""
MERGES: Final = """
SELECT m.gone_id, m.kept_id FROM person_merge m
WHERE m.gone_id = ANY ($1::bigint[]) AND m.link_event_id < $2
  AND (m.undone_by IS NULL OR m.undone_by > $2)
"""
FIRST_KNOWN: Final = """
SELECT e.person_id, e.alias_digest, min(e.link_event_id) AS since FROM link_event e
WHERE e.person_id = ANY ($1::bigint[]) AND e.alias_digest IS NOT NULL
GROUP BY e.person_id, e.alias_digest
"""
INS_SINCE: Final = """
SELECT i.person_id, i.ins_digest FROM person_ins i
WHERE i.person_id = ANY ($1::bigint[]) AND i.first_seen_on > $2
"""
RECORD_EVENT: Final = """
SELECT e.link_event_id, e.at, e.kind, e.person_id, e.partition, e."offset", e.alias_digest,
       e.model_version, e.decision
FROM link_event e
WHERE e.person_id = $1 AND e.partition = $2 AND e."offset" = ANY ($3::bigint[])
  AND e.decision IS NOT NULL
ORDER BY e.link_event_id DESC LIMIT 1
"""
EVENTS_SINCE: Final = """
SELECT e.link_event_id, e.at, e.kind, e.person_id, e.partition, e."offset", e.alias_digest,
       e.model_version, e.decision
FROM link_event e
WHERE e.link_event_id > $1 AND e.at >= $2 AND e.decision IS NOT NULL
ORDER BY e.link_event_id LIMIT $3
"""
FIRST_FROM: Final = """
SELECT e.link_event_id, e.at FROM link_event e WHERE e.link_event_id >= $1
ORDER BY e.link_event_id LIMIT 1
"""
LAST: Final = "SELECT coalesce(max(e.link_event_id), 0) FROM link_event e"
# Batches that run beside each other take numbers and times in no one order; none runs so long.
_MARGIN: Final = timedelta(minutes=5)


async def last_before(connection: Connection, since: datetime) -> int:
    """Return a number behind which all events since a moment stand, and few before it.

    By halving over the numbers: the table has no index by time, which would cost every message.
    """
    low, high = 0, await connection.fetchval(LAST) + 1
    while low < high:
        middle = (low + high) // 2
        row = await connection.fetchrow(FIRST_FROM, middle)
        if row is None or row["at"] >= since - _MARGIN:
            high = middle
        else:
            low = row["link_event_id"] + 1
    return low - 1


class RecordEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The link event of a record, with the decision as it was stored."""

    event: int
    at: datetime
    person_id: int
    place: tuple[int, int]
    alias_digest: UUID
    decision: MatchDecision


def read_event(row: Any) -> RecordEvent:
    """Return a row of `link_event` with its decision."""
    return RecordEvent(
        event=row["link_event_id"],
        at=row["at"],
        person_id=row["person_id"],
        place=(row["partition"], row["offset"]),
        alias_digest=row["alias_digest"],
        decision=unpack(row["decision"]),
    )


class Then:
    """Whom a record could have been about when it was decided.

    Args:
        candidates: As they were known.
        led: Person -> the keys that led there then.
        verdicts: Of stewards, on pairs of them.
        ways: By which keys the record was asked.
    """

    def __init__(
        self,
        candidates: list[Candidate],
        led: dict[int, set[int]],
        verdicts: Verdicts,
        ways: Ways,
    ) -> None:
        self._candidates = candidates
        self._led = led
        self._verdicts = verdicts
        self._ways = ways

    def decide(self, keys: PersonKeys, model: Model) -> MatchDecision:
        """Decide as the stream does: by the tight keys, and by all where those give no link."""
        decision = decide(keys, self._under(self._ways.tight), model, self._verdicts)
        if wants_more(decision):
            decision = decide(keys, self._under(self._ways.all), model, self._verdicts)
        return decision

    def _under(self, keys: tuple[int, ...]) -> list[Candidate]:
        asked = set(keys)
        return [each for each in self._candidates if self._led[each.person_id] & asked]


async def known_then(
    connection: Connection,
    store: DedupStore,
    sources: Sources,
    keys: PersonKeys,
    event: RecordEvent,
) -> Then:
    """Return whom a record could have been about when it was decided.

    Args:
        connection: Any.
        store: Opens identities and INS.
        sources: Derives keys.
        keys: Of the record.
        event: Its link event: what came with it or later does not count.
    """
    hot = await store.hot_of(connection, keys.blocking, event.at)
    ways = sources.asked_by(keys, hot)
    rows = await connection.fetch(UNDER, list(ways.all), store.bounds.key_persons)
    found = {row["person_id"] for row in rows}
    # Whom the decision names was under one of these keys then, also where a key has moved since.
    found |= {each.person_id for each in event.decision.candidates}
    related = {row["person_id"] for row in await connection.fetch(RELATED, sorted(found))}
    alone = await store.each_alone(connection, related)
    await _forget_later(connection, alone, keys, event)
    into = {
        row["gone_id"]: row["kept_id"]
        for row in await connection.fetch(MERGES, sorted(related), event.event)
    }
    candidates = _joined(alone, into, {_end(into, each) for each in found})
    led = await _led(connection, store, sources, keys, candidates, into=into, hot=hot)
    verdicts = await store.verdicts(connection, {p: _end(into, p) for p in related})
    return Then(candidates, led, verdicts, ways)


async def _led(
    connection: Connection,
    store: DedupStore,
    sources: Sources,
    keys: PersonKeys,
    candidates: list[Candidate],
    *,
    into: dict[int, int],
    hot: set[int],
) -> dict[int, set[int]]:
    """Return the keys that led to each candidate: those of what it was known by then.

    Where traits can be read no more, the record's own keys stand in: the person is looked at.
    """
    known = {each.person_id: each for each in candidates}
    led: dict[int, set[int]] = {each.person_id: set() for each in candidates}
    for each in candidates:
        led[each.person_id] |= {n.key for n in numbers_of(keys) if n.digest in each.ins}
    everybody = set(known) | {p for p in into if _end(into, p) in known}
    for (person, alias), traits in (await store.traits_of(connection, everybody)).items():
        end = _end(into, person)
        if alias not in known[end].aliases:
            continue
        if traits is None:
            led[end] |= set(sources.asked_by(keys, hot).all)
            continue
        derived = sources.keys_of(traits)
        own = {number.key for number in numbers_of(derived)}
        led[end] |= set(sources.asked_by(derived, hot).all) - own
    return led


async def _forget_later(
    connection: Connection, alone: dict[int, Candidate], keys: PersonKeys, event: RecordEvent
) -> None:
    persons = sorted(alone)
    known: dict[int, set[UUID]] = {}
    for row in await connection.fetch(FIRST_KNOWN, persons):
        if row["since"] < event.event:
            known.setdefault(row["person_id"], set()).add(row["alias_digest"])
    for person, candidate in alone.items():
        for alias in set(candidate.aliases) - known.get(person, set()):
            del candidate.aliases[alias]
    for row in await connection.fetch(INS_SINCE, persons, event.at.date()):
        alone[row["person_id"]].ins.pop(row["ins_digest"], None)
    by_ins = event.decision.rule in {"same_ins", "declared_history"}
    if keys.ins is not None and not by_ins and event.person_id in alone:
        alone[event.person_id].ins.pop(keys.ins.digest, None)


def _joined(
    alone: dict[int, Candidate], into: dict[int, int], asked: Collection[int]
) -> list[Candidate]:
    ends: dict[int, Candidate] = {}
    for person in sorted(alone):
        end = _end(into, person)
        if end not in asked:
            continue
        held = ends.setdefault(end, Candidate(person_id=end, ins={}, aliases={}))
        held.ins.update(alone[person].ins)
        held.aliases.update(alone[person].aliases)
    return [held for held in ends.values() if held.aliases]


def _end(into: dict[int, int], person: int) -> int:
    while person in into:
        person = into[person]
    return person
