"""Files on a real database: answered in order, idempotent, going on where they were."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ingest.accept import Answer, Receipt
from ops.api import ApiParts, build_api
from ops.batches.batch import Batch
from ops.batches.door import BatchDoor, open_batch_door
from ops.batches.folder import FolderLimits, FolderWatch
from ops.batches.http import routes_of
from ops.batches.pace import Pace
from ops.batches.peer import ANYBODY, SenderDoor
from ops.batches.place import LabFolder, folder_name
from ops.batches.runner import BatchLimits, BatchRunner
from ops.batches.store import BatchStore
from ops.bootstrap import Door, Hub, open_door
from ops.proofs import Proofs
from ops.runtime import failpoints
from ops.runtime.settings import load_settings
from ops.simulate.sample import sample_message
from schemas.envelope import IntakeRecord, control_key_of
from schemas.errors import TransientError
from tests.support.hub import Road, scratch_hub
from tests.support.postgres import Database

LAB = "990010001"
ER7 = "application/hl7-v2+er7"
CANARY = "ZZCANARY"


class Place:
    """A hub with a door that is open, and what files need."""

    def __init__(self, hub: Hub, door: Door) -> None:
        self.hub = hub
        self.door = door
        self.road = Road(hub)
        self.store = BatchStore(hub.pool, hub.vault, hub.clock)

    def runner(self, *, patience_seconds: float = 60, window: int = 16) -> BatchRunner:
        pace = Pace(share=1, patience_seconds=patience_seconds, partitions=4, max_lag=100)
        limits = BatchLimits(
            max_message_bytes=100_000, window_messages=window, window_bytes=1_000_000
        )
        return BatchRunner(self.store, pace, limits, self.hub.clock)

    async def begin(self, content: bytes, name: str = "a.hl7") -> Batch:
        return await self.store.begin(
            door="http",
            sender="http",
            name=name,
            content=sha256(content).digest(),
            size_bytes=len(content),
        )

    def way_in(self, sender: str = ANYBODY) -> SenderDoor:
        return SenderDoor(self.door.acceptor, self.door.register, sender, "token")

    async def read(self, content: bytes, name: str = "a.hl7", **how: Any) -> Batch:
        batch = await self.begin(content, name)
        await self.runner(**how).run(batch, io.BytesIO(content), self.way_in())
        return batch

    async def answers(self, batch: Batch) -> bytes:
        return b"".join([piece async for piece in self.store.answers(batch)])

    async def order(self) -> list[int]:
        """The control keys of all records, in the order of the log."""
        await self.road.dispatch()
        query = 'SELECT control_key FROM outcome ORDER BY partition, "offset"'
        return [row["control_key"] for row in await self.road.rows(query)]

    async def in_log(self) -> int:
        return sum((await self.hub.log.end_offsets()).values())

    def watch(self, root: Path, **bounds: int) -> FolderWatch:
        limits = {"files": 100, "max_bytes": 1_000_000, "at_once": 4, "done_days": 7, **bounds}
        return FolderWatch(
            root,
            store=self.store,
            runner=self.runner(),
            door_of=lambda lab: SenderDoor(self.door.acceptor, self.door.register, lab, "folder"),
            limits=FolderLimits(poll_seconds=0.05, **limits),
        )


@pytest.fixture
async def place(database: Database, tmp_path: Path) -> AsyncIterator[Place]:
    async with scratch_hub(database, tmp_path) as hub:
        door = await open_door(hub)
        door.appender.start()
        yield Place(hub, door)
        await door.appender.stop()


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def numbered(number: int, facility: str = LAB) -> bytes:
    raw = sample_message().replace(b"L0001-20260306-0001", b"M-%d" % number)
    raw = raw.replace(b"LAB-5567", b"LAB-%d" % number)
    return raw.replace(b"|990010001|", b"|%b|" % facility.encode())


def file_of(*messages: bytes, said: int | None = None) -> bytes:
    head = b"FHS|^~\\&|KALIUM|990010001|HUB|HUB|20260306||f.hl7||F-1\r"
    head += b"BHS|^~\\&|KALIUM|990010001|HUB|HUB|20260306||||B-1\r"
    count = len(messages) if said is None else said
    return head + b"".join(messages) + b"BTS|%d\rFTS|1\r" % count


def told(answer: bytes) -> list[str]:
    """MSA of each acknowledgement, in order, as `AA M-1`."""
    lines = [line.split(b"|") for line in answer.split(b"\r") if line.startswith(b"MSA")]
    return [f"{line[1].decode()} {line[2].decode()}" for line in lines]


async def test_the_answer_has_one_acknowledgement_a_message_in_order(place: Place) -> None:
    refused = numbered(3).replace(b"\rPID|", b"\rZID|")
    content = file_of(numbered(1), numbered(2), refused, numbered(4))
    batch = await place.read(content)
    answer = await place.answers(batch)
    assert told(answer) == ["AA M-1", "AA M-2", "AE M-3", "AA M-4"]
    lines = answer.rstrip(b"\r").split(b"\r")
    assert lines[0].startswith(b"FHS|^~\\&|HUB|HUB|KALIUM|990010001|") and lines[0].endswith(
        b"|F-1"
    )
    assert lines[1].startswith(b"BHS|^~\\&|HUB|HUB|KALIUM|990010001|") and lines[1].endswith(
        b"|B-1"
    )
    assert lines[-2:] == [b"BTS|4", b"FTS|1"]
    assert (batch.state, batch.counts.AA, batch.counts.AE, batch.counts.AR) == ("done", 3, 1, 0)
    assert await place.in_log() == 4
    assert batch.reading.reader.findings == []


async def test_the_same_file_again_is_answered_the_same_and_nothing_is_appended(
    place: Place,
) -> None:
    content = file_of(numbered(1), numbered(2))
    first = await place.read(content)
    second = await place.read(content)
    assert second.batch_id == first.batch_id
    assert await place.answers(second) == await place.answers(first)
    assert await place.in_log() == 2


async def test_another_file_under_the_same_name_is_another_batch_with_a_finding(
    place: Place,
) -> None:
    await place.read(file_of(numbered(1)))
    other = await place.read(file_of(numbered(2)))
    assert [found.code for found in other.reading.reader.findings] == ["batch_name_reused"]
    assert (await place.answers(other)).endswith(
        b"BTS|1|batch_name_reused\rFTS|1|batch_name_reused\r"
    )
    assert [b.state for b in await place.store.recent(10)] == ["done", "done"]


async def test_counts_that_differ_are_told_and_good_messages_go_through(place: Place) -> None:
    batch = await place.read(file_of(numbered(1), numbered(2), said=5))
    assert told(await place.answers(batch)) == ["AA M-1", "AA M-2"]
    (found,) = batch.reading.reader.findings
    assert (found.code, found.said, found.found) == ("batch_count_differs", 5, 2)
    assert b"\rBTS|2|batch_count_differs\r" in await place.answers(batch)


async def test_a_message_that_is_too_large_gets_its_own_answer(place: Place) -> None:
    large = numbered(2) + b"NTE|1|L|" + b"x" * 200_000 + b"\r"
    batch = await place.read(numbered(1) + large + numbered(3))
    assert told(await place.answers(batch)) == ["AA M-1", "AR M-2", "AA M-3"]
    assert await place.in_log() == 2


@pytest.mark.parametrize("failpoint", ["after_window", "after_checkpoint", "after_done"])
async def test_a_reading_that_was_cut_goes_on_where_it_was(
    place: Place, failpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every message ends once, each has one answer, and what was kept is not answered again."""
    monkeypatch.setattr("ops.batches.runner._CHECKPOINT_MESSAGES", 40)
    messages = [numbered(number) for number in range(200)]
    content = file_of(*messages)
    failpoints.arm(f"batch.{failpoint}=raise@{1 if failpoint == 'after_done' else 3}")
    batch = await place.begin(content)
    with pytest.raises(failpoints.FailpointError):
        await place.runner().run(batch, io.BytesIO(content), place.way_in())
    kept = await place.begin(content)
    before = await place.answers(kept)
    assert told(before), "something was kept"
    again = await place.read(content)
    assert again.batch_id == batch.batch_id and again.state == "done"
    answer = await place.answers(again)
    assert answer.startswith(before)
    assert told(answer) == [f"AA M-{number}" for number in range(200)]
    assert answer.endswith(b"BTS|200\rFTS|1\r")
    await place.road.dispatch()
    endings = await place.road.endings()
    assert len(endings) == await place.in_log()
    assert sum(ending != ("duplicate", "same_message") for ending in endings) == 200


async def test_what_reads_a_file_at_the_same_time_is_overtaken_and_keeps_nothing(
    place: Place,
) -> None:
    content = file_of(numbered(1))
    slow, quick = await place.begin(content), await place.begin(content)
    await place.runner().run(quick, io.BytesIO(content), place.way_in())
    with pytest.raises(TransientError, match="batch_overtaken"):
        await place.runner().run(slow, io.BytesIO(content), place.way_in())
    assert told(await place.answers(quick)) == ["AA M-1"]


async def test_the_oldest_file_without_its_whole_answer_is_known(place: Place) -> None:
    assert await place.store.oldest_seconds() == 0.0
    content = file_of(numbered(1))
    waiting = await place.begin(content, "waits.hl7")
    await place.read(file_of(numbered(2)), "done.hl7")
    oldest = await place.store.oldest_seconds()
    assert 0.0 < oldest < 3_600.0
    await place.runner().run(waiting, io.BytesIO(content), place.way_in())
    assert await place.store.oldest_seconds() == 0.0


async def test_a_closed_door_is_waited_for_and_no_message_overtakes_another(place: Place) -> None:
    messages = [numbered(number) for number in range(30)]
    place.door.acceptor.closed_reason = "disk_low"
    reading = asyncio.ensure_future(place.read(b"".join(messages)))
    await asyncio.sleep(0.3)
    assert not reading.done() and await place.in_log() == 0
    place.door.acceptor.closed_reason = ""
    batch = await reading
    assert told(await place.answers(batch)) == [f"AA M-{number}" for number in range(30)]
    assert batch.counts.AR == 0
    assert await place.order() == [control_key_of(f"M-{number}") for number in range(30)]


async def test_an_append_that_fails_is_tried_again_and_no_message_overtakes_another(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits behind a failed append fails too; all of it is sent again in its order."""
    log = place.hub.log
    real, calls = log.append, 0

    async def append(records: Sequence[IntakeRecord]) -> list[int]:
        nonlocal calls
        calls += 1
        if calls in {2, 3, 6}:
            await asyncio.sleep(0.02)
            raise TransientError("database_away")
        return await real(records)

    monkeypatch.setattr(log, "append", append)
    batch = await place.read(b"".join(numbered(number) for number in range(120)), window=8)
    assert calls > 6
    assert told(await place.answers(batch)) == [f"AA M-{number}" for number in range(120)]
    assert await place.order() == [control_key_of(f"M-{number}") for number in range(120)]


async def test_patience_has_an_end_and_the_file_keeps_its_place(place: Place) -> None:
    place.door.acceptor.closed_reason = "disk_low"
    with pytest.raises(TransientError, match="batch_waits"):
        await place.read(numbered(1), patience_seconds=0.01)
    place.door.acceptor.closed_reason = ""
    assert told(await place.answers(await place.read(numbered(1)))) == ["AA M-1"]


async def test_an_unknown_result_is_not_answered(place: Place) -> None:
    class InDoubt:
        async def pause(self) -> None:
            pass

        def receive(self, raw: bytes) -> Receipt:
            return Receipt(Answer(close=True))

        def turn_away(self, reason: str, head: bytes) -> Receipt | None:
            raise AssertionError

    batch = await place.begin(numbered(1))
    with pytest.raises(TransientError, match="append_unknown"):
        await place.runner().run(batch, io.BytesIO(numbered(1)), InDoubt())
    assert (await place.begin(numbered(1))).pieces == 0


async def test_no_clear_name_and_no_value_stands_in_the_tables(place: Place) -> None:
    raw = (
        numbered(1).replace(b"PAT-TROIS", CANARY.encode()).replace(b"M-1|", CANARY.encode() + b"|")
    )
    await place.read(file_of(raw), name=f"{CANARY}.hl7")
    for table in ("batch", "batch_answer"):
        for row in await place.road.rows(f"SELECT {table}::text AS row FROM {table}"):
            assert CANARY not in row["row"] and CANARY.encode().hex() not in row["row"]
    assert CANARY not in repr(await place.store.recent(5))


async def test_batches_go_when_their_retention_has_passed(place: Place) -> None:
    await place.read(numbered(1))
    assert await place.store.purge(timedelta(days=1)) == 0
    assert await place.store.purge(timedelta(0)) == 1
    assert await place.road.rows("SELECT 1 FROM batch_answer") == []


# ---------------------------------------------------------------------- folder


def lab_folder(root: Path, registry_id: str = LAB) -> LabFolder:
    folder = LabFolder(root / folder_name(registry_id))
    folder.path.mkdir(parents=True)
    folder.prepare()
    return folder


def put(folder: LabFolder, name: str, content: bytes) -> None:
    scratch = folder["in"] / f".{name}.writing"
    scratch.write_bytes(content)
    scratch.rename(folder["in"] / name)


def names(folder: LabFolder, part: str) -> list[str]:
    return sorted(path.name for path in folder[part].iterdir())


async def look(watch: FolderWatch) -> None:
    await watch.look()
    await watch.idle()


async def test_a_file_that_is_renamed_in_is_read_answered_and_put_away(
    place: Place, tmp_path: Path
) -> None:
    folder = lab_folder(tmp_path / "root")
    put(folder, "a.hl7", file_of(numbered(1), numbered(2)))
    await look(place.watch(tmp_path / "root"))
    assert [names(folder, part) for part in ("in", "work", "done", "failed", "out")] == [
        [], [], ["a.hl7"], [], ["a.hl7.ack"],
    ]  # fmt: skip
    assert told((folder["out"] / "a.hl7.ack").read_bytes()) == ["AA M-1", "AA M-2"]
    # The same file again: the same answer, nothing appended, nothing overwritten.
    put(folder, "a.hl7", file_of(numbered(1), numbered(2)))
    await look(place.watch(tmp_path / "root"))
    assert len(names(folder, "done")) == 2 and await place.in_log() == 2


@pytest.mark.parametrize("name", [".a.hl7", "a.part", "a.TMP", "a.hl7.filepart"])
async def test_a_file_without_its_final_name_is_never_read(
    place: Place, tmp_path: Path, name: str
) -> None:
    folder = lab_folder(tmp_path / "root")
    (folder["in"] / name).write_bytes(file_of(numbered(1)))
    await look(place.watch(tmp_path / "root"))
    assert names(folder, "in") == [name] and names(folder, "out") == []


async def test_links_special_files_and_what_is_too_large_are_put_aside_unread(
    place: Place, tmp_path: Path
) -> None:
    folder = lab_folder(tmp_path / "root")
    secret = tmp_path / "secret"
    secret.write_bytes(numbered(1))
    (folder["in"] / "link.hl7").symlink_to(secret)
    os.mkfifo(folder["in"] / "pipe.hl7")
    put(folder, "large.hl7", b"x" * 2_000)
    put(folder, "with space.hl7", numbered(2))
    (folder["in"] / "folder.hl7").mkdir()
    await look(place.watch(tmp_path / "root", max_bytes=1_000))
    assert names(folder, "failed") == ["large.hl7", "link.hl7", "pipe.hl7", "with space.hl7"]
    assert names(folder, "out") == ["large.hl7.ack", "link.hl7.ack", "pipe.hl7.ack"]
    assert b"batch_file_refused" in (folder["out"] / "large.hl7.ack").read_bytes()
    assert await place.in_log() == 0 and secret.exists()


async def test_a_folder_proves_the_sender(place: Place, tmp_path: Path) -> None:
    folder = lab_folder(tmp_path / "root")
    put(folder, "a.hl7", numbered(1) + numbered(2, "990010002") + numbered(3))
    await look(place.watch(tmp_path / "root"))
    answer = (folder["out"] / "a.hl7.ack").read_bytes()
    assert told(answer) == ["AA M-1", "AR M-2", "AA M-3"]
    assert b"facility_not_yours" in answer
    assert place.door.counts.take() == {("AR", "facility_not_yours"): 1}


async def test_a_folder_that_another_process_holds_is_left_alone(
    place: Place, tmp_path: Path
) -> None:
    folder = lab_folder(tmp_path / "root")
    put(folder, "a.hl7", numbered(1))
    with folder.locked() as is_ours:
        assert is_ours
        await look(place.watch(tmp_path / "root"))
        assert names(folder, "in") == ["a.hl7"]
    await look(place.watch(tmp_path / "root"))
    assert names(folder, "out") == ["a.hl7.ack"]


async def test_what_was_begun_is_finished_first(place: Place, tmp_path: Path) -> None:
    folder = lab_folder(tmp_path / "root")
    put(folder, "b.hl7", numbered(2))
    (folder["work"] / "a.hl7").write_bytes(numbered(1))
    (folder["out"] / ".a.hl7.ack.tmp").write_bytes(b"half")
    await look(place.watch(tmp_path / "root"))
    assert names(folder, "out") == ["a.hl7.ack", "b.hl7.ack"]
    await place.road.dispatch()
    assert names(folder, "work") == []


async def test_who_was_not_visited_for_longest_comes_first(place: Place, tmp_path: Path) -> None:
    root = tmp_path / "root"
    folders = [lab_folder(root, f"99001000{number}") for number in range(3)]
    watch = place.watch(root, at_once=1)
    served = []
    for turn in range(6):
        for number, folder in enumerate(folders):
            put(folder, f"{turn}.hl7", numbered(turn, f"99001000{number}"))
        await look(watch)
        served.append([len(names(folder, "out")) for folder in folders])
    assert served[2] == [1, 2, 3], "each once in three turns, with all that waited"
    assert min(served[5]) >= 4


async def test_files_put_away_are_removed_after_their_days(place: Place, tmp_path: Path) -> None:
    folder = lab_folder(tmp_path / "root")
    old = folder["done"] / "old.hl7"
    old.write_bytes(b"")
    at = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    os.utime(old, (at, at))
    put(folder, "a.hl7", numbered(1))
    await look(place.watch(tmp_path / "root"))
    assert names(folder, "done") == ["a.hl7"]


@pytest.mark.parametrize("registry_id", ["990010001", "LAB ^1.2.3", "A/B", ".HIDDEN", "É%20"])
def test_every_registry_id_has_a_folder_name(registry_id: str) -> None:
    name = folder_name(registry_id)
    assert "/" not in name and not name.startswith(".")
    folder = LabFolder(Path(name))
    assert folder.registry_id == registry_id and folder.is_named_well


# ---------------------------------------------------------------------- HTTP


class Http:
    """The routes on a hub, without sockets."""

    def __init__(self, files: BatchDoor, client: httpx.AsyncClient) -> None:
        self.files = files
        self.client = client

    async def post(self, content: bytes, query: str = "", **headers: str) -> httpx.Response:
        return await self.client.post(
            f"/v1/batches{query}",
            content=content,
            headers={"Content-Type": ER7, **{k.replace("_", "-"): v for k, v in headers.items()}},
        )


@pytest.fixture
async def http(place: Place, tmp_path: Path) -> AsyncIterator[Http]:
    settings = load_settings(
        data_dir=tmp_path, batch_max_bytes=1_000_000, batch_answer_seconds=60, batch_share=1
    )
    files = open_batch_door(msgspec.structs.replace(place.hub, settings=settings), place.door)
    parts = ApiParts(
        messages=None,  # type: ignore[arg-type]
        tokens={},
        read_conformance=None,  # type: ignore[arg-type]
        max_body_bytes=10_000,
        more_routes=routes_of(files, Proofs(place.door.register, None)),
        readiness=None,  # type: ignore[arg-type]
    )
    transport = httpx.ASGITransport(app=build_api(parts))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        yield Http(files, client)


async def test_a_posted_file_is_answered_with_its_acknowledgements(
    http: Http, tmp_path: Path
) -> None:
    content = file_of(*(numbered(number) for number in range(20)))
    assert len(content) > 10_000, "larger than one message may be"
    answer = await http.post(content, Idempotency_Key="day-1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, ER7)
    assert told(answer.content) == [f"AA M-{number}" for number in range(20)]
    location = answer.headers["location"]
    shown = (await http.client.get(location)).json()
    assert (shown["state"], shown["name"], shown["answers"]["AA"]) == ("done", "day-1", 20)
    assert (await http.client.get(f"{location}/ack")).content == answer.content
    again = await http.post(content, "?name=day-1", Accept="application/json")
    assert f"/v1/batches/{again.json()['batch_id']}" == location
    assert list((tmp_path / "batches").iterdir()) == [], "nothing is left in the spool"


async def test_what_cannot_be_taken_is_answered_so(http: Http, place: Place) -> None:
    too_large = await http.post(b"x" * 1_100_000)
    assert too_large.status_code == 413
    wrong = await http.client.post("/v1/batches", content=b"x", headers={"Content-Type": "a/b"})
    assert wrong.status_code == 415
    assert (await http.post(b"x", "?name=../../etc")).status_code == 400
    unknown = await http.client.get("/v1/batches/019ac8b5-0000-7000-8000-000000000000")
    assert unknown.status_code == 404
    place.door.acceptor.closed_reason = "disk_low"
    closed = await http.post(numbered(1))
    assert (closed.status_code, closed.headers["retry-after"]) == (503, "5")
    assert await place.in_log() == 0


async def test_what_takes_longer_is_202_and_goes_on(
    http: Http, place: Place, tmp_path: Path
) -> None:
    class Closing:
        async def pause(self) -> None:
            pass

        def receive(self, raw: bytes) -> Receipt:
            place.door.acceptor.closed_reason = "disk_low" if not opened.is_set() else ""
            return place.door.acceptor.receive(raw)

        def turn_away(self, reason: str, head: bytes) -> Receipt | None:
            raise AssertionError

    opened = asyncio.Event()
    http.files.uploads._door_of = lambda _: Closing()
    files = msgspec.structs.replace(
        http.files, settings=http.files.settings.model_copy(update={"batch_answer_seconds": 0.05})
    )
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(
            app=build_api(
                ApiParts(
                    messages=None, tokens={}, read_conformance=None,  # type: ignore[arg-type]
                    max_body_bytes=10_000, readiness=None,  # type: ignore[arg-type]
                    more_routes=routes_of(files, Proofs(place.door.register, None)),
                )
            )
        ),
        base_url="http://hub",
    )  # fmt: skip
    async with client:
        answer = await client.post(
            "/v1/batches", content=numbered(1), headers={"Content-Type": ER7}
        )
        assert (answer.status_code, answer.json()["state"]) == (202, "reading")
        location = answer.headers["location"]
        assert (await client.get(f"{location}/ack")).status_code == 409
        opened.set()
        while (await client.get(location)).json()["state"] != "done":
            await asyncio.sleep(0.05)
        assert told((await client.get(f"{location}/ack")).content) == ["AA M-1"]


async def test_a_spooled_file_is_read_after_a_restart(
    http: Http, place: Place, tmp_path: Path
) -> None:
    content = file_of(numbered(1))
    batch = await place.begin(content)
    (tmp_path / "batches" / f"{batch.batch_id}.hl7").write_bytes(content)
    (tmp_path / "batches" / "019ac8b5-0000-7000-8000-000000000000.part").write_bytes(b"half")
    going_on = asyncio.ensure_future(http.files.uploads.go_on())
    try:
        while (await place.begin(content)).state != "done":
            await asyncio.sleep(0.05)
        while list((tmp_path / "batches").iterdir()):
            await asyncio.sleep(0.05)
    finally:
        going_on.cancel()
        await asyncio.gather(going_on, return_exceptions=True)
    assert told(await place.answers(await place.begin(content))) == ["AA M-1"]


async def test_a_file_whose_spool_was_lost_goes_on_with_the_same_bytes_sent_again(
    http: Http, place: Place
) -> None:
    content = file_of(numbered(1))
    begun = await place.begin(content, "day-1")
    answer = await http.post(content, "?name=day-1")
    assert answer.headers["location"] == f"/v1/batches/{begun.batch_id}"
    assert told(answer.content) == ["AA M-1"]


async def test_a_body_that_comes_too_slowly_or_finds_no_room_leaves_nothing(
    http: Http, place: Place, tmp_path: Path
) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"MSH|"
        await asyncio.Event().wait()

    async def some() -> AsyncIterator[bytes]:
        yield b"MSH|"

    uploads = http.files.uploads
    uploads._limits = msgspec.structs.replace(uploads._limits, chunk_seconds=0.05)
    with pytest.raises(TransientError, match="batch_slow"):
        await uploads.take("", "http", stuck())
    uploads._limits = msgspec.structs.replace(uploads._limits, chunk_seconds=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.batches.uploads.has_room", lambda *_: False)
        with pytest.raises(TransientError, match="disk_low"):
            await uploads.take("", "http", some())
    uploads._limits = msgspec.structs.replace(uploads._limits, uploads=0)
    with pytest.raises(TransientError, match="batch_uploads"):
        await uploads.take("", "http", some())
    assert list((tmp_path / "batches").iterdir()) == []
