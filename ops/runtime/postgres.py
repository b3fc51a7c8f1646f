"""PostgreSQL: the only module that knows the client. Errors come out classified and without values.

Every role has its time limits, so that a stopped process never holds locks for ever; no client
deadline is put on a COMMIT.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final, Protocol
from weakref import WeakSet

import asyncpg
from asyncpg.pgproto import pgproto
from asyncpg.protocol import protocol

from schemas.errors import FatalError, HubError, PermanentError, TransientError
from schemas.ids import make_ids_with

from .metrics import GATHERED, METRICS
from .schema_version import named

# Made, hashed and sent in a fraction of the time of the standard one, of which it is a subclass.
make_ids_with(pgproto.UUID)

# What an array may be. Of each element of an array the client asks whether it is one itself, by an
# abstract class: 0.1 to 0.2 us, 260 times a message of dispatch. A tuple of classes says the same
# of all that we send in a tenth of that (ADR 0063, tests/unit/test_postgres_arrays.py).
_ARRAYS: Final[tuple[type, ...]] = (
    list, tuple, set, frozenset, dict, range, deque,
    type({}.keys()), type({}.values()), type({}.items()),
)  # fmt: skip


def _ask_arrays_by_class(client: Any) -> None:
    """Let the client know arrays by these classes; one without the name goes on as it is."""
    if hasattr(client, "IterableABC"):
        client.IterableABC = _ARRAYS


_ask_arrays_by_class(protocol)

_CONNECT_SECONDS: Final = 10.0

# Server-side limits by role, in milliseconds; 0 is none. An account over millions of rows takes
# its time, and nobody waits for locks it holds.
_COMMON: Final = {
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "5s",
    "transaction_timeout": "30s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "10s",
    "jit": "off",
}
_BY_ROLE: Final[Mapping[str, Mapping[str, str]]] = {
    "looking": {"transaction_timeout": "300s"},
    # Its statements go by keys, all of them. A plan that was made while a table was small reads the
    # whole of it until the next ANALYZE, and a young hub grows by thousands of rows before that.
    "dispatch": {"enable_seqscan": "off"},
    # An extraction reads one state of all cells; what counts locks nothing that others wait for.
    "indicators": {
        "transaction_timeout": "900s",
        "idle_in_transaction_session_timeout": "120s",
    },
    # Dropping a large file takes its time, and nobody waits for it.
    "retention": {"transaction_timeout": "120s"},
    "migrate": {
        "lock_timeout": "2s",
        "transaction_timeout": "0",
        "idle_in_transaction_session_timeout": "60s",
    },
}

# SQLSTATE classes and codes whose cause is the world, not the statement or the content.
_TRANSIENT_CLASSES: Final = ("08", "57", "40")
_TRANSIENT_CODES: Final = {
    "53000": "database_short_of_resources",
    "53100": "database_disk_full",
    "53200": "lock_memory_short",
    "53300": "too_many_connections",
    "55P03": "lock_timeout",
    "25P03": "transaction_timeout",
    "25P04": "transaction_timeout",
    "25006": "database_read_only",
}
_CONTENT_CLASSES: Final = ("22", "23", "54")

DURABILITY: Final = """
SELECT name, setting FROM pg_settings
WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'synchronous_standby_names')
"""


_CLIENT_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What asyncpg says when a connection dies between two of its states.
    asyncpg.InternalClientError,
)


class Connection(Protocol):
    """What the hub needs of a connection; the signatures are asyncpg's."""

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109
        """Run a statement."""
        ...

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[Any]:  # noqa: ASYNC109
        """Return all rows."""
        ...

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Return the first row or None."""
        ...

    async def fetchval(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Return the first column of the first row."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Open a READ COMMITTED transaction for a block."""
        ...


Proof = Callable[[Connection], Awaitable[None]]


class Pool:
    """Connections of one role; give one back by leaving the block.

    Args:
        pool: The client's.
        prove: Says by raising that the database is not the one that is meant; asked with the
            first connection, before anybody gets one, and again until it has said yes.
    """

    def __init__(self, pool: Any, prove: Proof | None = None) -> None:
        self._pool = pool
        self._prove = prove
        _OPEN.add(self)

    def sizes(self) -> tuple[int, int]:
        """Return how many connections somebody has, and how many are idle."""
        idle = self._pool.get_idle_size()
        return self._pool.get_size() - idle, idle

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Hold a connection for a block.

        Raises:
            TransientError: None can be had (`database_away`); nothing was sent.
        """
        began = time.perf_counter()
        try:
            connection = await self._pool.acquire(timeout=_CONNECT_SECONDS)
        except _CLIENT_ERRORS as error:
            raise _classify(error, connecting=True) from None
        finally:
            GATHERED.observe(METRICS.pool_acquire_seconds, time.perf_counter() - began)
        try:
            if self._prove is not None:
                await self._prove(connection)
                self._prove = None
            yield connection
        finally:
            await self._release(connection)

    async def close(self) -> None:
        """Close all connections, the busy ones after a second."""
        try:
            async with asyncio.timeout(1.0):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _release(self, connection: Any) -> None:
        try:
            await self._pool.release(connection, timeout=2.0)
        except _CLIENT_ERRORS:
            connection.terminate()  # whoever used it has its own error already


_OPEN: Final[WeakSet[Pool]] = WeakSet()


def open_pools() -> list[Pool]:
    """Return the pools of this process that somebody still holds."""
    return list(_OPEN)


class Share(Pool):
    """A few connections of a pool, for one kind of work: it is in nobody else's way.

    Args:
        pool: The whole, which closes them.
        at_once: How many.
    """

    def __init__(self, pool: Pool, at_once: int) -> None:
        self._whole = pool
        self._turns = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Hold one of them for a block.

        Raises:
            TransientError: All are held (`connections_held`), or none can be had.
        """
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise TransientError("connections_held", "others wait longer: ask again") from None
        try:
            async with self._whole.acquire() as connection:
                yield connection
        finally:
            self._turns.release()

    async def close(self) -> None:
        """Leave them to the whole."""


async def open_pool(
    connect: Mapping[str, Any],
    role: str,
    *,
    max_size: int = 4,
    min_size: int = 1,
    prove: Proof | None = None,
) -> Pool:
    """Connect as a role (ingest, dispatch, relay, api, looking, migrate).

    With `min_size` 0 nothing is connected yet, and a database that is away is no error: `prove`
    then looks at it once it is there.

    Raises:
        TransientError: The database is away.
        FatalError: It refuses this user or has no such database.
    """
    try:
        pool = await asyncpg.create_pool(
            **_arguments(connect, role),
            min_size=min_size,
            max_size=max_size,
            max_inactive_connection_lifetime=0,
            reset=_keep_session,
            command_timeout=None,
        )
    except _CLIENT_ERRORS as error:
        raise _classify(error, connecting=True) from None
    return Pool(pool, prove)


@asynccontextmanager
async def connected(connect: Mapping[str, Any], role: str) -> AsyncIterator[Connection]:
    """Hold one connection outside any pool for a block.

    Raises:
        TransientError: The database is away.
        FatalError: It refuses this user or has no such database.
    """
    try:
        connection = await asyncpg.connect(**_arguments(connect, role))
    except _CLIENT_ERRORS as error:
        raise _classify(error, connecting=True) from None
    try:
        yield connection
    finally:
        # One that is silent is aborted by then: that must not stand for what the block raised.
        with contextlib.suppress(*_CLIENT_ERRORS):
            await connection.close(timeout=2.0)


async def check_durability(connection: Connection, *, needs_standby: bool) -> None:
    """Refuse a database on which an acknowledgement would not mean durable.

    Raises:
        FatalError: fsync, synchronous_commit or full_page_writes is off (`unsafe_database`), or
            no synchronous standby is named although one is needed (`no_standby`).
    """
    found = {row["name"]: row["setting"] for row in await connection.fetch(DURABILITY)}
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        if found.get(name) in {"off", "local"}:
            raise FatalError(
                "unsafe_database", f"{name} is {found[name]}: switch it on, then start again"
            )
    if needs_standby and not found.get("synchronous_standby_names", "").strip():
        raise FatalError(
            "no_standby",
            "synchronous_standby_names is empty: name a standby, or set"
            " LABDISPATCH_REQUIRE_STANDBY=false where losing the machine may lose results",
        )


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's errors into ours for a block; none of ours holds a value of a row.

    Raises:
        TransientError: The world is at fault.
        PermanentError: The content is (SQLSTATE 22, 23, 54): `database_refused`.
        FatalError: The statement or the schema is (`database_error`).
    """
    try:
        yield
    except _CLIENT_ERRORS as error:
        raise _classify(error) from None


@asynccontextmanager
async def lent(pool: Pool) -> AsyncIterator[Connection]:
    """Lend a connection for a block, its errors turned into ours.

    Raises:
        HubError: As `translated` says.
    """
    with translated():
        async with pool.acquire() as connection:
            yield connection


async def copy_rows(
    connection: Connection, table: str, columns: Sequence[str], pieces: AsyncIterator[bytes]
) -> None:
    """Write rows that are in COPY's binary format already: the client looks at none of them."""
    client: Any = connection
    await client.copy_to_table(table, source=pieces, columns=columns, format="binary")


def is_unknown_commit(error: BaseException) -> bool:
    """Say whether an autocommit statement that failed so may have been committed all the same.

    An error that the server answered means rolled back, except for its own shutdown (57P), which
    can come while a commit waits for its standby. A connection that broke, or a deadline, tells
    nothing.
    """
    if isinstance(error, HubError):
        return False
    if isinstance(error, asyncpg.PostgresConnectionError):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate or "").startswith("57") or not error.sqlstate
    return True


def _arguments(connect: Mapping[str, Any], role: str) -> dict[str, Any]:
    limits = {**_COMMON, **_BY_ROLE.get(role, {})}
    return {
        "timeout": _CONNECT_SECONDS,
        **connect,
        "server_settings": {
            **connect.get("server_settings", {}),
            "application_name": named(role),
            **limits,
        },
    }


async def _keep_session(_: Any) -> None:
    """Spare the round trip that resets a session: ours set nothing and hold no session locks."""


def _classify(error: BaseException, *, connecting: bool = False) -> HubError:
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return PermanentError("database_refused", "a value does not fit its column")
    if not isinstance(error, asyncpg.PostgresError):
        return TransientError("database_away", "is PostgreSQL running? it is tried again")
    state = str(error.sqlstate or "")
    if state in _TRANSIENT_CODES:
        return TransientError(_TRANSIENT_CODES[state], "it is tried again")
    if state.startswith(_TRANSIENT_CLASSES) or not state:
        return TransientError(_world(state), "it is tried again")
    if state.startswith(_CONTENT_CLASSES):
        return PermanentError("database_refused", f"SQLSTATE {state}")
    remedy = f"SQLSTATE {state}: check user, database and `labdispatch migrate`"
    return FatalError("database_refuses_us" if connecting else "database_error", remedy)


def _world(state: str) -> str:
    return {"40P01": "deadlock", "40001": "serialization"}.get(state, "database_away")


def column(rows: Sequence[Any], name: str) -> list[Any]:
    """Return one column of some rows."""
    return [row[name] for row in rows]
