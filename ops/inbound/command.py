"""`labdispatch inbound`: what its commands print, and a parked record taken once more."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from ingest.inbound import GONE, OVERSIZE, TOMBSTONE
from ingest.inbound_proof import BAD_SIGNATURE, NO_PROOF, UNKNOWN_LABORATORY, signing_key
from ingest.inbound_store import Parked
from ingest.lab import Lab
from ingest.labs import PostgresLabStore
from ingest.peers import peer_of
from ops.bootstrap import Hub, open_door
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.register.credentials import list_tokens
from ops.register.labs import audit, check_audit, find_lab
from ops.runtime.postgres import lent
from schemas.errors import PermanentError, TransientError

from .door import SECRET, prover_of, store_of

_HEAD: Final = (
    "parked", "topic", "partition", "offset", "records", "reason", "laboratory", "bytes", "kept",
    "since", "ended",
)  # fmt: skip
REMEDIES: Final = {
    TOMBSTONE: "A record without a value: the laboratory must not write any. Nothing to retry.",
    OVERSIZE: "Larger than max_frame_bytes: ask for a smaller one; it is read in the topic alone.",
    NO_PROOF: "It needs the headers `laboratory` and `signature`, each once (docs/inbound.md).",
    UNKNOWN_LABORATORY: "No laboratory has this registry id: register it, then retry.",
    BAD_SIGNATURE: "No token that holds made this signature: find out who wrote it.",
    GONE: "The broker dropped them before they were read: ask the laboratories to send again.",
}
"""What to do about a reason that is the inbound door's own."""


async def print_parked(data_dir: Path, *, limit: int, everything: bool, as_json: bool) -> None:
    """Print parked records, the oldest first."""
    async with instance_at(data_dir) as hub:
        found = await store_of(hub).listed(limit, also_resolved=everything)
    if as_json:
        print_json(found)
    elif not found:
        sys.stdout.write("no inbound record is parked\n")
    else:
        sys.stdout.write(table_of(_HEAD, [_row(each) for each in found]))


async def print_one(data_dir: Path, parked_id: UUID, *, as_json: bool) -> None:
    """Print one parked record and what to do about it; nothing of its value.

    Raises:
        PermanentError: There is none (`not_found`).
    """
    async with instance_at(data_dir) as hub:
        found = await _find(hub, parked_id)
    if as_json:
        print_json(found)
        return
    sys.stdout.write(table_of(_HEAD, [_row(found)]))
    own = REMEDIES.get(found.reason, f"`labdispatch explain {found.reason}` says what to do.")
    sys.stdout.write(f"  {own}\n")


async def retry(data_dir: Path, parked_id: UUID, *, actor: str, reason: str) -> int:
    """Take a parked record once more, by today's register; give 1 when it stays parked.

    It is proved again as it was then: nobody's word replaces a signature. What is taken is in the
    log behind everything that came since.

    Raises:
        PermanentError: There is none, it is resolved, or it is not kept.
        TransientError: There is no room now, or nobody knows whether it is durable: ask again.
    """
    check_audit(actor=actor, reason=reason)
    async with instance_at(data_dir, appends=True) as hub:
        found = await _find(hub, parked_id)
        if found.resolved_at is not None:
            raise PermanentError("resolved_already", "`labdispatch inbound show` says when")
        answer = await _take(hub, found)
        if answer in {"AA", "AE"}:
            await store_of(hub).resolve(found, answer, actor=actor, reason=reason)
            sys.stdout.write(f"{answer}: it is in the log\n")
            return 0
    sys.stdout.write(f"{answer}: it stays parked\n")
    return 1


async def print_keys(data_dir: Path, registry_id: str, *, actor: str, as_json: bool) -> None:
    """Print the signing key that each token of a laboratory gives; entered into the audit chain.

    Raises:
        PermanentError: No such laboratory, or it has no token (`no_token`).
    """
    check_audit(actor=actor, reason="")
    async with instance_at(data_dir) as hub:
        async with lent(hub.pool) as connection:
            lab_id = (await find_lab(connection, registry_id)).lab_id
            entries = await list_tokens(connection, registry_id)
        lab = await PostgresLabStore(hub.pool).one(lab_id)
        holding = [each for each in entries if each.revoked_at is None]
        if lab is None or not holding:
            raise PermanentError("no_token", "make one: `labdispatch labs token new LAB`")
        rows = await _digests(hub, lab_id)
        secret = hub.vault.secret(SECRET)
        async with lent(hub.pool) as connection:
            await audit(connection, actor, "inbound_key", lab.registry_id, "")
    keys = [
        {
            "token": each.name,
            "last4": each.last4,
            "key": signing_key(secret, rows[each.token_id]).hex(),
        }
        for each in holding
    ]
    if as_json:
        print_json(keys)
    else:
        columns = ("token", "last4", "key")
        sys.stdout.write(table_of(columns, [[each[c] for c in columns] for each in keys]))


DIGESTS: Final = """
SELECT token_id, digest FROM lab_token WHERE lab_id = $1 AND revoked_at IS NULL
"""


async def _digests(hub: Hub, lab_id: int) -> dict[int, bytes]:
    async with lent(hub.pool) as connection:
        rows = await connection.fetch(DIGESTS, lab_id)
    return {row["token_id"]: row["digest"] for row in rows}


async def _find(hub: Hub, parked_id: UUID) -> Parked:
    found = await store_of(hub).find(parked_id)
    if found is None:
        raise PermanentError("not_found", "`labdispatch inbound list` shows those that wait")
    return found


async def _take(hub: Hub, found: Parked) -> str:
    """Return AA or AE, or the reason for which it stays parked."""
    held = await store_of(hub).held(found.parked_id)
    door = await open_door(hub)
    proved = prover_of(hub, door).prove(found.topic, held.key, held.value, held.headers)
    if not isinstance(proved, Lab):
        return proved
    door.appender.start()
    try:
        answer = await door.acceptor.receive(held.value, peer_of(proved, "topic")).wait()
    finally:
        await door.appender.stop()
    if answer.close:
        raise TransientError("append_unknown", "ask again: what came twice counts once")
    if answer.try_again:
        raise TransientError(answer.reason, "there is no room now: ask again")
    return answer.reason or answer.code


def _row(each: Parked) -> tuple[object, ...]:
    ended: datetime | None = each.resolved_at
    return (
        each.parked_id, each.topic, each.partition, each.offset, each.records, each.reason,
        each.laboratory or "-", each.size_bytes, "yes" if each.is_kept else "no",
        f"{each.parked_at:%Y-%m-%d %H:%M}",
        "-" if ended is None else f"{each.resolution} {ended:%Y-%m-%d %H:%M}",
    )  # fmt: skip
