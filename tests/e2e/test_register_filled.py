"""The register filled by its operator, on a running product: commands and what doors then do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ops.client import MllpClient
from tests.e2e.test_register import result, said
from tests.support.product import Embedded, command_line

SECONDS = 20.0
"""The promise is 5 s; a busy machine gets four times that."""


@pytest.fixture(scope="module")
def product() -> Iterator[Embedded]:
    instance = Embedded({"LABDISPATCH_REGISTER_UNKNOWN_LABS": "false"})
    try:
        yield instance.start()
    finally:
        instance.remove()


async def answers(product: Embedded, facility: str, code: str) -> bytes:
    """Send until the door answers with this code; return that answer."""
    until, number = time.monotonic() + SECONDS, 1
    while True:
        async with MllpClient("127.0.0.1", product.mllp_port) as client:
            answer = await client.send(result(number, "Positif", facility))
        if answer.code == code:
            return answer.raw
        assert time.monotonic() < until, f"{facility} got {answer.code}, not {code}"
        number += 1


async def test_a_laboratory_comes_in_speaks_for_another_site_and_is_suspended(
    product: Embedded,
) -> None:
    assert b"unknown_sender" in await answers(product, "LABNEW", "AR")
    added = said(product, "labs", "add", "labnew", "--name", "Laboratoire N", "--reason", "t")
    assert (added["registry_id"], added["state"], added["written"]) == (
        "LABNEW", "onboarding", True,
    )  # fmt: skip
    await answers(product, "LABNEW", "AA")
    twice = product.look("labs", "add", "LABNEW")
    assert twice.returncode == 1
    assert "registered already" in twice.stderr
    assert b"unknown_sender" in await answers(product, "SITE-B", "AR")
    listed = said(product, "labs", "facilities", "add", "LABNEW", "site-b")
    assert listed["facilities"] == ["SITE-B"]
    await answers(product, "SITE-B", "AA")
    assert said(product, "labs", "suspend", "LABNEW")["state"] == "suspended"
    assert b"suspended_sender" in await answers(product, "SITE-B", "AR")
    assert said(product, "labs", "resume", "LABNEW")["state"] == "onboarding"
    await answers(product, "LABNEW", "AA")
    assert said(product, "labs", "facilities", "remove", "LABNEW", "SITE-B")["facilities"] == []
    await answers(product, "SITE-B", "AR")


def test_certificates_and_tokens_from_issue_to_revocation(product: Embedded) -> None:
    folder = str(product.data_dir.parent / "ca")
    assert command_line("ca", "init", "--folder", folder).returncode == 0
    made = command_line("ca", "client", "LABCERT", "--folder", folder, "--json")
    issued = json.loads(made.stdout)
    said(product, "labs", "add", "LABCERT")
    held = said(product, "labs", "certificate", "add", "LABCERT", issued["certificate"])
    assert (held["fingerprint"], held["done"]) == (issued["fingerprint"], "added")
    rule = said(product, "labs", "certificate", "add", "LABCERT", "--subject", "CN=x,O=y")
    assert rule["fingerprint"] == ""
    text = product.look("labs", "certificate", "list", "LABCERT").stdout
    assert issued["fingerprint"] in text
    assert "(any: a rule)" in text
    gone = said(product, "labs", "certificate", "revoke", "LABCERT", issued["fingerprint"][:16])
    assert gone["revoked_at"]
    token = said(product, "labs", "token", "new", "LABCERT", "--name", "middleware")
    shown = product.look("labs", "token", "list", "LABCERT").stdout
    assert token["token"][-4:] in shown
    assert token["token"] not in shown
    number = str(token["token_id"])
    assert said(product, "labs", "token", "revoke", "LABCERT", number)["done"] == "revoked"
    everything = "".join(p.read_text(errors="replace") for p in product.data_dir.glob("logs/*"))
    assert token["token"] not in everything
    key = product.look("labs", "certificate", "add", "LABCERT", issued["key"])
    assert key.returncode == 1
    assert "no_certificate" in key.stderr


def test_limits_are_set_shown_and_taken_away(product: Embedded) -> None:
    said(product, "labs", "add", "LABQ")
    assert "none" in product.look("labs", "quota", "LABQ").stdout
    limits = said(product, "labs", "quota", "LABQ", "--rate", "2.5", "--daily", "500")["limits"]
    assert limits == {
        "rate_per_second": 2.5, "burst": None, "daily_quota": 500, "max_connections": None,
    }  # fmt: skip
    said(product, "labs", "quota", "LABQ", "--rate", "none")
    assert said(product, "labs", "quota", "LABQ")["limits"]["rate_per_second"] is None
    wrong = product.look("labs", "quota", "LABQ", "--daily", "many")
    assert (wrong.returncode, "daily_quota must be a number" in wrong.stderr) == (1, True)


def test_a_national_file_is_tried_imported_and_the_same_again(product: Embedded) -> None:
    file = product.data_dir.parent / "labs.csv"

    def imported(*options: str) -> tuple[int, Any]:
        done = product.look("labs", "import", str(file), "--json", *options)
        return done.returncode, json.loads(done.stdout)

    rows = [f"9{n:08},Laboratoire {n},live" for n in range(4_500)]
    file.write_text("registry_id,name,state\n" + "\n".join(rows) + "\n,x,gone\n", "utf-8")
    text = product.look("labs", "import", str(file))
    assert text.returncode == 1
    assert "labs.csv:4502: error: registry_id is empty" in text.stderr
    file.write_text("registry_id,name,state\n" + "\n".join(rows), "utf-8")
    code, dry = imported("--dry-run")
    assert (code, dry["change"]["added"], dry["change"]["written"]) == (0, 4_500, False)
    assert any("FINESS" in warning["text"] for warning in dry["warnings"])
    began = time.monotonic()
    assert imported()[1]["change"]["added"] == 4_500
    assert time.monotonic() - began < SECONDS
    again = imported()[1]["change"]
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 4_500)
