"""What a record in Kafka says without being opened."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from schemas.topics import NOMINATIVE_STREAMS, STREAMS, schema_of

from .outbox_reader import OutboxEvent

HEADERS: Final = ("event_id", "seq", "part", "event_version", "schema", "traceparent")
"""The headers of a record, in their order."""

_SCHEMAS: Final = {stream: schema_of(stream).encode() for stream in STREAMS}


def headers_of(outgoing: OutboxEvent) -> tuple[tuple[str, bytes], ...]:
    """Return what a consumer can read of a record without opening its value.

    `traceparent` is W3C Trace Context (2021), section 3.2.2: the trace is the message, by whose
    id `labdispatch trace` shows its road; the parent is the event; nothing is sampled. In public
    health it is a digest of message and report, for two reports of one message are not to be laid
    side by side there.
    """
    event = outgoing.event
    if event.stream in NOMINATIVE_STREAMS:
        trace = outgoing.message_id.hex
    else:
        told = outgoing.message_id.bytes + event.report_id.bytes
        trace = blake2b(told, digest_size=16, person=b"trace").hexdigest()
    return (
        ("event_id", str(event.event_id).encode()),
        ("seq", b"%d" % event.seq),
        ("part", event.part.encode()),
        ("event_version", b"%d" % event.event_version),
        ("schema", _SCHEMAS[event.stream]),
        ("traceparent", f"00-{trace}-{event.event_id.hex[:16]}-00".encode()),
    )
