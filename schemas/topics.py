"""Every topic and stream, named here only."""

from __future__ import annotations

from enum import StrEnum

INTAKE_TOPIC = "intake"


class Stream(StrEnum):
    """The three streams; also the names of their Kafka topics and of their HTTP paths."""

    DOSSIER = "dossier"
    CONTACT_TRACING = "contact-tracing"
    PUBLIC_HEALTH = "public-health"


STREAMS: tuple[Stream, ...] = tuple(Stream)
NOMINATIVE_STREAMS = frozenset({Stream.DOSSIER, Stream.CONTACT_TRACING})


def topic_of(stream: Stream, prefix: str = "") -> str:
    """Return the Kafka topic of a stream, behind the instance's prefix (tests use one each)."""
    return f"{prefix}{stream.value}"


def intake_topic(prefix: str = "") -> str:
    """Return the Kafka topic of the intake log, behind the instance's prefix."""
    return f"{prefix}{INTAKE_TOPIC}"
