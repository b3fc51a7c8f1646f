"""What stands in Kafka, as an AsyncAPI 3.0 document: topics, keys, headers, events.

Made of what publishes: the events' types (ops/schemas_page.py), the topics as the relay makes them
(ops/station_relay.py), the record's headers (routing/headers.py). Laboratories' inbound topics have
a contract in words (docs/inbound.md): their values are HL7 v2.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, Final

from ops.runtime.settings import Settings
from ops.schemas_page import schema
from ops.station_relay import stream_topics
from routing.headers import HEADERS
from schemas.patterns import HEADER
from schemas.topics import NOMINATIVE_STREAMS, STREAMS, Stream, schema_of, topic_of

Json = dict[str, Any]

VERSION: Final = "1"
_LICENCE: Final = {
    "name": "Apache-2.0",
    "url": "https://www.apache.org/licenses/LICENSE-2.0",
}
_BINDING: Final = "0.5.0"
_TITLES: Final = {
    Stream.DOSSIER: "Results for the patient's dossier (FHIR R4 Bundles); holds names",
    Stream.CONTACT_TRACING: "Index cases for contact tracing; holds names",
    Stream.PUBLIC_HEALTH: "Rows for public health; no identity",
}
_DESCRIPTION: Final = """The three streams of a hub on the cluster engine, a topic each. Topics \
stand behind the instance's prefix (LABDISPATCH_KAFKA_TOPIC_PREFIX).

Read with isolation.level=read_committed: each event is in its topic once. Within a partition \
events come in the order of their commits, and all events of one (report_id, part) are in one \
partition. Of the events of one (report_id, part) the highest event_version wins; what is \
withdrawn counts no more. Pass over a body whose record you do not know, and a field you do not \
know: that is how schemas grow.

The same events, in the same order, are read over HTTP: see the OpenAPI document."""
_REALMS: Final = {
    "plaintext": "On one machine, or a network that is the hub's alone.",
    "ssl": "TLS 1.2 or newer; a client certificate where the brokers want one.",
    "sasl_ssl": "TLS 1.2 or newer, and a name with a password.",
}


def document() -> Json:
    """Return the document, always the same for the same types."""
    schemas: Json = {}
    messages: Json = {}
    channels: Json = {}
    operations: Json = {}
    topics = stream_topics(Settings.model_construct(), 1)
    for stream in STREAMS:
        name = _camel(stream)
        message = f"{name}Event"
        schemas |= _definitions(schema(stream))
        messages[message] = _message(stream, message)
        schemas[message] = _event(stream)
        channels[stream.value] = _channel(stream, message, topics[topic_of(stream)].configs)
        operations[f"publish{name}"] = {
            "action": "send",
            "title": f"The relay publishes {stream.value}",
            "summary": "Each event once, in transactions; readers want read_committed.",
            "channel": {"$ref": f"#/channels/{stream.value}"},
            "messages": [{"$ref": f"#/channels/{stream.value}/messages/{message}"}],
        }
    return {
        "asyncapi": "3.0.0",
        "id": "urn:labdispatch:asyncapi",
        "info": {
            "title": "labdispatch streams",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": _LICENCE,
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "certificate": {"type": "X509", "description": "A client certificate."},
                "scram": {"type": "scramSha512", "description": "A name and its password."},
            },
        },
    }


def text() -> str:
    """Return the file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _servers() -> Json:
    security: Json = {
        "ssl": [{"$ref": "#/components/securitySchemes/certificate"}],
        "sasl_ssl": [{"$ref": "#/components/securitySchemes/scram"}],
    }
    found: Json = {}
    for protocol, description in _REALMS.items():
        found[protocol] = {
            "host": "{bootstrap}",
            "protocol": "kafka" if protocol == "plaintext" else "kafka-secure",
            "description": description,
            "variables": {
                "bootstrap": {
                    "description": "host:port of a broker, as the operator names it.",
                    "default": "127.0.0.1:9092",
                }
            },
        }
        if protocol in security:
            found[protocol]["security"] = security[protocol]
    return found


def _channel(stream: Stream, message: str, configs: Any) -> Json:
    wanted = {
        "cleanup.policy": [configs["cleanup.policy"]],
        "retention.ms": int(configs["retention.ms"]),
        "max.message.bytes": int(configs["max.message.bytes"]),
    }
    return {
        "address": stream.value,
        "title": _TITLES[stream],
        "description": (
            "Kept for a week and a seventh more at most."
            if stream in NOMINATIVE_STREAMS
            else "Kept for thirty days at least."
        )
        + " What an operator may set: docs/streams.md, The topics.",
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {
            "kafka": {
                "topic": stream.value,
                "topicConfiguration": wanted,
                "bindingVersion": _BINDING,
            }
        },
    }


def _message(stream: Stream, name: str) -> Json:
    return {
        "name": name,
        "title": f"An event of {stream.value}",
        "contentType": "application/json",
        "headers": _headers(stream),
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "format": "uuid",
                    "description": "The event's report_id.",
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _headers(stream: Stream) -> Json:
    described: Json = {
        "event_id": {"type": "string", "format": "uuid"},
        "seq": {"type": "string", "pattern": "^[0-9]+$"},
        "part": {"type": "string", "pattern": HEADER["part"]},
        "event_version": {"type": "string", "pattern": "^[0-9]+$"},
        "schema": {
            "type": "string",
            "const": schema_of(stream),
            "description": "Name and version of the payload's schema.",
        },
        "traceparent": {
            "type": "string",
            "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$",
            "description": "W3C Trace Context. "
            + (
                "The trace id is the message's id."
                if stream in NOMINATIVE_STREAMS
                else "The trace id is a digest of message and report, which joins nothing."
            ),
        },
    }
    return {
        "type": "object",
        "properties": {each: described[each] for each in HEADERS},
        "required": list(HEADERS),
    }


def _event(stream: Stream) -> Json:
    """Return the schema of an event as it stands in Kafka: without a cursor."""
    found: Json = _moved(schema(stream))
    for word in ("$schema", "$id", "$defs"):
        del found[word]
    del found["properties"]["cursor"]
    return found


def _definitions(found: Json) -> Json:
    moved: Json = _moved(found["$defs"])
    return moved


def _moved(value: Any) -> Any:
    """Return a schema whose references point into the components of this document."""
    if isinstance(value, dict):
        return {
            key: each.replace("#/$defs/", "#/components/schemas/")
            if key == "$ref"
            else _moved(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_moved(each) for each in value]
    return deepcopy(value)


def _camel(stream: Stream) -> str:
    return "".join(word.capitalize() for word in stream.value.split("-"))
