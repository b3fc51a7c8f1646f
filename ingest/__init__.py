"""Bytes in, durable acceptance out. The pure modules may have compiled twins (`ops/compile.py`).

A twin is taken only where it was made by this Python of these very sources; where there is none,
or another, plain Python does the same. `python -X labdispatch=plain` never takes one.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Final

TWINS: Final = Path(__file__).parent / "_compiled"
"""Where `ops/compile.py` puts them, with a MANIFEST of what they were made of."""
LIBRARY: Final = "ingest_twins"


def sources_digest() -> str:
    """Return the digest of all that twins are made of: Python, `ingest` and `schemas`."""
    digest = blake2b(sys.version.encode(), digest_size=16)
    root = Path(__file__).parent.parent
    for package in ("ingest", "schemas"):
        for path in sorted((root / package).rglob("*.py")):
            content = path.read_bytes()
            digest.update(b"%s %d\n" % (path.name.encode(), len(content)))
            digest.update(content)
    return digest.hexdigest()


def _take_twins() -> bool:
    """Put the twins before the sources, if they are of these sources."""
    manifest = TWINS / "MANIFEST"
    chosen = sys._xoptions.get("labdispatch")  # noqa: SLF001 - where -X options are documented to be
    if chosen == "plain" or not manifest.exists():
        return False
    if manifest.read_text() != sources_digest():
        return False
    name = f"{LIBRARY}__mypyc"
    path = TWINS / f"{name}{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        return False
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    __path__.insert(0, str(TWINS))
    return True


IS_COMPILED: Final = _take_twins()
"""Whether the pure modules of this process are compiled twins."""
