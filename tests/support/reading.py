"""Streams over real HTTP: a hub's outbox filled by the outbox's own writer, and its door served."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx
import msgspec
from litestar import Litestar
from litestar.exceptions import HTTPException

from ops.bootstrap import Hub
from ops.problems import http_problem, hub_problem
from ops.runtime.vault import SealClass
from ops.serving import bound_socket, serve_http
from ops.stream_reply import StreamDoor, StreamLimits
from ops.stream_tokens.port import StreamAccess
from ops.stream_tokens.refusals import quota_used, revoked, unknown_token
from ops.streams_api import stream_routes
from routing import outbox
from routing.emitted import PendingEvent, event_id_of
from routing.filters import EVERYTHING, StreamFilter, both
from routing.following import Tail, TailLimits
from routing.streams import StreamReader
from schemas.decision import Realm
from schemas.errors import HubError
from schemas.events import EventKind, PublicHealthRow
from schemas.topics import STREAMS, Stream

STREAM = Stream.PUBLIC_HEALTH
TOKEN = "a-token-of-tests"
PARTITIONS = 4
PATIENCE_SECONDS = 60.0


def row_body(**given: Any) -> bytes:
    """Return a row of public health about nobody."""
    plain = {
        name: False if kind == "bool" else ""
        for name, kind in PublicHealthRow.__annotations__.items()
    }
    fixed = {
        "age": 46,
        "condition": "sars-cov-2",
        "residence_department": "75",
        "result": "positive",
        "sampled_on": "2026-03-06",
        "record": "result",
        "new_case": None,
        "recent_positive": None,
    }
    return msgspec.json.encode(msgspec.convert({**plain, **fixed, **given}, PublicHealthRow))


def pending(
    number: int,
    version: int,
    body: bytes | None,
    *,
    part: str = "sars-cov-2",
    partitions: int = PARTITIONS,
    stream: Stream = STREAM,
) -> PendingEvent:
    """Return a version of the part of a report; its partition follows from the report."""
    report_id = UUID(bytes=hashlib.sha256(b"%d" % number).digest()[:16])
    kind = EventKind.PUBLISHED if version == 1 else EventKind.REVISED
    return PendingEvent(
        stream=stream,
        partition=report_id.int % partitions,
        event_id=event_id_of(stream, report_id, version, part),
        report_id=report_id,
        event_version=version,
        kind=EventKind.WITHDRAWN if body is None else kind,
        reason="new",
        realm=Realm.TEST,
        rule="r",
        rule_version="1",
        person_version=1,
        message_id=UUID(int=number),
        part=part,
        body=body,
    )


async def write(hub: Hub, events: Sequence[PendingEvent]) -> None:
    """Write events as dispatch does, in one transaction."""

    def seal(body: bytes, associated: bytes) -> bytes:
        return hub.vault.seal(SealClass.STREAM, body, associated)

    async with hub.pool.acquire() as connection, connection.transaction():
        await outbox.write(connection, events, seal, datetime.now(UTC))


class TestAdmission:
    """An admission that does what its test says."""

    __test__ = False

    def __init__(self, access: TestAccess, asked: StreamFilter) -> None:
        self._access = access
        self.token_name = "tests"
        self.filter = both(access.filter, asked)
        self._taken = 0
        self.is_open = True

    @property
    def left(self) -> int | None:
        return self._access.left

    async def take(self, most: int) -> int:
        self.check()
        if self._access.left is None:
            return most
        if self._access.left <= 0:
            raise quota_used(60)
        self._taken = min(most, self._access.left)
        self._access.left -= self._taken
        return self._taken

    def note(self, events: int) -> None:
        if self._access.left is not None:
            self._access.left += self._taken - events
            self._taken = 0

    def check(self) -> None:
        if self._access.is_revoked:
            raise revoked()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._access.open -= 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class TestAccess:
    """Lets in who has the one token; the tokens' own suite is elsewhere."""

    __test__ = False

    def __init__(self) -> None:
        self.filter = EVERYTHING
        self.left: int | None = None
        self.is_revoked = False
        self.open = 0

    async def admit(
        self,
        header: str,
        stream: Stream,
        asked: StreamFilter = EVERYTHING,
        *,
        origin: str = "",
        follows: bool = False,
    ) -> TestAdmission:
        if header != f"Bearer {TOKEN}":
            raise unknown_token()
        if self.is_revoked:
            raise revoked()
        if self.left == 0:
            raise quota_used(60)
        self.open += 1
        return TestAdmission(self, asked)


class Served(msgspec.Struct, kw_only=True):
    """Streams that are served."""

    hub: Hub
    url: str
    access: TestAccess
    door: StreamDoor
    stopping: asyncio.Event

    def client(self, **given: Any) -> httpx.AsyncClient:
        """Return a client that may read; it asks for no coding unless told."""
        headers = {
            "authorization": f"Bearer {TOKEN}",
            "accept-encoding": "identity",
            **given.pop("headers", {}),
        }
        # In clear text: a TLS context for each would only take its time, a tenth of a second.
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, verify=False, **given
        )


@asynccontextmanager
async def served(
    hub: Hub,
    *,
    limits: StreamLimits | None = None,
    tail: TailLimits | None = None,
    real: StreamAccess | None = None,
) -> AsyncIterator[Served]:
    """Serve the streams of a hub on a port of its own; `real`: who is let in by real tokens."""
    access = TestAccess()
    stopping = asyncio.Event()
    listening = bound_socket("127.0.0.1", 0)
    tails = StreamReader(hub.pool, hub.vault, at_once=1)
    door = StreamDoor(
        access=real or access,
        reader=StreamReader(hub.pool, hub.vault, at_once=2),
        tails={each: Tail(tails, each, tail or TailLimits(poll_seconds=0.02)) for each in STREAMS},
        limits=limits or StreamLimits(heartbeat_seconds=0.2),
        stopping=stopping,
    )
    application = Litestar(
        route_handlers=stream_routes(door),
        exception_handlers={HubError: hub_problem, HTTPException: http_problem},
        logging_config=None,
        openapi_config=None,
    )
    serving = asyncio.ensure_future(
        serve_http(application, listening, stopping, shutdown_seconds=5.0)
    )
    host, port = listening.getsockname()
    try:
        yield Served(
            hub=hub, url=f"http://{host}:{port}", access=access, door=door, stopping=stopping
        )
    finally:
        stopping.set()
        await serving


def fold(events: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    """Return what a reader holds: of each part the body of the highest version, if it stands."""
    held: dict[tuple[str, str], Mapping[str, Any]] = {}
    for event in events:
        key = event["report_id"], event["part"]
        if key not in held or event["event_version"] > held[key]["event_version"]:
            held[key] = event
    return {key: event["body"] for key, event in held.items() if event["kind"] != "withdrawn"}
