"""The project's own sources, for tests that read them."""

from __future__ import annotations

import ast
import gc
from pathlib import Path


def parsed(path: Path) -> ast.Module:
    """The tree of a source, made without a collection in the middle of it.

    What a collection finds may log, a log may format a traceback, and that parses source: one
    parser inside the other is an error in CPython 3.11.
    """
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        gc.enable()
