"""Model files: read, checked, and what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dedup.guards import GUARDS
from dedup.levels import FAMILY, FIELDS, GIVEN, LEVELS
from dedup.model import FOLDER, build, load_model, load_version
from dedup.model_file import FrequencyFile, ModelFile
from dedup.score import posterior_of
from ops import model_names
from schemas.errors import PermanentError
from tests.support.identities import FR, GENERIC


@pytest.mark.parametrize("name", ["fr", "generic"])
def test_a_shipped_model_says_where_it_comes_from(name: str) -> None:
    written = msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=ModelFile)
    assert written.name == name
    assert written.about
    assert {"how", "on"} <= set(written.trained)
    assert load_model(name) is load_model(name)
    assert load_version(load_model(name).version) == load_model(name)


def test_the_service_has_every_guard_and_merges_nobody_online() -> None:
    assert set(FR.guards) == GUARDS
    assert not FR.bridging
    assert FR.prior == 26_000
    assert (FR.link, FR.review, FR.margin) == (6_629, -6_000, 4_000)


def test_generic_has_no_french_guard_and_takes_its_prior_from_the_population() -> None:
    assert load_model("generic").is_prior_open
    assert not GENERIC.guards
    assert GENERIC.bridging
    assert GENERIC.prior == 13_288
    assert not GENERIC.is_prior_open


def test_agreement_speaks_for_and_contradiction_against() -> None:
    for model in (FR, load_model("generic")):
        for field, (name, levels) in enumerate(LEVELS):
            weights = dict(zip(levels, model.weights[field], strict=True))
            assert weights["missing"] == 0
            if any(weights.values()):
                assert weights["exact"] > 0, name
                assert weights[levels[2] if len(levels) == 3 else levels[-1]] < weights["exact"]


def test_frequencies_are_french() -> None:
    assert FR.family_rarity("MARTIN") < FR.family_rarity("QUEFFELEC")
    assert FR.family_rarity("ZZYZX") == FR.unseen_surname
    old, young = FR.given_rarity("NATHALIE", "F", "1965"), FR.given_rarity("NATHALIE", "F", "2012")
    assert old < young
    assert FR.given_rarity("NATHALIE", "F", "") < FR.unseen_given
    assert FR.given_rarity("NATHALIE", "", "1965") > FR.given_rarity("NATHALIE", "F", "")
    assert FR.given_rarity("ZZYZX", "F", "1965") == FR.unseen_given
    assert {"MARIE", "MARTINE", "ANNE", "ANNE MARIE", "JEAN PIERRE"} <= FR.attested
    assert not {"BEBE", "INCONNU"} & FR.attested


def test_the_frequency_file_is_what_its_script_makes() -> None:
    assert model_names.FILE.read_bytes() == model_names.contents()


def test_posterior() -> None:
    assert posterior_of(0) == 0.5
    assert posterior_of(FR.link) == pytest.approx(0.99, abs=1e-5)
    assert posterior_of(10**9) == 1.0
    assert posterior_of(-(10**9)) < 1e-100


def written(**changes: Any) -> ModelFile:
    raw = msgspec.json.decode((FOLDER / "generic.json").read_bytes())
    return msgspec.convert({**raw, **changes}, type=ModelFile)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"fields": {"shoe": {}}}, "field shoe"),
        ({"fields": {"family": {"perfect": {"m": 0.9, "u": 0.1}}}}, "level perfect of family"),
        ({"guards": {"horoscope": "review"}}, "guard horoscope"),
        ({"guards": {"given_missing": "link"}}, "guard given_missing"),
        ({"tight": {"x": ["moon"]}}, "key part moon"),
    ],
)
def test_a_model_that_names_what_is_not_there_is_refused(
    changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(PermanentError, match=named):
        build(written(**changes))


def test_a_level_that_is_not_named_weighs_nothing() -> None:
    model = build(written(fields={"sex": {"exact": {"m": 0.98, "u": 0.49}}}))
    assert model.weights[FIELDS.index("sex")] == (0, 1_000, 0)
    assert set(model.weights[FAMILY]) == {0}


def test_rarity_takes_the_place_of_the_average() -> None:
    names = FrequencyFile(
        about="",
        source="",
        licence="",
        unseen_surname_bits=18,
        unseen_given_bits=15,
        surnames={"40": "SMITH", "80": "ZHANG,OLSEN"},
        given={"F": {"48": "ANNA"}},
    )
    fields = {"family": {"exact": {"m": 0.9, "u": 2**-8, "frequency": 1.0}}}
    model = build(written(fields=fields), names)
    assert model.usual_family[1] == 8_000
    assert model.family_rarity("SMITH") == 5_000
    assert model.family_rarity("OLSEN") == 10_000
    assert model.given_shares[GIVEN] == 0


def test_files_that_are_no_models_say_so(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="model_missing"):
        load_model(str(tmp_path / "none.json"))
    broken = tmp_path / "broken.json"
    broken.write_text('{"name": "x"}')
    with pytest.raises(PermanentError, match="model_unreadable"):
        load_model(str(broken))
    with pytest.raises(PermanentError, match="model_missing"):
        load_version("fr-0")
