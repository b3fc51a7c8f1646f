"""What may be told: the policy of disclosure control and the population, as the settings say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import blake2b
from typing import Final

import msgspec

from ops.runtime.settings import Settings
from routing.delays import ShownDelays, WeekTests, decide_delays, delay_figures
from routing.disclosure import Block, Policy, Shown, decide, protect
from schemas.areas import region_of
from schemas.areas.population import Population, read_population, synthetic_population
from schemas.decision import Realm
from schemas.errors import FatalError, PermanentError
from schemas.figures import DelayFigure, Figure, Flag

from .tables import with_rates

_REVISION_DAYS: Final = "8,22"


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """Policy and population; another one of either publishes everything anew."""

    policy: Policy
    population: Population

    @property
    def name(self) -> str:
        """What counts were protected by, and rates computed with: a digest with the threshold."""
        return self._named((self.policy, sorted(self.population.counts.items())))

    @property
    def policy_name(self) -> str:
        """What delays were protected by: nobody's number of inhabitants has a part in them.

        Were it of the population, too, each year's file would tell every week once more, with what
        has come late since: the difference of two tellings is somebody's late result.
        """
        return self._named(self.policy)

    def _named(self, what: object) -> str:
        digest = blake2b(msgspec.msgpack.encode(what), digest_size=6).hexdigest()
        return f"threshold {self.policy.threshold}, {digest}"

    @property
    def unsettled_days(self) -> int:
        """For how long after a week it may be told more of it, though nothing has changed."""
        return max(1, self.policy.settle_days + 1)

    def population_of(self, area: str, age_class: str, sex: str) -> int | None:
        """Return how many live there; None where it is not known."""
        return self.population.of(area, age_class, sex)

    def region_of(self, department: str) -> str:
        """Return the region of a department, empty where the department is unknown."""
        return region_of(department)

    def decide(
        self, figures: Sequence[Figure], on: date, before: Shown | None, last_week: Sequence[Figure]
    ) -> Shown:
        """Say what may be shown of a condition's week or month."""
        return decide(figures, self.policy, on, before, last_week)

    def decide_change(
        self,
        figures: Sequence[Figure],
        on: date,
        before: Shown | None,
        most: tuple[Sequence[Figure], Shown] | None = None,
    ) -> Shown:
        """Say what could be shown of what has come, or gone: no more than there was."""
        return decide(figures, self.policy, on, before, (), most)

    def decide_delays(
        self, tests: WeekTests, shown: Shown, before: ShownDelays | None
    ) -> ShownDelays:
        """Say how finely a condition's week may tell its delays."""
        return decide_delays(tests, shown, self.policy, before)

    def delay_figures(
        self, condition: str, week: str, tests: WeekTests, shown: ShownDelays
    ) -> list[DelayFigure]:
        """Return a week's delays as they may be published."""
        return delay_figures(condition, week, tests, shown, self.policy)

    def protect(self, figures: Sequence[Figure], shown: Mapping[Block, Shown]) -> list[Figure]:
        """Return figures as they may be published, with the rates that follow from what is left."""
        found = [with_rates(figure) for figure in protect(figures, self.policy, shown)]
        if not self.population.synthetic:
            return found
        mark = Flag.SYNTHETIC_POPULATION.value
        return [
            msgspec.structs.replace(figure, flags=(*figure.flags, mark))
            if figure.population is not None and mark not in figure.flags
            else figure
            for figure in found
        ]


def protection_of(settings: Settings) -> Protection:
    """Return what the settings say.

    Raises:
        FatalError: The file of the population cannot be read (`population_file_invalid`).
    """
    ages = settings.disclosure_revision_days
    if ages is None:
        ages = "" if settings.realm is Realm.TEST else _REVISION_DAYS
    policy = Policy(
        threshold=settings.disclosure_threshold,
        settle_days=settings.disclosure_settle_days,
        daily_from=settings.disclosure_daily_from,
        class_below=settings.disclosure_class_below,
        rounding=settings.disclosure_rounding,
        revision_days=tuple(sorted(map(int, filter(None, ages.split(","))))),
    )
    return Protection(policy=policy, population=population_of(settings))


def population_of(settings: Settings) -> Population:
    """Return the operator's population, else the synthetic one that says so.

    Raises:
        FatalError: The file cannot be read (`population_file_invalid`).
    """
    path = settings.population_file
    if path is None:
        return synthetic_population()
    try:
        return read_population(path.read_text("utf-8").splitlines(), path.name)
    except (OSError, ValueError):
        raise FatalError(
            "population_file_invalid", "LABDISPATCH_POPULATION_FILE is no readable UTF-8 file"
        ) from None
    except PermanentError as error:
        raise FatalError(error.reason, error.remedy) from None
