from __future__ import annotations

import pytest

from ops.evaluating.standing import Count, Standing, Unions


def standing(*records: tuple[int, int], reviewed: frozenset[int] = frozenset()) -> Standing:
    """Count (person, truth) in their order; a person's first record is new, others are links."""
    count, seen = Count(), set[int]()
    for number, (person, truth) in enumerate(records):
        count.take(person, truth, linked=person in seen, reviewed=number in reviewed)
        seen.add(person)
    return count.standing()


def test_all_right_is_one_everywhere() -> None:
    found = standing((1, 7), (1, 7), (2, 8), (1, 7))
    assert (found.pair_precision, found.pair_recall, found.pair_f1, found.cluster_f1) == (
        1,
        1,
        1,
        1,
    )
    assert (found.pairs_true, found.persons, found.true_persons) == (3, 2, 2)
    assert found.false_links == 0


def test_a_split_costs_recall_alone() -> None:
    # Truth 7 has four records, in persons of 3 and 1: 3 of 6 pairs.
    found = standing((1, 7), (1, 7), (1, 7), (2, 7))
    assert (found.pairs_right, found.pairs_made, found.pairs_true) == (3, 3, 6)
    assert found.pair_precision == 1
    assert found.pair_recall == 0.5
    assert found.pair_f1 == pytest.approx(2 / 3)
    assert found.cluster_f1 == 0
    assert found.b_cubed_precision == 1
    assert found.b_cubed_recall == pytest.approx((3 * 3 / 4 + 1 / 4) / 4)
    assert found.false_links_per_million == 0


def test_a_false_link_costs_precision_and_is_counted_by_the_founder() -> None:
    # Person 1 is 7's; two records of 8 come in. The two of 8 are a right pair by chance.
    found = standing((1, 7), (1, 8), (1, 8), (2, 9))
    assert (found.pairs_right, found.pairs_made, found.pairs_true) == (1, 3, 1)
    assert found.false_links == 2
    assert found.false_links_per_million == 500_000
    assert found.clusters_right == 1
    assert found.cluster_f1 == pytest.approx(2 / 5)


def test_reviews_are_a_share_of_records() -> None:
    found = standing((1, 7), (2, 7), (3, 8), (4, 9), reviewed=frozenset({1}))
    assert found.review_share == 0.25


def test_nothing_at_all_is_no_division_by_zero() -> None:
    found = Count().standing()
    assert (found.pair_f1, found.review_share, found.false_links_per_million) == (1, 0, 0)


def test_persons_that_became_one_count_as_one() -> None:
    count, unions = Count(), Unions()
    for person, truth in ((1, 7), (2, 7), (3, 7), (4, 8)):
        count.take(person, truth, linked=False, reviewed=False)
    unions.join(2, 3)
    unions.join(1, 3)
    found = count.standing(unions.ends())
    assert unions.ends() == {2: 1, 3: 1}
    assert (found.pair_f1, found.cluster_f1, found.persons) == (1, 1, 2)


def test_figures_agree_with_listing_every_pair() -> None:
    records = [(n * 7 % 5, n * 3 % 4) for n in range(40)]
    made = {(i, j) for i in range(40) for j in range(i) if records[i][0] == records[j][0]}
    true = {(i, j) for i in range(40) for j in range(i) if records[i][1] == records[j][1]}
    found = standing(*records)
    assert found.pair_precision == len(made & true) / len(made)
    assert found.pair_recall == len(made & true) / len(true)
