"""An MLLP door with mutual TLS in this process: real register, real acceptor, log in memory."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, ParamSpec

import uvloop

from ingest.accept import Acceptor, DoorCounts
from ingest.lab import Lab, LabCertificate, Peer
from ingest.labs import LabRegister
from ingest.listener import ListenerLimits, MllpListener
from ingest.peers import CertificateDoor
from ops.runtime.clock import SystemClock
from ops.runtime.group_append import GroupAppender
from ops.runtime.handshake import HandshakeLimits
from ops.runtime.metrics import METRICS
from ops.runtime.tls import TlsMaterial
from ops.runtime.vault import FolderKeyStore, Vault
from ops.simulate.sample import sample_message
from schemas.decision import Realm
from tests.fakes.intake_log import FakeIntakeLog
from tests.support.certificates import Authority, Issued

P = ParamSpec("P")


def on_uvloop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on uvloop, as a TLS door asks for, whatever the plug-in's own loop is."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


class TestClock:
    """Our time, moved by the test."""

    __test__ = False

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class NoStore:
    async def all(self) -> list[Lab]:
        return []

    async def register(self, registry_id: str) -> Lab:
        return Lab(lab_id=999_999, registry_id=registry_id)


def lab_of(number: int, *issued: Issued, **fields: Any) -> Lab:
    """Return laboratory LABnn, that proves itself by these certificates or the token tokennn."""
    return Lab(
        lab_id=number,
        registry_id=f"LAB{number:02d}",
        state="live",
        profile="generic",
        certificates=tuple(LabCertificate(fingerprint=each.peer.fingerprint) for each in issued),
        tokens=(sha256(token_of(number).encode()).digest(),),
        **fields,
    )


def token_of(number: int) -> str:
    return f"token-of-laboratory-{number:02d}"


def message_of(facility: str, control_id: str = "C-1") -> bytes:
    """Return a message that names this sending facility."""
    head, _, rest = sample_message().partition(b"\r")
    fields = head.split(b"|")
    fields[3], fields[9] = facility.encode(), control_id.encode()
    return b"|".join(fields) + b"\r" + rest


class HubDoor:
    """The door and all that lies behind it up to the log."""

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        *,
        limits: ListenerLimits | None = None,
        handshake: HandshakeLimits | None = None,
        recheck_seconds: float = 300.0,
        unknown: bool = False,
    ) -> None:
        self.authority = authority
        self.clock = TestClock()
        self.log = FakeIntakeLog(4)
        self.appender = GroupAppender(self.log, deadline_seconds=30)
        self.counts = DoorCounts()
        self.register = LabRegister(NoStore(), register_unknown=unknown, clock=self.clock)
        self.foreign: list[tuple[Peer, str]] = []
        self.acceptor = Acceptor(
            register=self.register,
            appender=self.appender,
            vault=Vault(FolderKeyStore(folder / "keys"), SystemClock()),
            clock=SystemClock(),
            realm=Realm.TEST,
            partitions=4,
            inbox_secret=b"s" * 32,
            counts=self.counts,
            note_foreign=lambda peer, name: self.foreign.append((peer, name)),
        )
        self.listener = MllpListener(
            self.acceptor, limits or ListenerLimits(), self.acceptor.fairness
        )
        self.material = TlsMaterial(authority.files, door="mllp", demand="required")
        self.door = CertificateDoor(
            self.material,
            self.register,
            self.clock,
            limits=handshake or HandshakeLimits(),
            recheck_seconds=recheck_seconds,
        )

    def labs(self, *labs: Lab) -> None:
        self.register.take(labs, self.clock.now())

    @property
    def accepted(self) -> list[Any]:
        return [record for lane in self.log.lanes.values() for record in lane]

    @property
    def open(self) -> int:
        return len(self.listener._connections)


@asynccontextmanager
async def hub_door(
    folder: Path, authority: Authority, labs: Sequence[Lab] = (), **options: Any
) -> AsyncIterator[HubDoor]:
    """Open a door with mutual TLS on a free port."""
    made = HubDoor(folder, authority, **options)
    made.labs(*labs)
    made.appender.start()
    await made.listener.start("127.0.0.1", 0, tls=made.door)
    try:
        yield made
    finally:
        await made.listener.stop(10.0)
        await made.appender.stop()


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def refused(reason: str, door: str = "mllp") -> float:
    """Return how often a handshake was refused for this reason so far."""
    return float(METRICS.tls_refused.labels(door, reason)._value.get())


def closed(reason: str) -> float:
    """Return how often the hub closed a connection for this reason so far."""
    return float(METRICS.closed.labels(reason)._value.get())
