"""What Kafka's client raises, as errors of ours; only types are looked at, never a text.

Its texts can hold keys and values.
"""

from __future__ import annotations

from typing import Final

from aiokafka import errors as client

from schemas.errors import FatalError, Fenced, HubError, TransientError, UnknownResult

# Said by the broker about a batch of which it stored nothing.
REFUSED: Final = (
    client.MessageSizeTooLargeError,
    client.RecordListTooLargeError,
    client.InvalidTopicError,
    client.TopicAuthorizationFailedError,
    client.ClusterAuthorizationFailedError,
    client.InvalidTimestampError,
    client.PolicyViolationError,
)
FENCED: Final = (client.ProducerFenced, client.InvalidProducerEpoch)
# AssertionError: the client's state machine asserts its transitions, also after a failure.
ANY: Final = (
    client.KafkaError,
    client.IllegalOperation,
    client.ConsumerStoppedError,
    AssertionError,
    OSError,
    TimeoutError,
)


def after_sending(error: BaseException) -> HubError:
    """Classify what happened to a batch that was handed over."""
    if isinstance(error, FENCED):
        return fenced()
    if isinstance(error, REFUSED):
        return FatalError(
            "kafka_refused",
            f"the broker refused a batch ({type(error).__name__}): check the topic's"
            " max.message.bytes and our permissions",
        )
    return doubt(f"{type(error).__name__} after sending")


def doubt(what: str) -> UnknownResult:
    """Return what ends a process: nobody can say whether it is written."""
    return UnknownResult("kafka_in_doubt", f"{what}: exit and start again, senders will resend")


def fenced() -> Fenced:
    """Return what ends a process that was replaced."""
    return Fenced("kafka_fenced", "a newer process has our transactional id: only one may run")


def away(doing: str) -> TransientError:
    """Return that nobody answered."""
    return TransientError(
        "kafka_unavailable",
        f"no answer in time while {doing}: check the brokers and the address; with TLS or a"
        " password also these (docs/kafka.md)",
    )


def translate(error: BaseException, doing: str) -> HubError:
    """Classify an error of the client by its type alone; its text is never used."""
    if isinstance(error, FENCED):
        return fenced()
    if isinstance(error, (TimeoutError, OSError, client.KafkaTimeoutError)) or getattr(
        error, "retriable", False
    ):
        return away(doing)
    return FatalError("kafka_error", f"{type(error).__name__} while {doing}: check the brokers")
