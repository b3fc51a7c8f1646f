"""Who gets what of a report. The pure modules may have compiled twins (`ops/compile.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ops.runtime import twins

IS_COMPILED: Final = twins.take(__name__, Path(__file__).parent, __path__)
"""Whether the pure modules of this process are compiled twins."""
