"""What operators do with receivers: added, paused, resumed, removed, dead letters; audited."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.register.labs import check_audit
from ops.runtime.postgres import Connection
from ops.runtime.vault import Vault
from routing.outbox_reader import lanes_of
from routing.stream_queries import LANES
from schemas.errors import PermanentError
from schemas.topics import Stream

from . import operating, queries, secret
from .receiver import (
    STREAMS_OF,
    Kind,
    Options,
    Receiver,
    check_mail,
    check_purpose,
    checked_name,
    checked_url,
)
from .store import receiver_of

_TOKEN_BYTES: Final = 24


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver as it is asked for."""

    name: str
    kind: Kind
    stream: Stream
    url: str
    options: Options = Options()
    from_start: bool = False
    """Everything the outbox still holds; else what comes from now on."""


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver that was just added; this alone shows its token and a key that was made."""

    name: str
    receiver_id: int
    acknowledgement_token: str
    webhook_key: str = ""


async def add(
    connection: Connection,
    vault: Vault,
    wish: Wish,
    *,
    given: bytes | None,
    asker: Asker,
    most: int,
) -> Added:
    """Add a receiver; it is served within seconds.

    Args:
        connection: Of the database.
        vault: Keeps its secret.
        wish: What is asked for.
        given: Its secret, None where it has none.
        asker: Who asks.
        most: How many there may be.

    Raises:
        PermanentError: A name, address or stream that does not fit, or one too many.
    """
    _check(wish, asker)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    async with connection.transaction():
        await connection.execute(operating.ALONE)
        if await connection.fetchval(operating.COUNT) >= most:
            raise PermanentError(
                "too_many_receivers", f"there are {most}: remove one, or raise push_receivers"
            )
        number = await connection.fetchval(
            operating.ADD, wish.name, wish.kind.value, wish.stream.value,
            checked_url(wish.kind, wish.url), msgspec.json.encode(wish.options).decode(),
            sha256(token.encode()).digest(), int(given is not None),
        )  # fmt: skip
        if number is None:
            raise PermanentError("receiver_exists", "give it another name, or remove that one")
        if given is not None:
            secret.keep(vault, number, 1, given)
        await _place(connection, number, wish.stream, from_start=wish.from_start)
        where = "start" if wish.from_start else "now"
        await _audit(
            connection, asker, wish.name, f"added: {wish.kind.value}, {wish.stream.value}, {where}"
        )
    return Added(
        name=wish.name,
        receiver_id=number,
        acknowledgement_token=token,
        webhook_key=secret.shown(given) if given and wish.kind is Kind.WEBHOOK else "",
    )


async def pause(connection: Connection, name: str, asker: Asker) -> None:
    """Stop sending to a receiver; what is due waits in the outbox.

    Raises:
        PermanentError: There is none, or it is stopped already.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    async with connection.transaction():
        held = await known(connection, name)
        if held.state != "active":
            raise PermanentError("receiver_stopped", f"it is stopped already: {held.state}")
        await connection.execute(operating.PAUSE, held.receiver_id, "by an operator")
        await _audit(connection, asker, name, "paused")


async def resume(connection: Connection, name: str, where: str, asker: Asker) -> None:
    """Send to a receiver again.

    Args:
        connection: Of the database.
        name: Of the receiver.
        where: Empty: where it stopped. `start`: from what the outbox still holds. `now`: only what
            comes from now on; what was taken and waits is still sent.
        asker: Who asks.

    Raises:
        PermanentError: There is none, it runs, or it stands in a gap and `where` is empty.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    async with connection.transaction():
        held = await known(connection, name)
        if held.state == "active":
            raise PermanentError("receiver_active", "it is not stopped")
        if held.state == "gap" and not where:
            raise PermanentError(
                "receiver_gap",
                "retention took events that it never got: bring it up to date another way, then"
                " say --from start (what is left) or --from now",
            )
        if where:
            await _place(connection, held.receiver_id, held.stream, from_start=where == "start")
        await connection.execute(operating.RESUME, held.receiver_id)
        await _audit(connection, asker, name, f"resumed {f'from {where}' if where else ''}".strip())


async def remove(connection: Connection, vault: Vault, name: str, asker: Asker) -> None:
    """Send to a receiver no more, for good: its name is free, what became of events is kept.

    Raises:
        PermanentError: There is none.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    async with connection.transaction():
        held = await known(connection, name)
        await connection.execute(operating.REMOVE, held.receiver_id)
        await connection.execute(operating.DISCARD_ALL, held.receiver_id)
        await _audit(connection, asker, name, "removed")
    secret.forget(vault, held.receiver_id, held.secret_version)
    secret.forget(vault, held.receiver_id, held.old_secret_version)


async def rotate(
    connection: Connection,
    vault: Vault,
    name: str,
    *,
    given: bytes,
    until: datetime,
    asker: Asker,
) -> None:
    """Give a receiver a new secret; the old key of a webhook signs too until then.

    Raises:
        PermanentError: There is none.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    async with connection.transaction():
        await connection.execute(operating.HOLD, name)  # two that rotate at once come in turn
        held = await known(connection, name)
        version = held.secret_version + 1
        # What a rotation left that did not come to its end: no row speaks of it.
        secret.forget(vault, held.receiver_id, version)
        secret.keep(vault, held.receiver_id, version, given)
        overlaps = held.kind is Kind.WEBHOOK
        await connection.execute(
            operating.ROTATE, held.receiver_id, version, held.secret_version if overlaps else 0,
            until if overlaps else None,
        )  # fmt: skip
        await _audit(connection, asker, name, f"secret {version} holds")
    secret.forget(vault, held.receiver_id, held.old_secret_version)
    if not overlaps:
        secret.forget(vault, held.receiver_id, held.secret_version)


async def end_dead(
    connection: Connection, name: str, events: list[UUID] | None, *, again: bool, asker: Asker
) -> Mapping[str, int]:
    """Send dead letters again, or let them be; those of which a newer version went are passed over.

    Args:
        connection: Of the database.
        name: Of the receiver.
        events: Which; None: all.
        again: Whether they are sent again.
        asker: Who asks.

    Returns:
        How many became what.

    Raises:
        PermanentError: There is no such receiver, or none of these is a dead letter.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    statement = operating.RETRY_DEAD if again else operating.DISCARD_DEAD
    async with connection.transaction():
        held = await known(connection, name)
        rows = await connection.fetch(statement, held.receiver_id, events)
        if not rows:
            raise PermanentError("no_such_dead_letter", "`receivers dead list` shows them")
        done: dict[str, int] = {}
        for row in rows:
            done[row["state"]] = done.get(row["state"], 0) + 1
        told = ", ".join(f"{count} {state}" for state, count in sorted(done.items()))
        await _audit(connection, asker, name, f"dead letters: {told}")
    return done


async def known(connection: Connection, name: str) -> Receiver:
    """Return a receiver.

    Raises:
        PermanentError: `no_such_receiver`.
    """
    row = await connection.fetchrow(queries.BY_NAME, name)
    if row is None:
        raise PermanentError("no_such_receiver", "`labdispatch receivers list` shows them")
    return receiver_of(row)


def _check(wish: Wish, asker: Asker) -> None:
    check_audit(actor=asker.actor, reason=asker.reason)
    checked_name(wish.name)
    if wish.stream not in STREAMS_OF[wish.kind]:
        names = ", ".join(sorted(STREAMS_OF[wish.kind]))
        raise PermanentError("bad_receiver_stream", f"{wish.kind.value} carries {names}")
    check_purpose(wish.kind, wish.stream, wish.options.purpose)
    if wish.kind is Kind.MSSANTE:
        check_mail(wish.options)
    if wish.options.client_key and not wish.options.client_cert:
        raise PermanentError("bad_receiver_tls", "--client-key needs --client-cert")


async def _place(connection: Connection, number: int, stream: Stream, *, from_start: bool) -> None:
    lanes = lanes_of(await connection.fetch(LANES, stream.value))
    places = {
        partition: lane.begins - 1 if from_start else lane.last_seq
        for partition, lane in lanes.items()
    }
    await connection.execute(operating.PLACE, number, list(places), list(places.values()))


async def _audit(connection: Connection, asker: Asker, name: str, said: str) -> None:
    why = said + (f": {asker.reason}" if asker.reason else "")
    await connection.fetchval(operating.AUDIT, asker.actor, "receiver", f"receiver {name}", why)
