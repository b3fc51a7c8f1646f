"""One embedded PostgreSQL for a whole test session, and a database of its own for each test.

Each database is a copy of a template that holds the schema. `postgres_server`, `postgres_template`
and `database` are fixtures; tests/conftest.py makes them known everywhere.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import msgspec
import pytest

from ops.runtime.embedded import EmbeddedPostgres
from tests.support.scratch import is_in_memory

TEMPLATE = "template_hub"
T = TypeVar("T")


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """A scratch database: `connect_kwargs` for the service role, `superuser_kwargs` for surgery."""

    name: str
    connect_kwargs: dict[str, Any]
    superuser_kwargs: dict[str, Any]

    async def connect(self) -> Any:
        """Open a plain asyncpg connection as the service role; the caller closes it."""
        return await asyncpg.connect(**self.connect_kwargs)


@asynccontextmanager
async def connected(kwargs: Mapping[str, Any]) -> AsyncIterator[Any]:
    """Hold an asyncpg connection for a block."""
    connection = await asyncpg.connect(**kwargs)
    try:
        yield connection
    finally:
        await connection.close()


def open_folder() -> Path:
    """Make a scratch folder that the server's user can reach (pytest's own are closed to it).

    Short on purpose: a socket's path holds 107 bytes.
    """
    folder = Path(tempfile.mkdtemp(prefix="ld-"))
    folder.chmod(0o711)
    return folder


def scratch_server(
    folder: Path,
    extra_settings: Mapping[str, str] | None = None,
    *,
    shared_buffers_mb: int = 64,
    allow_unsafe: bool = False,
) -> EmbeddedPostgres:
    """Give a small server, not yet started, whose every file lies below the folder."""
    return EmbeddedPostgres(
        folder / "data",
        state_dir=folder / "state",
        shared_buffers_mb=shared_buffers_mb,
        extra_settings={"max_wal_size": "1GB", **(extra_settings or {})},
        allow_unsafe=allow_unsafe,
    )


def in_own_loop(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine from a session fixture without touching the tests' event loop."""

    async def run() -> T:
        return await work()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


async def make_template(server: EmbeddedPostgres) -> None:
    """Make the template database: the schema, applied once by the migrations."""
    async with connected(server.superuser_kwargs()) as admin:
        await admin.execute(f"CREATE DATABASE {TEMPLATE} OWNER labdispatch")
    if importlib.util.find_spec("ops.runtime.migrate") is not None:
        module = importlib.import_module("ops.runtime.migrate")
        done = module.migrate(server.connect_kwargs(TEMPLATE))
        if inspect.isawaitable(done):
            await done
    async with connected(server.superuser_kwargs()) as admin:
        # Nobody may connect any more: a session on the template would make a copy fail.
        await admin.execute(
            f"ALTER DATABASE {TEMPLATE} WITH ALLOW_CONNECTIONS false IS_TEMPLATE true"
        )


async def clone(server: EmbeddedPostgres, template: str = TEMPLATE) -> Database:
    """Make a database of its own from the template."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    async with connected(server.superuser_kwargs()) as admin:
        # FILE_COPY forces two checkpoints: in memory they cost nothing, on a disk far more.
        strategy = "FILE_COPY" if is_in_memory(Path(tempfile.gettempdir())) else "WAL_LOG"
        await admin.execute(
            f"CREATE DATABASE {name} OWNER labdispatch TEMPLATE {template} STRATEGY {strategy}"
        )
    return Database(
        name=name,
        connect_kwargs=server.connect_kwargs(name),
        superuser_kwargs=server.superuser_kwargs(name),
    )


async def drop(server: EmbeddedPostgres, name: str) -> None:
    """Drop a scratch database, cutting sessions that a test left open."""
    async with connected(server.superuser_kwargs()) as admin:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One server for the session, durable as in production."""
    folder = open_folder()
    server = scratch_server(folder, shared_buffers_mb=128)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of the database that holds the schema and nothing else."""
    in_own_loop(lambda: make_template(postgres_server))
    return TEMPLATE


@pytest.fixture
async def database(
    postgres_server: EmbeddedPostgres, postgres_template: str
) -> AsyncIterator[Database]:
    """A database of its own for one test, with the schema; dropped afterwards."""
    scratch = await clone(postgres_server, postgres_template)
    try:
        yield scratch
    finally:
        await drop(postgres_server, scratch.name)


@pytest.fixture
async def other_database(
    postgres_server: EmbeddedPostgres, postgres_template: str
) -> AsyncIterator[Database]:
    """A second one, for a test that compares."""
    scratch = await clone(postgres_server, postgres_template)
    try:
        yield scratch
    finally:
        await drop(postgres_server, scratch.name)
