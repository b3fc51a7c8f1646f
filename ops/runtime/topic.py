"""What a topic must be and how it ends, without a client: settings and routing know it too."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from schemas.errors import FatalError


class Compression(StrEnum):
    """How a producer compresses a batch; each reads all of them."""

    NONE = "none"
    LZ4 = "lz4"
    ZSTD = "zstd"


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """How a partition of a topic ends."""

    begin: int
    """The first offset there is; above 0 where retention or somebody has taken records."""
    end: int
    """The offset behind the last; marks of transactions have offsets of their own."""
    value: bytes | None = None
    """Of the last committed record; None where there is none."""
    offset: int = -1
    """Of the last committed record."""


class Check(StrEnum):
    """What becomes of an existing topic whose configuration is another than the wanted one.

    Only what makes a topic keep more, or safer, is set by us; what may destroy an event is refused
    and left to a person.
    """

    SAME = "same"
    """Refused."""
    SET = "set"
    """Set to the wanted value."""
    AT_LEAST = "at least"
    """Raised where it is lower."""
    AT_MOST = "at most"
    """Lowered where it is higher."""
    NOT_LONGER = "not longer"
    """Raised where it is lower, refused where it is higher."""


class TopicSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a topic must be: the number of partitions is checked, `configs` used at creation.

    `checks` says which of `configs` an existing topic must have too.
    """

    partitions: int
    replication_factor: int
    configs: Mapping[str, str] = {}
    checks: Mapping[str, Check] = {}


class TopicLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When the brokers drop records of a topic; None: not for that reason."""

    seconds: float | None
    bytes_of_a_partition: int | None


def mended(topic: str, spec: TopicSpec, found: Mapping[str, str]) -> dict[str, str]:
    """Return the configurations of an existing topic that are to be set.

    Args:
        topic: Its name, for errors.
        spec: What it must be.
        found: What holds for it now.

    Raises:
        FatalError: `kafka_topic_unsafe`: what it is may only be changed by a person.
    """
    changes = {}
    for name, check in spec.checks.items():
        wanted, is_now = spec.configs[name], found.get(name, "")
        if is_now == wanted:
            continue
        if check is Check.SAME or (check is Check.NOT_LONGER and _above(is_now, wanted)):
            raise FatalError(
                "kafka_topic_unsafe",
                f"topic {topic} has {name}={is_now or 'nothing'} and must have {wanted}: what was"
                " kept would be lost by the change, so change it by kafka-configs.sh once every"
                " consumer has read the topic, or the setting (docs/streams.md)",
            )
        is_kept = (check is Check.AT_LEAST and _above(is_now, wanted)) or (
            check is Check.AT_MOST and not _above(is_now, wanted)
        )
        if not is_kept:
            changes[name] = wanted
    return changes


def _above(one: str, other: str) -> bool:
    """Compare two numbers of Kafka's, of which -1 is no limit."""
    first, second = int(one or 0), int(other)
    return first == -1 or (second != -1 and first > second)
