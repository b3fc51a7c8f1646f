"""Answers to inbound records, on a topic of their own: durable before their records are passed."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.header import HeaderError, read_header
from ingest.inbound_ports import Reply
from ops.runtime.kafka_appending import AppendProducer
from ops.runtime.kafka_batches import Record
from ops.runtime.kafka_client import KafkaSettings
from ops.runtime.kafka_reading import PartitionReader
from schemas.errors import TransientError


class Replies:
    """Writes each ACK under the control id of its message; at least once, in order a partition.

    Args:
        brokers: Where they are.
        topic: Where the answers go.
    """

    def __init__(self, brokers: KafkaSettings, topic: str) -> None:
        self._brokers = brokers
        self._topic = topic
        self._producer = AppendProducer(brokers)
        self._partitions: list[int] = []

    async def start(self) -> None:
        """Connect, and see that the topic is there.

        Raises:
            TransientError: It is not, or the brokers are away.
        """
        reader = PartitionReader(self._brokers, self._topic)
        await reader.start()
        try:
            self._partitions = await reader.partitions()
        finally:
            await reader.close()
        if not self._partitions:
            raise TransientError("reply_topic_missing", "make the topic of inbound_reply_topic")
        await self._producer.start()

    async def send(self, topic: str, replies: Sequence[Reply]) -> None:
        """Return once every answer is durable; answers of one partition keep their order.

        Raises:
            TransientError: Surely nothing was sent: ask again.
            FatalError: Nobody knows, or the broker refuses.
        """
        lanes: dict[int, list[Record]] = {}
        for reply in replies:
            place = self._partitions[reply.record.partition % len(self._partitions)]
            lanes.setdefault(place, []).extend(_records(topic, reply))
        for place, records in sorted(lanes.items()):
            await self._producer.append_batch(self._topic, place, records)

    async def close(self) -> None:
        """Let go of the connections within seconds."""
        await self._producer.close()


def _records(topic: str, reply: Reply) -> list[Record]:
    header = read_header(reply.record.value)
    known = header.header if isinstance(header, HeaderError) else header
    headers = (
        ("laboratory", reply.laboratory.encode()),
        ("topic", topic.encode()),
        ("partition", b"%d" % reply.record.partition),
        ("offset", b"%d" % reply.record.offset),
    )
    return [(known.control_id.encode(), part, headers) for part in reply.answer.parts]
