from __future__ import annotations

from typing import Any

import pytest

from ops.runtime.settings import load_settings
from ops.runtime.topic import Check, TopicSpec, mended
from ops.station_relay import stream_topics
from schemas.errors import FatalError
from schemas.topics import NOMINATIVE_STREAMS, SCHEMA_VERSIONS, STREAMS, Stream, schema_of


def spec(name: str, wanted: str, check: Check) -> TopicSpec:
    return TopicSpec(
        partitions=1, replication_factor=1, configs={name: wanted}, checks={name: check}
    )


@pytest.mark.parametrize(
    ("check", "is_now", "changes"),
    [
        (Check.SET, "true", True),
        (Check.SET, "10", False),
        (Check.AT_LEAST, "9", True),
        (Check.AT_LEAST, "11", False),
        (Check.AT_LEAST, "-1", False),
        (Check.AT_MOST, "11", True),
        (Check.AT_MOST, "-1", True),
        (Check.AT_MOST, "9", False),
        (Check.NOT_LONGER, "9", True),
        (Check.NOT_LONGER, "10", False),
    ],
)
def test_what_makes_a_topic_safer_is_set(check: Check, is_now: str, changes: bool) -> None:
    found = mended("t", spec("n", "10", check), {"n": is_now, "other": "1"})
    assert found == ({"n": "10"} if changes else {})


@pytest.mark.parametrize(
    ("check", "is_now"), [(Check.NOT_LONGER, "11"), (Check.NOT_LONGER, "-1"), (Check.SAME, "x")]
)
def test_what_could_destroy_an_event_is_left_to_a_person(check: Check, is_now: str) -> None:
    with pytest.raises(FatalError) as caught:
        mended("t", spec("n", "10", check), {"n": is_now})
    assert caught.value.reason == "kafka_topic_unsafe"
    assert "topic t has n=" in caught.value.remedy
    assert "kafka-configs.sh" in caught.value.remedy


def topics(**changes: Any) -> dict[Stream, TopicSpec]:
    settings = load_settings(engine="cluster", postgres_dsn="postgresql://h/d", **changes)
    made = stream_topics(settings, 8)
    return dict(zip(STREAMS, made.values(), strict=True))


def test_names_are_kept_for_days_and_nothing_is_compacted() -> None:
    for stream, wanted in topics().items():
        days = int(wanted.configs["retention.ms"]) / 86_400_000
        assert days == (7 if stream in NOMINATIVE_STREAMS else 30)
        assert wanted.configs["cleanup.policy"] == "delete"
        assert wanted.configs["unclean.leader.election.enable"] == "false"
        assert set(wanted.checks) <= set(wanted.configs)
        assert (wanted.partitions, wanted.replication_factor) == (8, 3)
        is_bounded = wanted.checks["retention.ms"] is Check.NOT_LONGER
        assert is_bounded is (stream in NOMINATIVE_STREAMS)


def test_an_event_outlives_its_retention_by_a_segment_at_most() -> None:
    short = topics(topic_names_seconds=3_600)[Stream.DOSSIER]
    assert short.configs["retention.ms"] == "3600000"
    assert short.configs["segment.ms"] == "3600000"
    assert topics()[Stream.DOSSIER].configs["segment.ms"] == "86400000"
    assert topics()[Stream.DOSSIER].checks["segment.ms"] is Check.AT_MOST


def test_every_stream_has_a_schema_version() -> None:
    assert set(SCHEMA_VERSIONS) == set(STREAMS)
    assert schema_of(Stream.PUBLIC_HEALTH).startswith("public-health/")
