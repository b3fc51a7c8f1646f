"""What outlives a try: withdrawals after long, answers that never came, a start from the start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ops.bootstrap import Hub
from ops.receivers import changes, routes
from ops.receivers.leading import Couriers
from ops.receivers.receiver import Kind
from ops.runtime.postgres import lent
from ops.runtime.vault import SealClass
from routing.fhir import Parts
from schemas.envelope import control_key_of
from schemas.errors import PermanentError
from schemas.events import EventKind
from schemas.topics import Stream
from tests.support.hub import scratch_hub
from tests.support.postgres import Database
from tests.support.receiving import (
    ASKER,
    Asked,
    Target,
    Told,
    added,
    couriers,
    deliveries,
    emit,
    event,
    serving,
    until_states,
)


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as made:
        yield made


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    await made.start()
    yield made
    await made.stop()


async def operate(hub: Hub, work: Any) -> Any:
    async with lent(hub.pool) as connection:
        return await work(connection)


async def run(hub: Hub, statement: str, *given: object) -> None:
    await operate(hub, lambda c: c.execute(statement, *given))


def bundle_event(
    number: int, version: int = 1, observations: int = 1, kind: EventKind = EventKind.PUBLISHED
) -> Any:
    """An event of a dossier whose report has so many observations."""
    whose = Parts(UUID(int=number))
    found = [
        (Parts.REPORT, {"resourceType": "DiagnosticReport", "status": "final"}),
        (Parts.SPECIMEN, {"resourceType": "Specimen"}),
    ]
    for place in range(observations):
        value = {"resourceType": "Observation", "status": "final", "valueString": "a value"}
        found.append((Parts.OBSERVATIONS + place, value))
    entries = [{"fullUrl": whose.urn(at), "resource": resource} for at, resource in found]
    body = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return event(number, version, stream=Stream.DOSSIER, kind=kind, body=body)


def told_by(asked: Asked) -> list[tuple[str, str | None]]:
    """Type and status of what a transaction puts."""
    resources = [entry["resource"] for entry in asked.json["entry"]]
    return sorted((each["resourceType"], each.get("status")) for each in resources)


async def add_fhir(hub: Hub, target: Target) -> None:
    await added(hub, "dmp", target.url, kind=Kind.FHIR, stream=Stream.DOSSIER, given=b"token")


# ---------------------------------------------------------------- what stands at a FHIR server


async def test_after_years_a_withdrawal_takes_back_every_observation_that_was_ever_put(
    hub: Hub, database: Database, target: Target
) -> None:
    await add_fhir(hub, target)
    await emit(hub, [bundle_event(1, observations=3), bundle_event(2), bundle_event(4)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "dmp", lambda f: list(f.values()) == ["accepted"] * 3)
        await emit(hub, [bundle_event(1, 2, kind=EventKind.REVISED),
                         bundle_event(2, 2, kind=EventKind.WITHDRAWN)])  # fmt: skip
        await until_states(hub, "dmp", lambda f: list(f.values()) == ["accepted"] * 5)
    hub.vault.destroy(SealClass.STREAM, hub.clock.now().date())
    await run(hub, "UPDATE delivery SET ended_at = now() - interval '2 years'")
    async with serving(hub, database.connect_kwargs):
        found = await until_states(hub, "dmp", lambda f: len(f) == 2)
        assert set(found) == {(1, 2), (4, 1)}, "what stands there is known at whatever age"
        await emit(hub, [bundle_event(1, 3, kind=EventKind.WITHDRAWN)])
        await until_states(hub, "dmp", lambda f: f.get((1, 3)) == "accepted")
        gone = "entered-in-error"
        assert told_by(target.asked[-1]) == [
            ("DiagnosticReport", gone), *[("Observation", gone)] * 3, ("Specimen", gone)
        ]  # fmt: skip
        assert b"a value" not in target.asked[-1].body
        await run(hub, "UPDATE delivery SET ended_at = now() - interval '2 years'")
        await until_states(hub, "dmp", lambda f: list(f) == [(4, 1)])
    await operate(hub, lambda c: changes.remove(c, hub.vault, "dmp", ASKER))
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "dmp", lambda f: not f)


async def test_what_follows_a_try_without_an_answer_waits_until_that_can_arrive_no_more(
    hub: Hub, database: Database, target: Target
) -> None:
    """A FHIR server that is slow would else put the result over its withdrawal."""
    slow = asyncio.Event()

    async def silent_once(_: Asked) -> Told:
        if not slow.is_set():
            slow.set()
            return Told(status=-1)
        return Told()

    target.behaviour = silent_once
    await add_fhir(hub, target)
    await emit(hub, [bundle_event(1), bundle_event(2)])
    async with serving(
        hub, database.connect_kwargs, push_timeout_seconds=0.5, push_settle_seconds=2,
        push_in_flight=1, push_retry_seconds=30.0, push_rest_cap_seconds=0.1,
    ):  # fmt: skip
        async with asyncio.timeout(60):
            while not [row for row in await deliveries(hub, "dmp") if row["unsure_at"]]:
                await asyncio.sleep(0.02)
        (unsure,) = [row for row in await deliveries(hub, "dmp") if row["unsure_at"]]
        number = unsure["report_id"].int
        await emit(hub, [bundle_event(number, 2, kind=EventKind.WITHDRAWN)])
        found = await until_states(hub, "dmp", lambda f: f.get((number, 2)) == "accepted")
    assert found[number, 1] == "superseded"
    (after,) = [row for row in await deliveries(hub, "dmp") if row["event_version"] == 2]
    assert after["tried_at"] - unsure["unsure_at"] >= timedelta(seconds=2)


async def test_a_leader_that_was_killed_may_have_had_an_older_version_under_way(
    hub: Hub, database: Database, target: Target
) -> None:
    await add_fhir(hub, target)
    await emit(hub, [bundle_event(1)])
    target.behaviour = lambda _: Told(status=503)
    async with serving(hub, database.connect_kwargs):
        await target.until(lambda: bool(target.asked))
    await run(hub, "UPDATE receiver SET resigned = false")
    await emit(hub, [bundle_event(1, 2, kind=EventKind.WITHDRAWN)])
    target.behaviour = lambda _: Told()
    async with serving(hub, database.connect_kwargs, push_settle_seconds=2):
        await until_states(hub, "dmp", lambda f: f.get((1, 2)) == "accepted")
    first, second = await deliveries(hub, "dmp")
    assert second["tried_at"] - first["unsure_at"] >= timedelta(seconds=2)


# ---------------------------------------------------------------- from the start, dead letters


async def test_from_the_start_all_that_is_left_is_sent_again_and_nothing_old_over_newer(
    hub: Hub, database: Database, target: Target
) -> None:
    target.behaviour = lambda asked: Told(status=422 if asked.json["body"] == {
        "number": 3, "v": 1} else 200)  # fmt: skip
    await added(hub, "one", target.url)
    await emit(hub, [event(1), event(2), event(3)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "one", lambda f: sorted(f.values()) == ["accepted"] * 2 + ["dead"])
        await emit(hub, [event(1, 2, kind=EventKind.WITHDRAWN)])
        await until_states(hub, "one", lambda f: f.get((1, 2)) == "accepted")
    before = len(target.asked)
    target.behaviour = lambda _: Told()
    await operate(hub, lambda c: changes.pause(c, "one", ASKER))
    await operate(hub, lambda c: changes.resume(c, "one", "start", ASKER))
    async with serving(hub, database.connect_kwargs):
        await target.until(lambda: len(target.asked) >= before + 3)
        await until_states(hub, "one", lambda f: "waiting" not in f.values())
    told = [(asked.json["report_id"], asked.json["event_version"]) for asked in target.asked]
    again = sorted((UUID(report).int, version) for report, version in told[before:])
    assert again == [(1, 2), (2, 1), (3, 1)]


async def test_from_the_start_a_newer_version_of_one_condition_passes_over_none_of_another(
    hub: Hub, database: Database, target: Target
) -> None:
    flu, rsv = "influenza-a", "rsv"
    await added(hub, "one", target.url)
    await emit(hub, [event(1, part=flu), event(1, part=rsv)])
    async with serving(hub, database.connect_kwargs):
        await target.until(lambda: len(target.asked) == 2)
        await emit(hub, [event(1, 2, part=flu)])
        await target.until(lambda: len(target.asked) == 3)
    await operate(hub, lambda c: changes.pause(c, "one", ASKER))
    await operate(hub, lambda c: changes.resume(c, "one", "start", ASKER))
    async with serving(hub, database.connect_kwargs):
        await target.until(lambda: len(target.asked) >= 5)
    told = [(asked.json["part"], asked.json["event_version"]) for asked in target.asked]
    assert sorted(told[3:]) == [(flu, 2), (rsv, 1)]
    held = {
        (row["part"], row["event_version"]): row["state"] for row in await deliveries(hub, "one")
    }
    assert held == {(flu, 1): "accepted", (flu, 2): "accepted", (rsv, 1): "accepted"}


async def test_a_dead_letter_never_follows_what_the_stream_told_since(
    hub: Hub, database: Database, target: Target
) -> None:
    """Also where the row of the newer version is gone by its age."""
    target.behaviour = lambda _: Told(status=422)
    await added(hub, "one", target.url)
    await emit(hub, [event(1), event(2)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "one", lambda f: list(f.values()) == ["dead"] * 2)
    await run(
        hub,
        "INSERT INTO emitted (report_id, stream, event_version, published, addressee, body_digest)"
        " SELECT v.report, 'public-health', v.version, true, '', v.report"
        " FROM (VALUES ($1::uuid, 2), ($2::uuid, 1)) AS v (report, version)",
        UUID(int=1), UUID(int=2),
    )  # fmt: skip
    done = await operate(hub, lambda c: changes.end_dead(c, "one", None, again=True, asker=ASKER))
    assert done == {"superseded": 1, "waiting": 1}


async def test_a_dead_letter_follows_what_was_told_of_another_part_or_under_another_id(
    hub: Hub, database: Database, target: Target
) -> None:
    """HIV is told under an id of its own (9); what takes back the report's own id must still go."""
    flu, rsv, hiv, gone = "influenza-a", "rsv", "hiv", EventKind.WITHDRAWN
    target.behaviour = lambda _: Told(status=422)
    await added(hub, "one", target.url)
    await emit(hub, [
        event(1, part=flu), event(1, part=rsv), event(2, part=hiv),
        event(3, 2, kind=gone, part=hiv), event(9, 3, part=hiv),
    ])  # fmt: skip
    async with serving(hub, database.connect_kwargs):
        await target.until(lambda: len(target.asked) == 5)
    await run(
        hub,
        "INSERT INTO emitted (report_id, stream, part, told_as, event_version, published,"
        " addressee, body_digest)"
        " SELECT v.report, 'public-health', v.part, v.told_as, v.version, true, '', v.report"
        " FROM (VALUES ($1::uuid, 'influenza-a', NULL::uuid, 2), ($1, 'rsv', NULL, 1),"
        " ($2::uuid, 'hiv', $5::uuid, 3), ($3::uuid, 'hiv', $5, 3), ($4::uuid, 'hiv', $5, 4))"
        " AS v (report, part, told_as, version)",
        UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4), UUID(int=9),
    )  # fmt: skip
    await operate(hub, lambda c: changes.end_dead(c, "one", None, again=True, asker=ASKER))
    found = {
        (row["report_id"].int, row["part"]): row["state"] for row in await deliveries(hub, "one")
    }
    assert found == {
        (1, flu): "superseded", (1, rsv): "waiting", (2, hiv): "superseded",
        (3, hiv): "waiting", (9, hiv): "superseded",
    }  # fmt: skip


async def test_one_that_nobody_can_read_is_a_dead_letter_and_others_go_on(
    hub: Hub, database: Database, target: Target
) -> None:
    await added(hub, "one", target.url)
    await emit(hub, [event(number) for number in range(1, 6)])
    await run(hub, r"UPDATE stream_event SET payload = '\x00' WHERE report_id = $1", UUID(int=2))
    async with serving(hub, database.connect_kwargs):
        found = await until_states(
            hub, "one", lambda f: len(f) == 5 and "waiting" not in f.values()
        )
    assert found.pop((2, 1)) == "dead"
    assert list(found.values()) == ["accepted"] * 4
    (dead,) = [row for row in await deliveries(hub, "one") if row["state"] == "dead"]
    assert (dead["protocol"], dead["code"]) == ("hub", "unreadable_payload")


# ---------------------------------------------------------------- secrets and later words


async def test_a_secret_changes_whatever_another_rotation_left(hub: Hub, target: Target) -> None:
    made = await added(hub, "one", target.url)
    hub.vault.keep_secret(f"receiver-{made.receiver_id}-2", b"of one that was rolled back")

    async def rotate(secret: bytes) -> None:
        await operate(hub, lambda c: changes.rotate(
            c, hub.vault, "one", given=secret, until=hub.clock.now(), asker=ASKER))  # fmt: skip

    await asyncio.gather(rotate(b"a" * 32), rotate(b"b" * 32))
    held = await operate(hub, lambda c: changes.known(c, "one"))
    assert (held.secret_version, held.old_secret_version) == (3, 2)
    secrets = {hub.vault.kept_secret(f"receiver-{made.receiver_id}-{n}") for n in (2, 3)}
    assert secrets == {b"a" * 32, b"b" * 32}


async def test_a_control_id_that_every_laboratory_uses_joins_nothing(
    hub: Hub, target: Target
) -> None:
    made = await added(hub, "one", target.url)
    await run(
        hub,
        'INSERT INTO outcome (partition, "offset", message_id, lab_id, control_key, ending,'
        " received_at, decided_at)"
        " SELECT 0, n, gen_random_uuid(), 1, $1, 'dispatched', now(), now()"
        " FROM generate_series(1, 60) AS n",
        control_key_of("1"),
    )
    with pytest.raises(PermanentError, match="several_originals"):
        await operate(hub, lambda c: routes.events_of(c, made.receiver_id, "1"))
    with pytest.raises(PermanentError, match="no_such_original"):
        await operate(hub, lambda c: routes.events_of(c, made.receiver_id, "2"))


# ---------------------------------------------------------------- what goes wrong beside


async def test_an_error_that_nobody_foresaw_does_not_end_the_look_at_the_streams(
    hub: Hub, database: Database, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    await added(hub, "one", target.url)
    served: Couriers = couriers(hub, database.connect_kwargs)
    look, failures = served._reader.lanes, iter(range(3))

    async def lanes(stream: Stream) -> Any:
        if next(failures, None) is not None:
            raise KeyError(stream)
        return await look(stream)

    monkeypatch.setattr(served._reader, "lanes", lanes)
    stopping = asyncio.Event()
    task = asyncio.create_task(served.run(stopping))
    await emit(hub, [event(1)])
    await until_states(hub, "one", lambda f: list(f.values()) == ["accepted"])
    stopping.set()
    await task


class Wire:
    """Between a process and its database: cut, it says nothing and ends nothing."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._given = database.connect_kwargs
        self._folder = folder
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []
        self.connections = 0

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[dict[str, Any]]:
        port = self._given["port"]
        server = await asyncio.start_unix_server(
            self._serve, str(self._folder / f".s.PGSQL.{port}")
        )
        try:
            yield {**self._given, "host": str(self._folder)}
        finally:
            self.cut()
            server.close()
            for end in self._ends:
                end.close()
            for end in self._ends:
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    def cut(self) -> None:
        """What is laid now carries nothing more; what is laid anew does."""
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        path = f"{self._given['host']}/.s.PGSQL.{self._given['port']}"
        there, back = await asyncio.open_unix_connection(path)
        self._ends += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(_carried(source, sink)))


async def _carried(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # the other side has gone
        while piece := await source.read(65_536):
            sink.write(piece)
            await sink.drain()
    sink.close()


async def test_a_database_that_went_silent_is_asked_again(
    hub: Hub, database: Database, target: Target, tmp_path: Path
) -> None:
    await added(hub, "one", target.url)
    folder = tmp_path / "wire"
    folder.mkdir()
    wire = Wire(folder, database)
    async with wire.laid() as connect, serving(hub, connect):
        await emit(hub, [event(1)])
        await until_states(hub, "one", lambda f: list(f.values()) == ["accepted"])
        wire.cut()
        async with asyncio.timeout(60):
            while wire.connections < 2:
                await asyncio.sleep(0.05)
        # The server still holds the silent session, and its locks: as when a machine lost its wire.
        await run(hub, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                       " AND classid = 20262")  # fmt: skip
        await emit(hub, [event(2)])
        await until_states(hub, "one", lambda f: f.get((2, 1)) == "accepted")
