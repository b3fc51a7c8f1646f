"""Words that all settings share: prefix, engine, and kinds of numbers with their bounds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

PREFIX: Final = "LABDISPATCH_"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Days = Annotated[int, Field(ge=2, le=3_650)]


class Engine(StrEnum):
    """What lies below the intake log and the streams."""

    EMBEDDED = "embedded"
    CLUSTER = "cluster"
