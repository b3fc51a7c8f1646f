"""Receivers for tests: a small HTTP server that answers as it is told, and events to push."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.bootstrap import Hub, reader_of
from ops.receivers import changes
from ops.receivers.changes import Added, Wish
from ops.receivers.leading import Couriers
from ops.receivers.receiver import Kind, Options
from ops.receivers.secret import made_for
from ops.receivers.senders import SenderParts
from ops.runtime.postgres import lent
from ops.runtime.vault import SealClass
from ops.station_push import limits_of
from routing.emitted import PendingEvent, event_id_of
from routing.outbox import write
from schemas.decision import Realm
from schemas.events import EventKind
from schemas.topics import Stream

ASKER = Asker(actor="tester", reason="test")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> UUID:
        """Which event it carries."""
        return UUID(self.headers["idempotency-key"])

    @property
    def json(self) -> Any:
        """Its body."""
        return msgspec.json.decode(self.body)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered; status 0: the connection is cut, -1: no answer at all."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


Behaviour = Callable[[Asked], Told | Awaitable[Told]]


class Target:
    """An HTTP server on a port of its own."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.behaviour: Behaviour = lambda _: Told()
        self.port = 0
        self.most_at_once = 0
        self._at_once = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._news = asyncio.Condition()
        self._tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/in"

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen; again on the same port after `stop`."""
        self._tls = tls
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=tls, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be away: nobody listens any more."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()

    async def until(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until what was asked makes a condition true."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(ready)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the test is over, or the peer has gone
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(path=head[0].split()[1], headers=headers, body=body)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        async with self._news:
            self.asked.append(asked)
            self._news.notify_all()
        try:
            told = self.behaviour(asked)
            if not isinstance(told, Told):
                told = await told
        finally:
            self._at_once -= 1
        if told.status <= 0:
            if told.status < 0:
                await asyncio.Event().wait()
            return False
        lines = [f"HTTP/1.1 {told.status} Told", f"Content-Length: {len(told.body)}"]
        lines += [f"{name}: {value}" for name, value in told.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + told.body)
        await writer.drain()
        return True


def event(
    number: int,
    version: int = 1,
    *,
    stream: Stream = Stream.PUBLIC_HEALTH,
    kind: EventKind = EventKind.PUBLISHED,
    body: Any = None,
    message_id: UUID | None = None,
    part: str = "",
) -> PendingEvent:
    """An event of the report `number`."""
    report_id = UUID(int=number)
    gone = kind is EventKind.WITHDRAWN
    return PendingEvent(
        stream=stream,
        partition=number % 4,
        event_id=event_id_of(stream, report_id, version, part),
        report_id=report_id,
        event_version=version,
        kind=kind,
        reason="new",
        realm=Realm.TEST,
        rule="r",
        rule_version="1",
        person_version=1,
        message_id=message_id or UUID(int=number),
        part=part,
        body=None if gone else msgspec.json.encode(body or {"number": number, "v": version}),
    )


async def emit(hub: Hub, events: Sequence[PendingEvent]) -> None:
    """Write events as a transaction of dispatch does."""

    def seal(body: bytes, associated: bytes) -> bytes:
        return hub.vault.seal(SealClass.STREAM, body, associated)

    async with lent(hub.pool) as connection, connection.transaction():
        await write(connection, events, seal, hub.clock.now())


async def added(
    hub: Hub,
    name: str,
    url: str,
    *,
    kind: Kind = Kind.WEBHOOK,
    stream: Stream = Stream.PUBLIC_HEALTH,
    options: Options | None = None,
    given: bytes | None = None,
    from_start: bool = True,
) -> Added:
    """A receiver that was just added."""
    wish = Wish(
        name=name,
        kind=kind,
        stream=stream,
        url=url,
        options=options or Options(),
        from_start=from_start,
    )
    secret = given or made_for(kind, None)
    async with lent(hub.pool) as connection:
        return await changes.add(connection, hub.vault, wish, given=secret, asker=ASKER, most=50)


def couriers(hub: Hub, connect: Mapping[str, Any], **changed: Any) -> Couriers:
    """What serves the receivers, with short waits."""
    settings = hub.settings.model_copy(
        update={
            "push_retry_seconds": 0.02,
            "push_retry_cap_seconds": 0.2,
            "push_rest_cap_seconds": 0.2,
            "push_retry_after_cap_seconds": 5.0,
            "push_timeout_seconds": 5.0,
            **changed,
        }
    )
    return Couriers(
        connect=connect,
        pool=hub.pool,
        reader=reader_of(hub),
        clock=hub.clock,
        limits=limits_of(settings),
        parts=SenderParts(
            vault=hub.vault,
            clock=hub.clock,
            timeout_seconds=settings.push_timeout_seconds,
            answer_bytes=settings.push_answer_bytes,
            connections=settings.push_in_flight,
            realm=hub.realm,
        ),
        poll_seconds=0.02,
        keep_seconds=settings.push_keep_seconds,
        shutdown_seconds=3.0,
    )


@asynccontextmanager
async def serving(hub: Hub, connect: Mapping[str, Any], **changed: Any) -> AsyncIterator[None]:
    """Serve the receivers for a block."""
    stopping = asyncio.Event()
    task = asyncio.create_task(couriers(hub, connect, **changed).run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


async def deliveries(hub: Hub, name: str) -> list[dict[str, Any]]:
    """What became of the events of a receiver, by report and version."""
    async with lent(hub.pool) as connection:
        rows = await connection.fetch(
            "SELECT d.* FROM delivery d JOIN receiver r USING (receiver_id) WHERE r.name = $1"
            " ORDER BY d.report_id, d.event_version",
            name,
        )
    return [dict(row) for row in rows]


async def states(hub: Hub, name: str) -> dict[tuple[int, int], str]:
    """Report and version -> state."""
    return {
        (each["report_id"].int, each["event_version"]): each["state"]
        for each in await deliveries(hub, name)
    }


async def until_states(
    hub: Hub, name: str, ready: Callable[[dict[tuple[int, int], str]], bool], seconds: float = 60
) -> dict[tuple[int, int], str]:
    """Wait until the states of a receiver's events are so."""
    async with asyncio.timeout(seconds):
        while not ready(found := await states(hub, name)):
            await asyncio.sleep(0.02)
    return found
