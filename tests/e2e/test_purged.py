"""After a day is purged its names are nowhere: not in a file, not in a backup, under no key left.

One instance: a canary goes through doors, files, an AE, a parked message and a replay; a backup is
taken without the keys; the day is purged; the backup is put back beside the keys that are left.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bootstrap import connection_of, open_hub
from ops.client import MllpClient
from ops.runtime.clock import SystemClock
from ops.runtime.embedded import EmbeddedPostgres
from ops.runtime.postgres import connected
from ops.runtime.settings import Settings, load_settings
from ops.runtime.vault import FolderKeyStore, SealClass, Vault, day_key
from schemas.errors import PermanentError
from tests.e2e.test_bad_days import CANARY, _canary
from tests.e2e.test_road import ask
from tests.support.product import Embedded
from tests.support.purging import ASKER, Ahead, nothing_is_held_back, purger_on

SEALED = """
SELECT c.relname AS part, a.attname AS name FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
  AND a.atttypid = 'bytea'::regtype
  AND (a.attname = 'payload' OR (c.relname = 'batch' AND a.attname = 'name'))
"""
# Whatever a payload is bound to is an id of its row.
BOUND = ("message_id", "event_id", "parked_id", "alias_digest", "ins_digest", "digest", "batch_id")


@pytest.fixture
def instance() -> Iterator[Embedded]:
    made = Embedded()
    try:
        yield made.start()
    finally:
        made.remove()


def folder_of(instance: Embedded) -> Path:
    return instance.data_dir.parent


def home_of(instance: Embedded) -> Path:
    return Path(json.loads((instance.data_dir / "postgres.json").read_text())["home"])


def settings_of(instance: Embedded) -> Settings:
    return load_settings(
        data_dir=instance.data_dir, state_dir=Path(instance.env["LABDISPATCH_STATE_DIR"])
    )


def files_with_the_canary(folder: Path) -> list[str]:
    """Every file below a folder that holds the name, in clear or as UTF-16."""
    forms = (CANARY.encode(), CANARY.encode("utf-16-le"))
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and any(f in path.read_bytes() for f in forms)
    ]


async def send_it_everywhere(instance: Embedded) -> None:
    base = f"http://127.0.0.1:{instance.http_port}"
    async with MllpClient("127.0.0.1", instance.mllp_port) as client:
        for raw in (
            _canary("K-1"),
            _canary("K-1", ("|F\r", "|C\r")),
            _canary("K-2", ("\rPID|", "\rZID|")),  # AE: kept raw
            _canary("K-4", ("|94500-6^", f"|{CANARY * 30}^")),  # parked
        ):
            await client.send(raw)
    status, _, _ = ask(
        f"{base}/v1/batches?name={CANARY}.hl7",
        _canary("K-5"),
        Content_Type="application/hl7-v2+er7",
    )
    assert status in {200, 201, 202}
    instance.drained()
    (parked,) = [t for t in instance.trace(["K-4"]) if t["kind"] != "replay"]
    told = instance.look("replay", parked["message_id"], "--reason", "round", "--actor", "a test")
    assert told.returncode == 0, told.stderr
    instance.drained()


async def payloads(instance: Embedded, vault: Vault) -> tuple[int, list[str], bool]:
    """Open every payload there is: how many did, where one did not, whether one had the name."""
    opened = 0
    closed: list[str] = []
    has_name = False
    settings = settings_of(instance)
    async with connected(connection_of(settings), "looking") as connection:
        for place in await connection.fetch(SEALED):
            rows = await connection.fetch(f'SELECT * FROM "{place["part"]}"')
            for row in rows:
                payload = row[place["name"]]
                if not payload or len(payload) < 17:
                    continue
                bound = [row[name].bytes for name in BOUND if name in row.keys()]  # noqa: SIM118
                if "piece" in row.keys():  # noqa: SIM118 - of an answer to a file
                    bound.append(row["batch_id"].bytes + row["piece"].to_bytes(4, "big"))
                plain = first_that_opens(vault, payload, bound)
                opened += plain is not None
                closed += [] if plain is not None else [place["part"]]
                has_name = has_name or (plain is not None and CANARY.encode() in plain)
    return opened, closed, has_name


def first_that_opens(vault: Vault, payload: bytes, bound: list[bytes]) -> bytes | None:
    for associated in bound:
        try:
            return vault.open(payload, associated)
        except PermanentError:
            continue
    return None


def fresh_vault(instance: Embedded) -> Vault:
    return Vault(FolderKeyStore(instance.data_dir / "keys"), SystemClock())


@pytest.mark.timeout(600)
async def test_after_its_day_is_purged_a_name_is_nowhere(instance: Embedded) -> None:
    await send_it_everywhere(instance)
    assert any(CANARY in json.dumps(event) for event in instance.stream("dossier"))
    assert await payloads_hold_the_name(instance)
    assert instance.stop() == 0

    # A backup as it should be: the cluster, without the keys' folder.
    cluster, backup = home_of(instance) / "cluster", folder_of(instance) / "backup"
    subprocess.run(["cp", "-a", str(cluster), str(backup)], check=True)

    instance.start()
    settings = settings_of(instance)
    async with (
        open_hub(settings, "looking", connections=2) as hub,
        connected(connection_of(settings), "retention") as connection,
    ):
        purger = purger_on(connection, hub, Ahead(900))
        await nothing_is_held_back(purger)
        (certificate,) = await purger.purge(ASKER)
    classes = {key.seal_class for name in certificate.keys_destroyed if (key := day_key(name))}
    assert classes >= {
        SealClass.INTAKE,
        SealClass.IDENTITY,
        SealClass.STREAM,
        SealClass.PUBLIC_HEALTH,
    }
    for words in (("audit", "verify"), ("retention", "status")):
        done = instance.look(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        assert CANARY not in done.stdout + done.stderr
    assert instance.account()["closes"]
    assert not (await payloads(instance, fresh_vault(instance)))[2]
    assert instance.stop() == 0
    assert files_with_the_canary(folder_of(instance)) == []

    # The backup of before, put back, with the master key and all keys that are left.
    shutil.rmtree(cluster)
    backup.rename(cluster)
    assert (instance.data_dir / "keys" / "master.key").exists()
    server = EmbeddedPostgres(instance.data_dir, state_dir=settings.state_dir)
    await asyncio.to_thread(server.start)
    try:
        opened, closed, has_name = await payloads(instance, fresh_vault(instance))
        assert (len(closed) >= 10, opened, has_name) == (True, 0, False)
    finally:
        await asyncio.to_thread(server.stop)
    assert files_with_the_canary(folder_of(instance)) == []


async def payloads_hold_the_name(instance: Embedded) -> bool:
    opened, closed, has_name = await payloads(instance, fresh_vault(instance))
    assert (opened >= 10, closed) == (True, []), "all open by their rows, or this proves nothing"
    return has_name
