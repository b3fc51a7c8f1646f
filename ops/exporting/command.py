"""`labdispatch export`: what it does and prints."""

from __future__ import annotations

from pathlib import Path

from .manifest import Ask


async def run_export(
    data_dir: Path,
    ask: Ask,
    out: Path,
    *,
    extraction: str,
    actor: str | None,
    reason: str,
    as_json: bool,
) -> int:
    """Write an export, or go on with one, and say what is there."""
    raise NotImplementedError
