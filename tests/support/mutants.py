"""Disclosure control with a known defect in it: what an attack that is one must find.

Each of these was either a defect of ours once, or is what a simpler rule would do. They replace one
function of the rules while they last. tests/properties/test_disclosure.py and
test_disclosure_tight.py name those that are found, each with a seed; the others wait for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from unittest import mock

from routing import (
    disclosure,
    disclosure_blocks,
    disclosure_deciding,
    disclosure_revising,
    disclosure_times,
)
from routing.disclosure_cells import ELSEWHERE, WEEK, Node, Shown, Told, counts_of
from routing.disclosure_deciding import Deciding
from routing.disclosure_sexes import Sexes
from schemas.figures import ALL_AGES, FRANCE, SEXES, Figure, Period

Mutant = Callable[[], Any]


def no_secondary() -> Any:
    """Small cells are withheld, and no sister with them."""
    return mock.patch.object(Deciding, "_tell_less", return_value=None)


def france_less_its_regions() -> Any:
    """What regions withhold of France is not solved; departments of a region are."""
    real = Deciding._tell_less

    def tell_less(self: Deciding, group: str, parent: str, children: Sequence[str]) -> None:
        if parent != FRANCE:
            real(self, group, parent, children)

    return mock.patch.object(Deciding, "_tell_less", tell_less)


def limits_level_by_level() -> Any:
    """Positives are solved at each level by itself, though tests limit them at all at once."""
    return mock.patch.object(Deciding, "_solve_below", return_value=None)


def residence_unknown() -> Any:
    """Who lives nowhere known is forgotten, though France less its regions is what they are."""
    real = disclosure_times.children_of_all

    def children(every: Iterable[str]) -> dict[str, list[str]]:
        found = real(every)
        found[FRANCE].remove(ELSEWHERE)
        return found

    return mock.patch.object(disclosure_blocks, "children_of_all", children)


def windows_without_persons() -> Any:
    """Persons of seven days are told wherever the days' are, but for those that are few."""
    return mock.patch.object(disclosure._Sight, "tells_window", return_value=True)


def windows_of_weeks() -> Any:
    """Rolling sums are told where the week is: each day follows from two."""
    real = disclosure._times_of

    def times_of(period: str, label: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        parts = real(period, label)
        return ((parts[-1][0], (WEEK,)),) if period == Period.SEVEN_DAYS else parts

    return mock.patch.object(disclosure, "_times_of", times_of)


def wrong_join() -> Any:
    """Who tells a class no more does not join it with its neighbour, but leaves it out."""

    def close(self: Told, node: Node) -> None:
        if node in self.nodes:
            del self.nodes[node]

    return mock.patch.object(Told, "close", close)


def zeros_are_told() -> Any:
    """Nobody is told as 0 also where the count is withheld to protect another."""
    real = disclosure._without

    def without(figure: Figure, groups: Iterable[str]) -> Figure:
        return real(figure, {each for each in groups if any(counts_of(figure, each))})

    return mock.patch.object(disclosure, "_without", without)


def unlimited_positives() -> Any:
    """Positives are solved as if there could be more of them than tests."""
    return mock.patch.object(Deciding, "_limits", return_value={})


def limits_that_are_told() -> Any:
    """Positives are limited by the tests that are told alone, not by what others of them are."""
    real = Deciding._limits

    def limits(self: Deciding, group: str, measure: int, layout: Any, *, is_own: bool) -> Any:
        assert isinstance(is_own, bool)
        return real(self, group, measure, layout, is_own=True)

    return mock.patch.object(Deciding, "_limits", limits)


def tests_without_positives() -> Any:
    """Tests are moved as if nothing were told of the positives among them."""
    return mock.patch.object(disclosure_deciding, "_INNER", {})


def rounded_instead() -> Any:
    """Counts are rounded to multiples of 5 in place of being withheld."""

    def protected(figure: Figure, policy: disclosure.Policy, _: Any) -> Figure:
        return disclosure._rounded(figure, policy)

    return mock.patch.object(disclosure, "_protected", protected)


def rates_stay() -> Any:
    """Counts are withheld, the rates that are made of them are told."""
    return mock.patch.object(disclosure, "_RATES", {})


def class_of_each() -> Any:
    """Every small area is given its class, however narrow that is."""

    def lowest(_: Shown, figures: Iterable[Figure], policy: Any, __: Any) -> tuple[str, ...]:
        limit = policy.incidence_classes[1]
        return tuple(
            figure.area
            for figure in figures
            if figure.period == Period.WEEK
            and figure.age_class == ALL_AGES
            and not figure.sex
            and (figure.cases or 0) * 100_000 < limit * (figure.population or 0)
        )

    return mock.patch.object(disclosure_blocks, "_lowest", lowest)


def unknown_ages() -> Any:
    """Those of unknown age or sex, who are in no class, are not solved."""
    return mock.patch.object(Deciding, "_of_unknown", return_value=[])


def sexes_of_unknown_age() -> Any:
    """Those of a sex who are few, and all of unknown age, are forgotten."""
    return mock.patch.object(Sexes, "tell_less", return_value=None)


def regions_without_departments() -> Any:
    """What departments tell may say how few another region has, where tests limit positives."""
    return mock.patch.object(Deciding, "_leave_room", return_value=None)


def totals_of_a_sex() -> Any:
    """A total of a sex is told where its ages are, whoever is of unknown age."""

    def add_totals(self: Deciding, group: str, _: Mapping[str, Sequence[str]]) -> None:
        for time in self._settled:
            both = [Node(time, sex=sex) for sex in SEXES]
            for told in self._told[group].values():
                if all(told.tells(total) and total not in told.nodes for total in both):
                    told.totals.update(both)

    return mock.patch.object(Deciding, "add_totals", add_totals)


def forgotten_extractions() -> Any:
    """What an earlier extraction withheld may be told by a later one."""
    real = disclosure_blocks.decide

    def decide(  # noqa: PLR0917
        figures: Any,
        policy: Any,
        on: Any,
        before: Any = None,
        last_week: Any = (),
        most: Any = None,
    ) -> Shown:
        assert before is None or isinstance(before, Shown)
        return real(figures, policy, on, None, last_week, most)

    return mock.patch.object(disclosure, "decide", decide)


def revisions_unprotected() -> Any:
    """A later extraction tells whatever may be told by itself: what came follows by subtraction."""
    return mock.patch.object(disclosure_revising, "hold", lambda now, _, __: list(now))
