"""Files on the running product: folder in, answer out; HTTP in, answer back; all accounted for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_road import ask
from tests.support.conservation import check_conservation
from tests.support.files import (
    answer_to,
    control_ids,
    journal_of,
    open_lab_folder,
    put,
    simulated_file,
)
from tests.support.product import Embedded

ER7 = "application/hl7-v2+er7"


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Embedded]:
    root = tmp_path / "files"
    root.mkdir()
    instance = Embedded({"LABDISPATCH_BATCH_DIR": str(root)})
    try:
        yield instance.start()
    finally:
        instance.remove()


def test_a_file_in_the_folder_is_answered_and_every_message_ends_once(
    product: Embedded, tmp_path: Path
) -> None:
    lab, messages, content = simulated_file(3, 150)
    folder = open_lab_folder(tmp_path / "files", lab)
    put(folder, "day.hl7", content)
    answer = answer_to(folder, "day.hl7")
    journal = journal_of(answer)
    assert [control_id for control_id, _ in journal] == control_ids(messages)
    assert {code[-1] for _, code in journal} == {"A"}
    check_conservation(product, journal)
    (shown,) = json.loads(product.look("batches", "list", "--json").stdout)
    assert (shown["state"], shown["sender"], shown["name"]) == ("done", lab, "day.hl7")
    assert shown["answers"]["AA"] == shown["messages"] == len(messages)
    batch = shown["batch_id"]
    shown_answer = product.look("batches", "show", batch, "--ack").stdout
    assert shown_answer == answer.decode().replace("\r", "\n"), "read as text: its line ends"
    assert "day.hl7" in product.look("batches", "show", batch).stdout
    for log in (product.data_dir / "logs").glob("*.log"):
        assert "day.hl7" not in log.read_text(), "a name is its sender's: never logged"


def test_a_posted_file_is_answered_and_the_same_again_changes_nothing(product: Embedded) -> None:
    _, messages, content = simulated_file(4, 120)
    url = f"http://127.0.0.1:{product.http_port}/v1/batches"
    status, headers, answer = ask(f"{url}?name=day-1", content, Content_Type=ER7)
    while status == 202:
        status, _, answer = ask(f"{url}/{headers['location'].rpartition('/')[2]}/ack")
        status = 202 if status == 409 else status
    assert status == 200
    journal = journal_of(answer)
    assert [control_id for control_id, _ in journal] == control_ids(messages)
    received = check_conservation(product, journal).account["received"]
    status, again, same = ask(f"{url}?name=day-1", content, Content_Type=ER7)
    assert (status, again["location"], same) == (200, headers["location"], answer)
    assert product.drained()["received"] == received
    paths = json.loads(ask(f"http://127.0.0.1:{product.http_port}/docs/openapi.json")[2])["paths"]
    assert {"/v1/batches", "/v1/batches/{batch_id}", "/v1/batches/{batch_id}/ack"} <= set(paths)
