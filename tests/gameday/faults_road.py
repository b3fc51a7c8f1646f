"""What the road stands on goes: brokers, database, disk; a slow database; a mad laboratory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.support.postgres import connected

from .fault import Fault, Panel, Step
from .laboratories import Mad
from .stage import LEAST_BYTES, Stage

_FILLER: Final = "core.4711"
_LATE_SECONDS: Final = 0.25
_FLOODS: Final = Path(__file__).parents[2] / "docs" / "runbooks" / "laboratory-floods.md"


# ------------------------------------------------------------------ the broker


def _kill_brokers(stage: Stage) -> None:
    for broker in stage.kafka.ids:
        stage.kafka.kill(broker)


def _no_broker_runs(stage: Stage) -> None:
    """All processes are without an answer, and the door says that its log is away."""
    status, said = stage.readyz()
    assert status == 503 and "intake log" in said, (status, said)
    said_why = {
        event["reason"]
        for event in map(json.loads, stage.log("ingest").splitlines())
        if event["event"] == "door_closed"
    }
    # One with an append under way ends and starts again: then it is not open yet, `not_now`.
    assert said_why & {"log_away", "not_now"}, f"the log of ingest says {said_why or 'nothing'}"
    with contextlib.closing(socket.socket()) as wire:
        host, port = stage.kafka.bootstrap.split(":")
        assert wire.connect_ex((host, int(port))) != 0, "somebody listens at the broker's address"


def _start_brokers(stage: Stage) -> None:
    stage.kafka.start_missing()
    stage.until("messages can be taken again", lambda: stage.readyz()[0] == 200)


BROKER_GONE: Final = Fault(
    name="broker-gone",
    says="The only broker ends by SIGKILL: no log to write to, none to read, none to publish to.",
    alerts=("LabdispatchBrokersAway",),
    panels=(Panel(board="doors", title="Door closed"),),
    inject=_kill_brokers,
    steps=(
        Step(runbook="brokers-away", says="do the brokers run", do=_no_broker_runs),
        Step(runbook="brokers-away", says="Start the brokers that are gone", do=_start_brokers),
    ),
    notices_seconds=5.0,
)

# ------------------------------------------------------------------ the database


def _kill_database(stage: Stage) -> None:
    stage.kill_database()


def _database_answers_nobody(stage: Stage) -> None:
    assert not stage.server.running
    status, said = stage.readyz()
    # On the cluster doors go on without it, and say so.
    assert "database" in said, (status, said)


def _start_database(stage: Stage) -> None:
    stage.server.start()


DATABASE_GONE: Final = Fault(
    name="database-gone",
    says="PostgreSQL ends at once (`pg_ctl stop -m immediate`), in the middle of transactions.",
    alerts=("LabdispatchDatabaseAway",),
    panels=(
        Panel(
            board="infrastructure",
            title="Errors by station and reason",
            of=(("reason", "database_away"),),
        ),
    ),
    inject=_kill_database,
    steps=(
        Step(runbook="database-slow", says="Does it answer?", do=_database_answers_nobody),
        Step(runbook="database-slow", says="Away: start it", do=_start_database),
    ),
)

# ------------------------------------------------------------------ the disk


def _fill_disk(stage: Stage) -> None:
    usage = stage.disk()
    wanted = usage.free - int(1.5 * LEAST_BYTES)
    with (stage.data_dir / _FILLER).open("wb") as file:
        for _ in range(wanted // 2**20):
            file.write(bytes(2**20))


def _find_what_is_large(stage: Stage) -> None:
    done = subprocess.run(
        ["du", "-x", "-a", "-d", "2", str(stage.data_dir)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    largest = max(
        (line for line in done.stdout.splitlines() if Path(line.split("\t")[1]) != stage.data_dir),
        key=lambda line: int(line.split("\t")[0]),
    )
    assert largest.endswith(_FILLER), largest


def _remove_what_is_not_ours(stage: Stage) -> None:
    (stage.data_dir / _FILLER).unlink(missing_ok=True)


DISK_NEARLY_FULL: Final = Fault(
    name="disk-nearly-full",
    says="A core dump fills the disk of the data folder but for one and a half times the least.",
    alerts=("LabdispatchDiskLow",),
    panels=(
        Panel(
            board="infrastructure",
            title="Room on the disk of the data folder",
            is_more=False,
            by=LEAST_BYTES,
        ),
    ),
    inject=_fill_disk,
    steps=(
        Step(runbook="disk", says="du -x", do=_find_what_is_large),
        Step(runbook="disk", says="Remove or move them", do=_remove_what_is_not_ours),
    ),
    tidy=_remove_what_is_not_ours,
    notices_seconds=1.0,
)

# ------------------------------------------------------------------ the slow database


def _make_late(stage: Stage) -> None:
    assert stage.road is not None
    stage.road.delay_seconds = _LATE_SECONDS


async def _round_trip(stage: Stage, *, over_the_road: bool) -> float:
    there = stage.server.connect_kwargs()
    if over_the_road:
        assert stage.road is not None
        there = {**there, "host": str(stage.road.folder), "port": 5432}
    async with connected(there) as session:
        began = time.monotonic()
        await session.fetchval("SELECT 1")
        return time.monotonic() - began


def _nobody_holds_a_lock(stage: Stage) -> None:
    async def held() -> list[str]:
        async with connected(stage.server.superuser_kwargs("labdispatch")) as session:
            rows = await session.fetch(
                "SELECT application_name FROM pg_stat_activity"
                " WHERE xact_start < now() - interval '1 minute' AND pid <> pg_backend_pid()"
            )
            return [row["application_name"] for row in rows]

    assert asyncio.run(held()) == []


def _road_is_late(stage: Stage) -> None:
    assert asyncio.run(_round_trip(stage, over_the_road=True)) > _LATE_SECONDS


def _mend_road(stage: Stage) -> None:
    assert stage.road is not None
    stage.road.delay_seconds = 0.0


SLOW_DATABASE: Final = Fault(
    name="slow-database",
    says="Each packet between hub and PostgreSQL comes 250 ms late, in both directions.",
    alerts=("LabdispatchDatabaseSlow",),
    panels=(Panel(board="streams", title="Batch: one transaction", by=1.0, query=1),),
    inject=_make_late,
    steps=(
        Step(runbook="database-slow", says="Somebody holds a lock", do=_nobody_holds_a_lock),
        Step(runbook="database-slow", says="SELECT 1", do=_road_is_late),
        Step(runbook="database-slow", says="the network", do=_mend_road),
    ),
    tidy=_mend_road,
    builds_seconds=60.0,
)

# ------------------------------------------------------------------ the mad laboratory


def _go_mad(stage: Stage) -> None:
    stage.mad = Mad(stage.mllp_port)
    stage.mad.start()


def _who_it_is(stage: Stage) -> None:
    """The query of the runbook itself, run as it stands there."""
    (query,) = re.findall(r"```sql\n(.*?)```", _FLOODS.read_text("utf-8"), re.DOTALL)

    async def first() -> str:
        async with connected(stage.server.superuser_kwargs("labdispatch")) as session:
            rows = await session.fetch(query)
            return str(rows[0]["registry_id"]) if rows else ""

    stage.until("the account names it", lambda: asyncio.run(first()) == Mad.FACILITY, 60)


def _call_it(stage: Stage) -> None:
    assert stage.mad is not None
    _tidy_mad(stage)


def _tidy_mad(stage: Stage) -> None:
    """Stop it; what it was answered counts in the end, also where a step failed."""
    if stage.mad is not None:
        stage.mad.stop()
        stage.journal += stage.mad.journal
        stage.mad = None


MAD_LABORATORY: Final = Fault(
    name="mad-laboratory",
    says="The software of one laboratory sends its last message again and again, over 24"
    " connections, with noise between.",
    alerts=("LabdispatchLaboratoryFloods",),
    panels=(Panel(board="doors", title="Limits reached", by=1.0,
                  of=(("limit", "laboratory_rate"),)),),
    inject=_go_mad,
    steps=(
        Step(
            runbook="laboratory-floods",
            says="The account names it",
            do=_who_it_is,
        ),
        Step(runbook="laboratory-floods", says="call the laboratory", do=_call_it),
    ),
    tidy=_tidy_mad,
)  # fmt: skip

FAULTS: Final = (BROKER_GONE, DATABASE_GONE, DISK_NEARLY_FULL, SLOW_DATABASE, MAD_LABORATORY)
