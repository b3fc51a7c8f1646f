"""Splink on the same records: the peer. The only module that imports it (extra `linkage`).

Trained as its own documentation does for such data: u by random sampling, m by expectation
maximisation over three blocking rules. A batch: Splink sees all records at once, the stream sees
them one by one. Of its thresholds the one with the best pair F1 at precision 1 is taken, which it
could not know by itself: the comparison is in its favour.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ops.evaluating.standing import Count, Standing

THRESHOLDS: Final = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
_BLOCKING: Final = (
    ("given_name", "surname"), ("date_of_birth",), ("postcode", "surname"),
    ("postcode", "given_name"), ("address_1",), ("suburb", "surname"), ("suburb", "given_name"),
    ("surname", "state", "year"), ("postcode", "year"), ("postcode", "suburb"),
)  # fmt: skip


def best_of_splink(rows: Sequence[dict[str, str]]) -> tuple[Standing, float, float]:
    """Return Splink's best figures on these records, its threshold, and the seconds it took."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    linker, predictions = _trained(rows)
    found = []
    for threshold in THRESHOLDS:
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
            predictions, threshold_match_probability=threshold
        ).as_record_list()
        found.append((_standing(clusters), threshold))
    exact = [pair for pair in found if pair[0].pair_precision == 1] or found
    best, threshold = max(exact, key=lambda pair: pair[0].pair_f1)
    return best, threshold, time.perf_counter() - started


def _standing(clusters: Iterable[dict[str, Any]]) -> Standing:
    count, names = Count(), dict[Any, int]()
    for row in clusters:
        person = names.setdefault(row["cluster_id"], len(names))
        count.take(person, int(row["truth"]), linked=False, reviewed=False)
    return count.standing()


def _trained(rows: Sequence[dict[str, str]]) -> tuple[Any, Any]:
    import pandas as pd  # noqa: PLC0415 - of the extra
    import splink.comparison_library as cl  # noqa: PLC0415
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on  # noqa: PLC0415

    frame = pd.DataFrame(rows).rename(columns={"id": "unique_id"}).replace("", None)
    frame["year"] = frame["date_of_birth"].str[:4]
    settings = SettingsCreator(
        link_type="dedupe_only",
        blocking_rules_to_generate_predictions=[block_on(*rule) for rule in _BLOCKING],
        comparisons=[
            cl.NameComparison("given_name"),
            cl.NameComparison("surname"),
            cl.JaroWinklerAtThresholds("address_1", [0.9, 0.8]),
            cl.JaroWinklerAtThresholds("suburb", [0.9, 0.8]),
            cl.LevenshteinAtThresholds("postcode", [1, 2]),
            cl.ExactMatch("state"),
            cl.DamerauLevenshteinAtThresholds("date_of_birth", [1, 2]),
        ],
    )
    database = DuckDBAPI()
    linker = Linker(database.register(frame), settings)
    linker.training.estimate_probability_two_random_records_match(
        [block_on("date_of_birth", "surname"), block_on("given_name", "surname", "postcode")],
        recall=0.8,
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    for rule in (("date_of_birth",), ("surname", "given_name"), ("postcode",)):
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
    return linker, linker.inference.predict(threshold_match_probability=0.01)
