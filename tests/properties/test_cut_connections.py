"""A connection cut anywhere, a log in doubt, and a laboratory that resends: the same final state.

What dispatch goes by is the first record of each key in the order of the log; the inbox leaves the
others out. So this order, and nothing else, is the final state of a door.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.accept import Acceptor, DoorCounts
from ingest.connection import MllpConnection
from ingest.lab import Lab
from ingest.labs import LabRegister
from ingest.listener import ListenerLimits, MllpListener
from ops.client import read_acknowledgement
from ops.runtime.clock import SystemClock
from ops.runtime.group_append import GroupAppender
from ops.runtime.vault import FolderKeyStore, Vault
from schemas.decision import Realm
from schemas.envelope import AcceptedMessage, partition_of
from schemas.errors import UnknownResult
from tests.fakes.intake_log import FakeIntakeLog
from tests.support.tls_door import NoStore, message_of

LAB = Lab(lab_id=1, registry_id="LAB01", state="live", profile="generic")
PARTITIONS = 4


class Wire(asyncio.Transport):
    """The other end of a connection: what was written, and whether it is still open."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_open = True

    def write(self, data: Any) -> None:
        if self.is_open:
            self.written += data

    def close(self) -> None:
        self.is_open = False

    abort = close

    def is_closing(self) -> bool:
        return not self.is_open

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def answers(self) -> list[bytes]:
        """The whole answers that have arrived; half of one is none."""
        return bytes(self.written).split(b"\x1c\r")[:-1]


class Process:
    """A door of one process, on a log that outlives it."""

    def __init__(self, log: FakeIntakeLog, vault: Vault) -> None:
        clock = SystemClock()
        register = LabRegister(NoStore(), register_unknown=False, clock=clock)
        register.take([LAB], clock.now())
        self.appender = GroupAppender(log, deadline_seconds=60)
        acceptor = Acceptor(
            register=register, appender=self.appender, vault=vault, clock=clock, realm=Realm.TEST,
            partitions=PARTITIONS, inbox_secret=b"s" * 32, counts=DoorCounts(),
        )  # fmt: skip
        self.listener = MllpListener(acceptor, ListenerLimits(), acceptor.fairness)
        self.appender.start()

    def connect(self) -> tuple[MllpConnection, Wire]:
        connection, wire = MllpConnection(self.listener), Wire()
        connection.connection_made(wire)
        return connection, wire


class Try(msgspec.Struct, frozen=True):
    """One connection of the laboratory, and how it ends."""

    cut: int
    """After so many bytes of what it has to send."""
    piece: int
    """Bytes that come together."""
    turns: int
    """Turns of the loop before the cut: how much is answered by then."""
    unread: int
    """Answers that the cut took away from it."""
    doubt: str
    """Whether an append of it is in doubt: no, lost or stored."""


TRIES = st.lists(
    st.builds(
        Try,
        cut=st.integers(0, 6_000),
        piece=st.sampled_from([1, 7, 400, 5_000]),
        turns=st.integers(0, 12),
        unread=st.integers(0, 2),
        doubt=st.sampled_from(["no", "no", "lost", "stored"]),
    ),
    max_size=5,
)


def _message(number: int) -> bytes:
    # Corrections of one order: their order decides what is current.
    return message_of("LAB01", f"C-{number}") + b"NTE|9||%d\r" % number


UNCUT = Try(cut=1_000_000, piece=5_000, turns=0, unread=0, doubt="no")


async def _deliver(tries: list[Try], count: int, vault: Vault) -> FakeIntakeLog:
    """Send as a laboratory does: again from the first message that has no answer."""
    log = FakeIntakeLog(PARTITIONS)
    process = Process(log, vault)
    verdicts: dict[str, set[bytes]] = {}
    done = 0
    # What was in doubt may come out in the first of the connections that nobody cuts.
    for each in [*tries, UNCUT, UNCUT, UNCUT]:
        if each.doubt == "no":
            log.fail_next = None
        else:
            log.fail_next = UnknownResult("append_unknown", "nobody knows")
            log.store_before_failing = each.doubt == "stored"
        stream = b"".join(b"\x0b%b\x1c\r" % _message(number) for number in range(done, count))
        connection, wire = process.connect()
        for begin in range(0, min(each.cut, len(stream)), each.piece):
            if wire.is_open:
                connection.data_received(stream[begin : min(each.cut, begin + each.piece)])
        if each is UNCUT:
            async with asyncio.timeout(60):
                while wire.is_open and len(wire.answers()) < count - done:
                    await asyncio.sleep(0)
        else:
            for _ in range(each.turns):
                await asyncio.sleep(0)
        connection.connection_lost(None)
        seen = wire.answers()
        for answer in seen[: len(seen) - min(each.unread, len(seen))]:
            said = read_acknowledgement(answer.removeprefix(b"\x0b"))
            assert said.code == "AA"
            assert said.control_id == f"C-{done}", "answers come in order"
            verdicts.setdefault(said.control_id, set()).add(answer.split(b"|")[9])
            done += 1
        if process.appender.in_doubt.is_set():
            await process.appender.stop()
            process = Process(log, vault)
    await process.appender.stop()
    assert done == count
    assert all(len(names) == 1 for names in verdicts.values())
    return log


def _first_records(log: FakeIntakeLog, vault: Vault) -> list[str]:
    seen: dict[object, str] = {}
    for record in log.lanes[partition_of("LAB01", PARTITIONS)]:
        held = AcceptedMessage.from_bytes(vault.open(record.payload, record.message_id.bytes))
        seen.setdefault(record.inbox_key, held.control_id)
    return list(seen.values())


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(FolderKeyStore(tmp_path_factory.mktemp("keys")), SystemClock())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tries=TRIES, count=st.integers(1, 8))
def test_any_cut_and_any_doubt_plus_resend_give_the_same_final_state(
    vault: Vault, tries: list[Try], count: int
) -> None:
    log = asyncio.run(_deliver(tries, count, vault))
    assert _first_records(log, vault) == [f"C-{number}" for number in range(count)]
