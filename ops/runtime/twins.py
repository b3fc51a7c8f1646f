"""Compiled twins of pure modules: taken only where this Python made them of these very sources.

Without twins, or with twins of other sources, plain Python does the same; `python -X
labdispatch=plain` never takes one (ADR 0011). Made by `ops/compile.py`.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Final

FOLDER: Final = "_compiled"
"""Where a package keeps its twins, with a MANIFEST of what they were made of."""


def library_of(package: str) -> str:
    """Return the name of the library that all twins of a package are in."""
    return f"{package}_twins"


def sources_digest(root: Path) -> str:
    """Return the digest of all that a package's twins are made of: Python, itself and `schemas`.

    Args:
        root: Folder of the package.
    """
    digest = blake2b(sys.version.encode(), digest_size=16)
    for package in (root, root.parent / "schemas"):
        for path in sorted(package.rglob("*.py")):
            content = path.read_bytes()
            digest.update(b"%s %d\n" % (path.name.encode(), len(content)))
            digest.update(content)
    return digest.hexdigest()


def take(package: str, root: Path, search_path: list[str]) -> bool:
    """Put a package's twins before its sources, if they are of these sources; say whether.

    Args:
        package: Its name.
        root: Its folder.
        search_path: Its `__path__`.
    """
    twins = root / FOLDER
    manifest = twins / "MANIFEST"
    chosen = sys._xoptions.get("labdispatch")  # noqa: SLF001 - where -X options are documented to be
    if chosen == "plain" or not manifest.exists():
        return False
    if manifest.read_text() != sources_digest(root):
        return False
    name = f"{library_of(package)}__mypyc"
    path = twins / f"{name}{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        return False
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    search_path.insert(0, str(twins))
    return True
