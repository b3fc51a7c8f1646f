"""Batches appended to a log: all replicas confirm them, and offsets are known.

Every call has a deadline of its own, because aiokafka retries an idempotent batch for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.errors import FatalError, HubError, TransientError, UnknownResult

from .kafka_batches import Record, known_partition, new_producer, pack
from .kafka_client import KafkaSettings, close, started
from .kafka_errors import ANY, after_sending, doubt, translate


class AppendProducer:
    """Appends batches with `acks=all`, idempotent; returns offsets only once all are confirmed.

    After the first result that is unknown, or a batch that the broker refused (its sequence
    numbers are spent, so the next one would be out of order), every call fails at once with the
    same error: the process must exit and start again.

    Args:
        settings: Where the brokers are; `deadline_seconds` bounds each call.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._broken: HubError | None = None
        self._lanes: dict[tuple[str, int], asyncio.Lock] = {}

    async def start(self) -> None:
        """Connect and get a producer id.

        Raises:
            TransientError: The brokers are away.
            FatalError: They refuse us.
        """
        producer = new_producer(self._settings)
        await started(producer, self._settings, "a producer starts")
        self._producer = producer

    async def append(
        self, topic: str, batches: Mapping[int, Sequence[bytes]]
    ) -> dict[int, list[int]]:
        """Append the values to their partitions, all at once; see `append_batch`.

        Raises what `append_batch` does; the worst result of all stands for all, and is unknown
        as soon as one partition was confirmed and another was not.
        """
        results = await asyncio.gather(
            *(
                self.append_batch(topic, partition, [(None, value, ()) for value in values])
                for partition, values in batches.items()
            ),
            return_exceptions=True,
        )
        faults = [each for each in results if isinstance(each, BaseException)]
        if not faults:
            return dict(zip(batches, results, strict=True))  # type: ignore[arg-type]
        worst = next((each for each in faults if not isinstance(each, TransientError)), faults[0])
        if isinstance(worst, HubError) and len(faults) < len(results):
            worst = self._break(doubt("one partition was confirmed and another was not"))
        raise worst

    async def append_batch(
        self, topic: str, partition: int, records: Sequence[Record]
    ) -> list[int]:
        """Return the offset of each record, in order, once all replicas in sync hold all of them.

        Records that fit into one batch (10 MiB) are contiguous, and all in the log or none.

        Raises:
            TransientError: Surely nothing was sent; it may be tried again.
            UnknownResult: Nobody can say; no more acknowledgements from this process.
            PermanentError: One record is larger than any topic of ours takes.
            FatalError: The topic or partition does not exist, or the broker refuses us.
        """
        if not records:
            return []
        sent = False
        offsets: list[int] = []
        try:
            async with asyncio.timeout(self._settings.deadline_seconds):
                lane = self._lanes.setdefault((topic, partition), asyncio.Lock())
                # One in flight: what waits here when the first result is unknown stays unsent.
                async with lane:
                    producer = self._usable()
                    batches = pack(producer, records)
                    await known_partition(producer, topic, partition)
                    for batch in batches:
                        # No await stands between the hand-over and this flag.
                        confirmed = await producer.send_batch(batch, topic, partition=partition)
                        sent = True
                        first = _offset(await confirmed)
                        offsets.extend(range(first, first + batch.record_count()))
        except asyncio.CancelledError:
            if sent:
                self._break(doubt("an append was cancelled"))
            raise
        except ANY as error:
            if not sent:
                raise translate(error, "a batch is handed over") from None
            raise self._break(after_sending(error)) from None
        except UnknownResult as unknown:
            raise self._break(unknown) from None
        return offsets

    async def close(self) -> None:
        """Let go of the connections within seconds, whatever is still in doubt."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await close(producer, abandon=self._broken is not None)

    def _usable(self) -> Any:
        if self._broken is not None:
            raise self._broken
        if self._producer is None:
            raise FatalError("kafka_not_started", "call start() before append()")
        return self._producer

    def _break(self, error: HubError) -> HubError:
        if self._broken is None:
            self._broken = error
        return error


def _offset(metadata: Any) -> int:
    # A duplicate of a batch long ago is confirmed with -1: it is in the log, but where?
    if metadata is None or metadata.offset < 0:
        raise doubt("a batch was confirmed without its offset")
    return int(metadata.offset)
