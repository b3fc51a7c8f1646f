"""docs/profile.md, docs/findings/ and GET /v1/findings say what the rules say, and nothing else."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient

from ingest.catalogue import RULES, english, french
from ops import profile_page
from ops.findings_api import findings_routes

AGAIN = "write them anew: python -m ops.profile_page"


def test_the_profile_is_what_the_rules_say() -> None:
    assert profile_page.OUTPUT.read_text(encoding="utf-8") == profile_page.page(), AGAIN


def test_each_finding_has_its_page_and_no_page_is_of_no_finding() -> None:
    held = {path.stem: path.read_text(encoding="utf-8") for path in profile_page.FOLDER.iterdir()}
    assert set(held) == set(RULES), AGAIN
    for code, rule in RULES.items():
        assert held[code] == profile_page.finding_page(rule), AGAIN
        assert english(rule) in held[code] and french(rule) in held[code]


def test_the_profile_has_one_row_a_rule() -> None:
    rows = [line for line in profile_page.page().splitlines() if line.startswith("| [`")]
    assert len(rows) == len(RULES)
    assert all(row.replace("\\|", "").count("|") == 9 for row in rows)


def test_findings_over_http() -> None:
    with TestClient(Litestar(route_handlers=findings_routes())) as client:
        every = client.get("/v1/findings").json()["findings"]
        assert [one["code"] for one in every] == list(RULES)
        one = client.get("/v1/findings/ins_key_wrong")
        assert one.headers["content-type"].startswith("application/json")
        rule = RULES["ins_key_wrong"]
        assert one.json()["fr"] == french(rule) and one.json()["place"] == "PID-3"
        assert one.json() in every
        asked = client.get("/v1/findings/ins_key_wrong", headers={"Accept": "text/markdown"})
        assert asked.headers["content-type"].startswith("text/markdown")
        assert asked.text == profile_page.finding_page(rule)
        missing = client.get("/v1/findings/no_such_code")
        assert missing.status_code == 404
