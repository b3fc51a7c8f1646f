"""From the release before this one to this one, both running, under load: nobody is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.runtime.schema_version import BESIDE, schema_version
from schemas.topics import STREAMS
from tests.support.conservation import check_conservation
from tests.support.in_kafka import in_kafka_once
from tests.support.kafka import KafkaCluster
from tests.support.postgres import open_folder
from tests.support.previous import previous_release
from tests.support.rolling import ROLES, Load, Rolling, roll

# Stations of two releases start one after the other; on a loaded machine each takes its time.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def cluster(kafka_cluster3: KafkaCluster, unique_topic_prefix: str) -> Iterator[Rolling]:
    folder: Path = open_folder()
    with previous_release(folder) as old:
        made = Rolling(kafka_cluster3, unique_topic_prefix, old)
        try:
            made.begin()
            yield made
        finally:
            made.remove()


@pytest.mark.parametrize(
    ("roles", "rate", "stretch"),
    [
        pytest.param(("api", "relay", "dispatch", "ingest"), 20, 8, id="in short"),
        pytest.param(ROLES, 60, 200, id="all stations", marks=pytest.mark.proof),
    ],
)
async def test_nothing_is_refused_or_lost_while_both_releases_run(
    cluster: Rolling, roles: tuple[str, ...], rate: float, stretch: int
) -> None:
    assert cluster.old.schema == BESIDE < schema_version()
    load = Load(cluster.mllp_port, seed=31, rate=rate, most=int(300 * rate))
    rolled = await roll(cluster, load, stretch=stretch, roles=roles)
    assert load.codes.keys() <= {"AA", ""}, load.codes
    ledger = check_conservation(cluster, rolled.journal)
    assert ledger.account["parked"] == 0
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, ledger.streams[stream.value])
