"""The ten faults of a game day, in the order in which they are played."""

from __future__ import annotations

from typing import Final

from . import faults_road, faults_who
from .fault import Fault

FAULTS: Final[dict[str, Fault]] = {
    each.name: each for each in (*faults_road.FAULTS, *faults_who.FAULTS)
}
