"""The one table of metrics, put together from its stations."""

from __future__ import annotations

from typing import Final

from .backups import BackupMetrics
from .database import DatabaseMetrics
from .dispatch import DispatchMetrics
from .door import DoorMetrics
from .files import FileMetrics
from .gathering import Gathered
from .indicators import IndicatorMetrics
from .mending import MendingMetrics
from .persons import PersonMetrics
from .process import ProcessMetrics
from .push import PushMetrics
from .retention import RetentionMetrics
from .silence import SilenceMetrics
from .streams import StreamMetrics

STATIONS: Final = (
    DoorMetrics,
    FileMetrics,
    DispatchMetrics,
    PersonMetrics,
    StreamMetrics,
    PushMetrics,
    IndicatorMetrics,
    MendingMetrics,
    SilenceMetrics,
    RetentionMetrics,
    BackupMetrics,
    DatabaseMetrics,
    ProcessMetrics,
)
"""In the order of the road; docs/metrics.md has a part for each."""


class Metrics(
    DoorMetrics,
    FileMetrics,
    DispatchMetrics,
    PersonMetrics,
    StreamMetrics,
    PushMetrics,
    IndicatorMetrics,
    MendingMetrics,
    SilenceMetrics,
    RetentionMetrics,
    BackupMetrics,
    DatabaseMetrics,
    ProcessMetrics,
):
    """The table of metrics. Attribute names are ours, metric names the operators'."""


METRICS: Final = Metrics()
GATHERED: Final = Gathered()
"""Takes the figures that every message at the door has."""
