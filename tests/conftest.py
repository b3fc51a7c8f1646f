from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.support.fhir.judge import fhir_judge
from tests.support.kafka import (
    kafka_bootstrap,
    kafka_cluster1,
    kafka_cluster3,
    unique_topic_prefix,
)
from tests.support.postgres import (
    database,
    other_database,
    postgres_server,
    postgres_template,
)

__all__ = [
    "database",
    "fhir_judge",
    "kafka_bootstrap",
    "kafka_cluster1",
    "kafka_cluster3",
    "other_database",
    "postgres_server",
    "postgres_template",
    "unique_topic_prefix",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--twins",
        choices=("any", "compiled", "plain"),
        default="any",
        help="Which variant of the pure modules these tests must be running on.",
    )


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A test that sets logging up must not leave its captured stream to the next one."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
