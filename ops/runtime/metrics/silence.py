"""Laboratories against their own past: silent ones, those that send too little, the network."""

from __future__ import annotations

from .declaring import gauge, gauges
from .labels import STANDINGS


class SilenceMetrics:
    """Silent laboratories: each against its own past; one api process looks and tells."""

    def __init__(self) -> None:
        super().__init__()
        self.laboratories_standing = gauges(
            "laboratories_standing",
            "Live laboratories by how they stand against their own past",
            mode="livemostrecent",
            standing=STANDINGS,
        )
        self.laboratories_judged = gauge(
            "laboratories_judged",
            "Live laboratories whose past is long enough to judge them",
            mode="livemostrecent",
        )
        self.network_completeness = gauge(
            "network_completeness_ratio",
            "Messages of the last 24 hours of what these laboratories usually send in such hours",
            mode="livemostrecent",
        )
        self.silence_pasts_due = gauge(
            "silence_pasts_due",
            "Live laboratories whose past is to be learned: each is, once a day",
            mode="livemostrecent",
        )

    def silence_is_unknown(self) -> None:
        """Take back what was told: another process looks now, or nobody can."""
        told = (self.laboratories_judged, self.network_completeness, self.silence_pasts_due)
        for each in (*told, *self.laboratories_standing.told()):
            each.set(float("nan"))
