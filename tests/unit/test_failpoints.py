from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.runtime import failpoints
from schemas.errors import FatalError, TransientError


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_unarmed_nothing_happens() -> None:
    for name in failpoints.FAILPOINTS:
        failpoints.hit(name)


def test_an_armed_one_acts_once_at_its_turn() -> None:
    failpoints.arm("dispatch.before_commit=raise@3")
    failpoints.hit("dispatch.before_commit")
    failpoints.hit("dispatch.before_commit")
    with pytest.raises(failpoints.FailpointError):
        failpoints.hit("dispatch.before_commit")
    failpoints.hit("dispatch.before_commit")


def test_a_transient_one_is_the_worlds_fault() -> None:
    failpoints.arm("dispatch.after_fence=transient")
    with pytest.raises(TransientError):
        failpoints.hit("dispatch.after_fence")


@pytest.mark.parametrize("text", ["no.such=kill", "dispatch.read=explode", "dispatch.read=kill@x"])
def test_what_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(FatalError, match="settings_invalid"):
        failpoints.arm(text)
