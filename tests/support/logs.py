"""Intake logs on real engines, for contract tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from ops.runtime.intake_kafka import open_kafka_log
from ops.runtime.intake_log import IntakeLog
from ops.runtime.intake_postgres import PostgresIntakeLog
from ops.runtime.kafka_client import KafkaSettings
from ops.runtime.postgres import open_pool
from tests.support.postgres import Database


@asynccontextmanager
async def postgres_log(database: Database, partitions: int) -> AsyncIterator[IntakeLog]:
    connection = await database.connect()
    await connection.execute(
        "SELECT instance_init($1, 'test', 'embedded', $2)", uuid4(), partitions
    )
    await connection.close()
    pool = await open_pool(database.connect_kwargs, "ingest")
    try:
        yield PostgresIntakeLog(pool)
    finally:
        await pool.close()


@asynccontextmanager
async def kafka_log(bootstrap: str, prefix: str, partitions: int) -> AsyncIterator[IntakeLog]:
    log = await open_kafka_log(
        KafkaSettings(bootstrap=bootstrap, client_id="contract"),
        topic=f"{prefix}intake",
        partitions=partitions,
        replication_factor=1,
        min_insync_replicas=1,
    )
    try:
        yield log
    finally:
        await log.close()
