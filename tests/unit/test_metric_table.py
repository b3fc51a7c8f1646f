"""The table of metrics: labels come from their sets alone, limits are told, nothing is dead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import Counter, Gauge, Histogram

import ops
from dedup.guards import PAIR_GUARDS
from dedup.queue import Priority
from ingest.catalogue import RULES
from ingest.inbound_proof import BAD_SIGNATURE, NO_PROOF, UNKNOWN_LABORATORY
from ingest.peers import Unfit
from ops import metrics_page
from ops.holding.reasons import REASONS
from ops.register.tally import MAX_SOFTWARE, MAX_UNMAPPED
from ops.runtime.handshake import REFUSALS
from ops.runtime.metrics import METRICS, Labelled, labels
from ops.runtime.metrics.declaring import PREFIX
from ops.runtime.metrics.limits import LIMITS, NO_LIMITS, Limit
from ops.runtime.metrics.table import STATIONS
from ops.runtime.settings import Settings, load_settings
from ops.runtime.vitals import show_limits
from ops.stations import ROLES
from ops.stewards.opposition_file import RESULTS
from ops.stream_tokens.refusals import STATUS
from routing.pushing import Outcome

ROOT = Path(ops.__file__).parent.parent
PACKAGES = ("ops", "routing", "dedup", "ingest")
OWN = ROOT / "ops" / "runtime" / "metrics"
CANARIES = (
    "Céline DUPONT-CANARI",
    "DUPONT^CELINE",
    "1 85 05 75 123 456 78",
    "1850575123456",
    "06 39 98 00 01",
    "canary@example.org",
    "x" * 300,
    'a"} 1\nlabdispatch_forged{b="',
)

Any_metric = Counter | Gauge | Histogram


def declared() -> dict[str, Any_metric | Labelled[Counter]]:
    return vars(METRICS)


def labelled() -> dict[str, Labelled[Counter]]:
    return {name: each for name, each in declared().items() if isinstance(each, Labelled)}


def names_of_samples() -> set[str]:
    found = set()
    endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("", "_bucket", "_sum")}
    for each in declared().values():
        metric = each.metric if isinstance(each, Labelled) else each
        (family,) = metric.describe()
        found |= {family.name.removeprefix(PREFIX) + end for end in endings[family.type]}
    return found


@cache
def sources() -> dict[Path, str]:
    return {
        path: path.read_text("utf-8")
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if OWN not in path.parents
    }


@pytest.mark.parametrize("name", sorted(labelled()))
def test_no_value_outside_its_set_is_ever_told(name: str) -> None:
    figure = labelled()[name]
    for canary in CANARIES:
        figure.labels(*(canary for _ in figure.sets))
    told = {
        value
        for family in figure.metric.collect()
        for sample in family.samples
        for label, value in sample.labels.items()
        if label in figure.sets
    }
    assert labels.OTHER in told
    assert not told & set(CANARIES)


def test_a_value_that_was_refused_is_counted_and_kept_nowhere() -> None:
    figure = labelled()["answers"]
    refused = METRICS.label_values_refused.labels("answers")
    before = refused._value.get()
    for number in range(50):
        figure.labels(f"Canari {number}")
    assert refused._value.get() == before + 50
    assert not any("Canari" in value for values in figure._children for value in values)


def test_words_of_a_bounded_set_are_no_more_than_it_says() -> None:
    few = labels.codes(3, "some")
    taken = [few.takes(f"code_{number}") for number in range(5)]
    assert taken == [True, True, True, False, False]
    assert few.takes("code_1")
    assert not labels.codes(3, "some").takes("A sentence with a name")


def test_every_series_there_can_be_is_bounded() -> None:
    """Sets bound each label; what several make together stays below what one scrape may hold."""
    for name, figure in labelled().items():
        series = 1
        for of in figure.sets.values():
            series *= of.most
        assert series <= 12_800, name


def calls_of_labels() -> Iterator[tuple[str, str, list[ast.expr]]]:
    for path, text in sources().items():
        if ".labels(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "labels"
                and isinstance(node.func.value, ast.Attribute)
            ):
                yield f"{path.name}:{node.lineno}", node.func.value.attr, node.args


def test_every_value_that_the_code_writes_down_is_in_its_set() -> None:
    seen = 0
    for where, name, given in calls_of_labels():
        figure = labelled()[name]
        if any(isinstance(each, ast.Starred) for each in given):
            continue
        assert len(given) == len(figure.sets), where
        for of, value in zip(figure.sets.values(), given, strict=True):
            if isinstance(value, ast.Constant):
                assert of.takes(str(value.value)), where
                seen += 1
    assert seen > 120


def test_sets_are_those_of_the_modules_that_say_the_words() -> None:
    assert set(labels.HANDSHAKE_REFUSALS.values) == set(REFUSALS)
    assert set(get_args(Unfit)) <= set(labels.CLOSED_BECAUSE.values)
    assert set(labels.HOLD_REASONS.values) == set(REASONS)
    assert set(labels.OPPOSITION_RESULTS.values) == set(RESULTS)
    assert set(labels.PRIORITIES.values) == {str(each) for each in Priority.ALL}
    assert set(labels.ADMISSIONS.values) == {
        "admitted", "away", "tokens_unread", "read_not_audited", *STATUS
    }  # fmt: skip
    assert set(labels.PUSH_OUTCOMES.values) == {each.value for each in Outcome}
    assert set(labels.STATIONS.values) == set(ROLES)
    text = (ROOT / "dedup" / "decide.py").read_text("utf-8")
    rules = {
        word for line in re.findall(r"rule=(.*)", text) for word in re.findall(r'"(\w+)"', line)
    }
    assert set(labels.DECISION_RULES.values) == rules
    text = (ROOT / "ingest" / "mllp.py").read_text("utf-8")
    assert set(labels.FRAMES.values) == {"whole", *re.findall(r'FramingError\("(\w+)"', text)}
    assert (LIMITS["software_of_a_laboratory"].fixed, MAX_SOFTWARE) == (100, 100)
    assert (LIMITS["unmapped_values_of_a_laboratory"].fixed, MAX_UNMAPPED) == (500, 500)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (labels.FINDING_CODES, sorted(RULES)),
        (labels.GUARDS, [name for name, _ in PAIR_GUARDS]),
        (labels.INBOUND_PARKS, [BAD_SIGNATURE, NO_PROOF, UNKNOWN_LABORATORY]),
    ],
)
def test_codes_that_others_declare_fit(of: labels.Bounded, words: list[str]) -> None:
    assert len(words) < of.most
    assert [word for word in words if not of.takes(word)] == []


def test_every_numeric_setting_is_a_limit_or_is_none() -> None:
    numeric = {
        name
        for name, field in Settings.model_fields.items()
        if field.annotation in {int, float, int | None, float | None}
    }
    held = {limit.setting for limit in LIMITS.values() if limit.setting}
    assert held <= numeric
    assert not held & NO_LIMITS
    assert numeric - held - NO_LIMITS == set(), (
        "put it into LIMITS or NO_LIMITS (ops/runtime/metrics/limits.py)"
    )
    assert numeric >= NO_LIMITS


def test_every_limit_has_a_figure_that_counts_its_hits() -> None:
    hit = {
        value.value
        for _, name, (value, *_) in calls_of_labels()
        if name == "limit_hits" and isinstance(value, ast.Constant)
    }
    elsewhere = {name for name, limit in LIMITS.items() if limit.counted}
    everything = "".join(sources().values())
    for name, limit in LIMITS.items():
        if limit.counted:
            assert limit.counted in names_of_samples(), name
        elif name not in hit:  # handed on by a variable
            assert f'"{name}"' in everything, name
    assert not hit & {name for name in elsewhere if LIMITS[name].counted != "limit_hits_total"}


def test_every_metric_says_what_it_is_and_belongs_to_one_station() -> None:
    for name, each in declared().items():
        metric = each.metric if isinstance(each, Labelled) else each
        assert len(metric._documentation) > 8, name
        assert metric._name.startswith(PREFIX)
        assert not metric._documentation.endswith(".")
    for station in STATIONS:
        assert station.__doc__
    assert len(STATIONS) == len(set(STATIONS))


def test_every_metric_is_observed_somewhere() -> None:
    everything = "".join(sources().values())
    used = set(re.findall(r"\bMETRICS\.(\w+)", everything))
    dead = set(declared()) - used - {"label_values_refused"}  # observed by the table itself
    assert dead == set()
    unknown = {"database_is", "sizes_are", "hidden_is", "silence_is"}
    assert used <= {*declared(), *(f"{what}_unknown" for what in unknown)}


def test_every_process_shows_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABDISPATCH_POSTGRES_DSN", raising=False)
    settings = load_settings(max_connections=1_234)
    show_limits(settings)
    told = {
        sample.labels["limit"]: sample.value
        for family in METRICS.limit.metric.collect()
        for sample in family.samples
    }
    assert told["connections"] == 1_234
    assert told["software_of_a_laboratory"] == MAX_SOFTWARE
    own = {name for name, limit in LIMITS.items() if limit == Limit()} - {"file_descriptors"}
    assert set(told) - {labels.OTHER} == set(LIMITS) - own


def test_the_page_is_what_the_table_says() -> None:
    assert metrics_page.OUTPUT.read_text() == metrics_page.page(), (
        "write it anew: python -m ops.metrics_page"
    )


def test_the_page_lists_each_metric_once_under_its_station() -> None:
    named = [name for station in STATIONS for name in metrics_page.names_of(station)]
    assert sorted(named) == sorted(declared())
    text = metrics_page.page()
    for each in declared().values():
        metric = each.metric if isinstance(each, Labelled) else each
        (family,) = metric.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        assert text.count(f"| `{name}` |") >= 1
