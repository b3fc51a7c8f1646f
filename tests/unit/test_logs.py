from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec
import pytest

from ops.runtime.ids import new_message_id
from ops.runtime.logs import configure, get_logger, place_of
from ops.runtime.settings import load_settings


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure(load_settings(), "test")
    yield
    root.handlers, root.level = handlers, level


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in capsys.readouterr().err.splitlines()]


def test_a_key_that_is_not_allowed_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load_settings(), "test")
    get_logger("x").warning("message_parked", reason="unexpected", family="CANARY")
    (line,) = lines(capsys)
    assert line["event"] == "message_parked"
    assert line["reason"] == "unexpected"
    assert line["station"] == "test"
    assert line["dropped_keys"] == 1
    assert "CANARY" not in str(line)


def test_a_message_id_is_written_as_trace_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load_settings(), "test")
    message_id = new_message_id()
    get_logger("x").error("message_parked", message_id=message_id)
    (line,) = lines(capsys)
    assert line["message_id"] == str(message_id)


def test_libraries_pass_only_their_templates(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load_settings(), "test")
    logging.getLogger("aiokafka").error("Failed at %s", "CANARY")
    logging.getLogger("asyncio").error(f"said {'CANARY'}")  # noqa: G004
    with pytest.raises(ValueError, match="CANARY") as caught:
        int("CANARY")
    logging.getLogger("asyncio").error("broke %s", "CANARY", exc_info=caught.value)
    found = lines(capsys)
    assert [line.get("template") for line in found] == ["Failed at %s", None, "broke %s"]
    assert found[2]["error"] == "ValueError"
    assert "CANARY" not in str(found)


def test_the_place_of_an_error_is_a_line_of_code() -> None:
    with pytest.raises(ValueError, match="CANARY") as caught:
        int("CANARY")
    assert place_of(caught.value).startswith("test_logs.py:")
