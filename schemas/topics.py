"""Every topic and stream, named here only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

INTAKE_TOPIC = "intake"


class Stream(StrEnum):
    """The three streams; also the names of their Kafka topics and of their HTTP paths."""

    DOSSIER = "dossier"
    CONTACT_TRACING = "contact-tracing"
    PUBLIC_HEALTH = "public-health"


STREAMS: tuple[Stream, ...] = tuple(Stream)
NOMINATIVE_STREAMS = frozenset({Stream.DOSSIER, Stream.CONTACT_TRACING})


SCHEMA_VERSIONS: Final[Mapping[Stream, int]] = {
    Stream.DOSSIER: 1,
    Stream.CONTACT_TRACING: 1,
    Stream.PUBLIC_HEALTH: 1,
}
"""Version of what a stream's events hold (schemas/json): one more whenever something is added."""


def schema_of(stream: Stream) -> str:
    """Return name and version of a stream's schema, as the header `schema` of each event says."""
    return f"{stream.value}/{SCHEMA_VERSIONS[stream]}"


def topic_of(stream: Stream, prefix: str = "") -> str:
    """Return the Kafka topic of a stream, behind the instance's prefix (tests use one each)."""
    return f"{prefix}{stream.value}"


def intake_topic(prefix: str = "") -> str:
    """Return the Kafka topic of the intake log, behind the instance's prefix."""
    return f"{prefix}{INTAKE_TOPIC}"
