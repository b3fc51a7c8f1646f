"""How every client of Apache Kafka is made, started and let go; aiokafka lies below.

No text of the client's errors leaves these modules (`kafka_reading`, `kafka_appending`,
`kafka_publishing`), only the names of their types.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .kafka_errors import ANY, translate
from .kafka_security import KafkaSecurity

_MIB: Final = 1024 * 1024
MAX_BATCH_BYTES: Final = 10 * _MIB
MAX_RECORD_BYTES: Final = 11 * _MIB
LARGE_RECORDS: Final[Mapping[str, str]] = {"max.message.bytes": str(12 * _MIB)}
"""The topic configuration that batches and records of these sizes need."""

_CLOSE_SECONDS: Final = 5.0

# The client's own DEBUG lines hold keys and values; nothing below WARNING is ever wanted.
logging.getLogger("aiokafka").setLevel(logging.WARNING)
logging.getLogger("aiokafka.producer.producer").setLevel(logging.WARNING)


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the brokers. `bootstrap` is `host:port`, several with commas between."""

    bootstrap: str
    client_id: str
    deadline_seconds: float = 5.0
    security: KafkaSecurity = KafkaSecurity()
    """Read anew whenever a client starts."""

    def client_options(self) -> dict[str, Any]:
        """Return what every client is made with.

        Raises:
            FatalError: A file of the security settings cannot be used.
        """
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id,
            "request_timeout_ms": milliseconds(self.deadline_seconds),
            **self.security.client_options(),
        }


async def started(actor: Any, settings: KafkaSettings, doing: str) -> None:
    """Start a client, or let go of it.

    Raises:
        TransientError: The brokers are away.
        FatalError: They refuse us.
    """
    try:
        async with asyncio.timeout(settings.deadline_seconds):
            await actor.start()
    except BaseException as error:
        await close(actor, abandon=True)
        if isinstance(error, ANY):
            raise translate(error, doing) from None
        raise


async def close(actor: Any, *, abandon: bool) -> None:
    """Stop a client within a bound; `abandon` drops what it still tries to send."""
    sender = getattr(actor, "_sender", None)
    if sender is None or not abandon:
        with contextlib.suppress(*ANY):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await actor.stop()
    if sender is None:
        connections = actor._client  # noqa: SLF001
    else:
        # stop() flushes first, that is, it may retry for ever, and no public way gives batches
        # up. Ending the sender twice: the first time it waits for its requests.
        actor._closed = True  # noqa: SLF001
        connections = actor.client
        task = sender.sender_task
        for _ in range(2):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_CLOSE_SECONDS / 5)
    with contextlib.suppress(*ANY):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connections.close()


def milliseconds(seconds: float) -> int:
    """Return seconds as the client counts them."""
    return int(seconds * 1000)
