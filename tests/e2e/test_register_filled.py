"""The register filled by its operator, on a running product: commands and what doors then do."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
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


# ---------------------------------------------------------------- the same over HTTP


def http(
    product: Embedded, method: str, path: str, body: Any = None, *, token: str = "operator"
) -> tuple[int, Any]:
    """Ask with a token of the instance by its name, or with the token itself."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(
        f"http://127.0.0.1:{product.http_port}{path}",
        data=None if body is None else content,
        method=method,
        headers={
            "Authorization": f"Bearer {product.ready['tokens'].get(token, token)}",
            "Content-Type": "text/csv" if isinstance(body, bytes) else "application/json",
            "X-Actor": "j.doe",
            "X-Reason": "asked by mail",
        },
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_laboratory_lives_over_http(product: Embedded) -> None:
    new = {"registry_id": "http1", "name": "H", "limits": {"rate_per_second": 5}}
    status, lab = http(product, "POST", "/v1/labs", new)
    assert (status, lab["registry_id"], lab["limits"]["rate_per_second"]) == (201, "HTTP1", 5.0)
    status, problem = http(product, "POST", "/v1/labs", new)
    assert (status, problem["title"]) == (409, "register_conflict")
    status, lab = http(product, "PATCH", "/v1/labs/http1", {"state": "live"})
    assert (status, lab["state"], lab["name"], lab["limits"]["rate_per_second"]) == (
        200, "live", "H", 5.0,
    )  # fmt: skip
    for body in ({"state": "gone"}, {"colour": "blue"}, {"state": 3}):
        assert http(product, "PATCH", "/v1/labs/HTTP1", body)[0] == 400
    assert http(product, "PATCH", "/v1/labs/NOBODY", {"state": "live"})[0] == 404
    status, held = http(product, "PUT", "/v1/labs/HTTP1/facilities", {"facilities": ["site h"]})
    assert (status, held) == (200, {"facilities": ["SITE H"]})
    status, limits = http(product, "PUT", "/v1/labs/HTTP1/quota", {"daily_quota": 9})
    assert (status, limits["daily_quota"], limits["rate_per_second"]) == (200, 9, None)
    assert http(product, "GET", "/v1/labs/HTTP1/quota") == (200, limits)
    status, page = http(product, "GET", "/v1/labs?limit=1")
    assert (status, len(page["laboratories"])) == (200, 1)
    status, rest = http(product, "GET", f"/v1/labs?limit=5000&after={page['after']}")
    both = page["laboratories"] + rest["laboratories"]  # tests come in any order: it may be first
    assert "HTTP1" in {each["registry_id"] for each in both}


def test_credentials_live_over_http(product: Embedded) -> None:
    folder = str(product.data_dir.parent / "ca2")
    command_line("ca", "init", "--folder", folder)
    issued = json.loads(command_line("ca", "client", "HTTP2", "--folder", folder, "--json").stdout)
    assert http(product, "POST", "/v1/labs", {"registry_id": "HTTP2"})[0] == 201
    path = "/v1/labs/HTTP2/certificates"
    pem = Path(issued["certificate"]).read_text("ascii")
    status, entry = http(product, "POST", path, {"pem": pem})
    assert (status, entry["fingerprint"]) == (201, issued["fingerprint"])
    assert http(product, "POST", path, {"pem": "x"})[1]["title"] == "no_certificate"
    status, entry = http(product, "DELETE", f"{path}/{issued['fingerprint']}")
    assert (status, bool(entry["revoked_at"])) == (200, True)
    assert http(product, "POST", path, {"pem": pem})[0] == 409
    assert len(http(product, "GET", path)[1]) == 1
    status, made = http(product, "POST", "/v1/labs/HTTP2/tokens", {"name": "t"})
    assert status == 201
    (held,) = http(product, "GET", "/v1/labs/HTTP2/tokens")[1]
    assert made["token"] not in json.dumps(held)
    number = made["token_id"]
    assert http(product, "DELETE", f"/v1/labs/HTTP2/tokens/{number}")[1]["revoked_at"]
    assert http(product, "DELETE", "/v1/labs/HTTP2/tokens/999999")[0] == 404


def test_a_file_is_imported_over_http(product: Embedded) -> None:
    wrong = b"registry_id,state\nCSV1,gone\n"
    status, report = http(product, "POST", "/v1/labs/import", wrong)
    assert (status, report["errors"][0]["line"], report["change"]) == (422, 2, None)
    right = b"registry_id,state\nCSV1,live\nCSV2,live\n"
    status, report = http(product, "POST", "/v1/labs/import?dry_run=true", right)
    assert (status, report["change"]["added"], report["change"]["written"]) == (200, 2, False)
    assert http(product, "GET", "/v1/labs/CSV1")[0] == 404
    assert http(product, "POST", "/v1/labs/import", right)[1]["change"]["written"]
    assert http(product, "GET", "/v1/labs/CSV1")[1]["state"] == "live"


def test_a_laboratory_reads_itself_and_nothing_else(product: Embedded) -> None:
    for name in ("OWN1", "OWN2"):
        assert http(product, "POST", "/v1/labs", {"registry_id": name})[0] == 201
    token = http(product, "POST", "/v1/labs/OWN1/tokens", {"name": "own"})[1]["token"]
    until = time.monotonic() + SECONDS
    while http(product, "GET", "/v1/labs/own1", token=token)[0] != 200:
        assert time.monotonic() < until, "the token did not reach the door"
        time.sleep(0.2)
    assert http(product, "GET", "/v1/conformance/OWN1", token=token)[0] == 200
    for method, path, body in (
        ("GET", "/v1/labs/OWN2", None),
        ("GET", "/v1/labs/NOBODY", None),
        ("GET", "/v1/conformance/OWN2", None),
        ("GET", "/v1/conformance", None),
        ("GET", "/v1/labs", None),
        ("GET", "/v1/labs/OWN1/tokens", None),
        ("GET", "/v1/labs/OWN1/certificates", None),
        ("PATCH", "/v1/labs/OWN1", {"state": "live"}),
        ("POST", "/v1/labs/OWN1/tokens", {"name": "more"}),
        ("PUT", "/v1/labs/OWN1/quota", {}),
        ("PUT", "/v1/labs/OWN1/facilities", {"facilities": ["OWN2"]}),
        ("POST", "/v1/labs/import", b"registry_id\nX\n"),
    ):
        status, problem = http(product, method, path, body, token=token)
        assert status == 403, (method, path, problem)
    status, problem = http(product, "GET", "/v1/streams/dossier", token=token)
    assert (status, problem["title"]) == (401, "unknown_token"), "it is no reader's"
    status, problem = http(product, "GET", "/v1/labs/OWN1", token="wrong")
    assert (status, "OWN1" in problem["detail"]) == (403, False)
