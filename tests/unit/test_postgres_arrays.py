"""What the client is told to know arrays by (ADR 0063): the same as it asked for itself."""

from collections import Counter, deque
from collections.abc import Iterable, Sized
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from asyncpg.protocol import protocol

from ops.runtime import postgres
from ops.runtime.ids import new_message_id

ARRAYS = (
    [1], (1,), {1}, frozenset({1}), {1: 2}, range(2), deque([1]), Counter("a"),
    {1: 2}.keys(), {1: 2}.values(), {1: 2}.items(),
)  # fmt: skip
ELEMENTS = (1, 1.5, True, None, uuid4(), new_message_id(), datetime.now(UTC), Decimal(1))
TEXTS = ("text", b"bytes", bytearray(b"b"), memoryview(b"m"))


def test_the_client_still_asks_by_the_name_that_is_replaced() -> None:
    assert protocol.IterableABC is postgres._ARRAYS


@pytest.mark.parametrize("value", [*ARRAYS, *ELEMENTS], ids=lambda value: type(value).__name__)
def test_the_classes_say_what_the_abstract_ones_said(value: object) -> None:
    was = isinstance(value, Iterable) and isinstance(value, Sized)
    assert isinstance(value, postgres._ARRAYS) == was


@pytest.mark.parametrize("value", TEXTS, ids=lambda value: type(value).__name__)
def test_a_text_is_no_array_by_either(value: object) -> None:
    # The client took these out by a question of its own, which it need not ask any more.
    assert not isinstance(value, postgres._ARRAYS)


def test_a_client_without_the_name_stays_as_it_is() -> None:
    class Other:
        pass

    postgres._ask_arrays_by_class(Other)
    assert not hasattr(Other, "IterableABC")
