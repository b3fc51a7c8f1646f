from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support import ordering, scratch
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


_SCRATCH = pytest.StashKey[Path]()
_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose where scratch lies, once for all processes of a run; these are told by TMPDIR."""
    if not hasattr(config, "workerinput") and (folder := scratch.choose()) is not None:
        config.stash[_SCRATCH] = folder
        scratch.use(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Throw scratch away, but for what failed."""
    if (folder := config.stash.get(_SCRATCH, None)) is not None:
        scratch.leave(folder, failed=config.stash.get(_FAILED, False))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Note whether there is something to be looked at."""
    session.config.stash[_FAILED] = bool(session.testsfailed)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with long files (behind chance, which shuffles before)."""
    items[:] = ordering.long_ones_first(items)


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
