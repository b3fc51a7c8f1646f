"""Telling public health that one pseudonym stands for another now: events `pseudonym_replaced`.

A merge re-emits what can be read back under the kept person's pseudonym. What can be read no more
stays in the streams under the old one, and so does whatever a recipient has counted already. One
event a replaced person and period says how to read both; undoing the merge withdraws it. They go
through `emitted` like everything, under an id of their own that no report has, so a second try and
a crash change nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final
from uuid import UUID

import msgspec

from ops.runtime.postgres import Connection
from routing import emitted
from routing.case import Projection
from routing.emitted import PendingEvent, Wanted
from routing.pseudonym import Pseudonyms, replaced_id
from routing.public_health import PURPOSE
from schemas.decision import Realm
from schemas.events import PseudonymReplaced
from schemas.topics import Stream

from .persons import Held

RULE: Final = "persons_merged"
_NO_MESSAGE: Final = UUID(int=0)
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")

Pair = tuple[int, str]
"""A person who is merged into another, and a period in which its pseudonym was used."""

# Periods in which a person's pseudonym stands in rows that public health holds: of its reports as
# they stood when it was merged; not of those that are declared anonymously (routing/case.py).
USED: Final = """
SELECT DISTINCT m.gone_id, p.period
FROM person_merge m
JOIN person_merge_report r ON r.link_event_id = m.link_event_id AND r.of_gone
JOIN emitted e ON e.report_id = r.report_id AND e.stream = 'public-health' AND e.published
CROSS JOIN LATERAL string_to_table(e.pseudonym_periods, ' ') AS p (period)
WHERE m.gone_id = ANY ($1::bigint[]) AND m.undone_by IS NULL AND p.period NOT IN ('', '-')
"""
STANDING: Final = """
SELECT r.person_id, r.period FROM pseudonym_replaced r WHERE r.person_id = ANY ($1::bigint[])
"""
NOTE: Final = """
INSERT INTO pseudonym_replaced (person_id, period)
SELECT n.p, n.d FROM unnest($1::bigint[], $2::text[]) AS n (p, d) ON CONFLICT DO NOTHING
"""
FORGET: Final = """
DELETE FROM pseudonym_replaced AS r USING unnest($1::bigint[], $2::text[]) AS n (p, d)
WHERE r.person_id = n.p AND r.period = n.d
"""


class Replacer:
    """Keeps what public health was told of replaced pseudonyms.

    Args:
        pseudonyms: Of the instance.
        secret: Keys the ids of these events; it must never change.
        body_secret: Keys the digests of bodies.
        realm: Marks each event.
        partitions: Of the instance.
    """

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        *,
        secret: bytes,
        body_secret: bytes,
        realm: Realm,
        partitions: int,
    ) -> None:
        self._pseudonyms = pseudonyms
        self._secret = secret
        self._body_secret = body_secret
        self._realm = realm
        self._partitions = partitions

    async def settle(
        self,
        connection: Connection,
        held: Held,
        versions: Mapping[int, int],
        joined: Collection[int],
    ) -> list[PendingEvent]:
        """Bring what public health holds of replaced pseudonyms to what it should hold.

        Args:
            connection: Inside the transaction that holds the persons, before their reports are
                emitted again.
            held: As they stand after the change.
            versions: End -> its version.
            joined: Who was merged into somebody in this transaction: only now do the rows that bear
                their pseudonyms still do so.
        """
        persons = [each for each in held.everybody if held.pointers.end_of(each) in versions]
        known = {
            (row["person_id"], row["period"]) for row in await connection.fetch(STANDING, persons)
        }
        used: set[Pair] = set()
        if joined:
            rows = await connection.fetch(USED, sorted(joined))
            used = {(row["gone_id"], row["period"]) for row in rows}
        wanted = self.wanted(held, versions, known | used)
        if not wanted:
            return []
        told = await emitted.load(connection, {wish.report_id for wish in wanted.values()})
        changes = emitted.diff(told, wanted.values(), self._realm, self._body_secret)
        await emitted.store(connection, changes.rows)
        noted = sorted(pair for pair, wish in wanted.items() if wish.decision.due)
        gone = sorted(pair for pair, wish in wanted.items() if not wish.decision.due)
        await connection.execute(NOTE, *_columns(noted))
        await connection.execute(FORGET, *_columns(gone))
        return changes.events

    def wanted(
        self, held: Held, versions: Mapping[int, int], pairs: Iterable[Pair]
    ) -> dict[Pair, Wanted]:
        """Return what public health should hold of each pair; pure but for the keys.

        Whoever is merged into nobody any more is nobody's: withdrawn. A period whose key was
        destroyed has no pseudonyms: what was said of it stays.
        """
        found = {}
        for person, period in sorted(set(pairs)):
            end = held.pointers.end_of(person)
            projection = None if end == person else self._projection(person, end, period)
            if end != person and projection is None:
                continue
            number = replaced_id(self._secret, person, period)
            found[person, period] = Wanted(
                report_id=number,
                stream=Stream.PUBLIC_HEALTH,
                partition=number.int % self._partitions,
                person_version=versions[end],
                message_id=_NO_MESSAGE,
                decision=emitted.Due(due=projection is not None, rule=RULE, rule_version=""),
                projection=projection,
                reason="identity_changed",
            )
        return found

    def _projection(self, person: int, end: int, period: str) -> Projection | None:
        old = self._pseudonyms.person(person, PURPOSE, period)
        new = self._pseudonyms.person(end, PURPOSE, period)
        if not old:
            return None
        body = PseudonymReplaced(old=old, new=new, period=period)
        return Projection(body=_ENCODER.encode(body), addressee="")


def _columns(pairs: Iterable[Pair]) -> tuple[list[int], list[str]]:
    told = list(pairs)
    return [person for person, _ in told], [period for _, period in told]
