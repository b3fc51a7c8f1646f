"""Make compiled twins of the pure modules on the hot path: `python -m ops.compile`.

Needs mypy (of the development environment) and a C compiler. Never required: without twins, or
with twins of other sources, plain Python does the same, and the same tests run on both.
"""

from __future__ import annotations

import ast
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from mypyc.build import mypycify
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

from ops.runtime.twins import FOLDER, library_of, sources_digest

MODULES: Final = {
    "ingest": (
        "numbers",
        "charset",
        "escapes",
        "er7",
        "bounds",
        "times",
        "header",
        "reading",
        "groups",
        "observations",
        "orders",
        "traits",
        "documents",
        "mapping",
        "names",
        "french",
        "checker",
        "segment_walk",
        "order_walk",
        "leaves",
        "ack",
        "software",
        "judge",
    ),
    "dedup": (
        "names",
        "places",
        "telecoms",
        "normalize",
        "keys",
        "compare",
        "score",
        "guards",
        "weighed",
        "decide",
    ),
    "routing": (
        "places",
        "fhir",
        "fhir_statuses",
        "fhir_units",
        "fhir_values",
        "fhir_actors",
        "fhir_patient",
        "grouping",
        "dossier",
        "public_health",
        "tracing",
    ),
}
"""Modules by package; all of them pure."""


def main() -> None:
    """Compile, and put a package's twins in their place only when all of them are made."""
    for package, modules in MODULES.items():
        _compile(package, modules)


def _compile(package: str, modules: tuple[str, ...]) -> None:
    root = Path.cwd() / package
    for name in modules:
        _check_classes(root / f"{name}.py")
    digest, goal = sources_digest(root), root / FOLDER
    shutil.rmtree(goal, ignore_errors=True)
    library = library_of(package)
    with tempfile.TemporaryDirectory() as scratch:
        extensions = mypycify(
            [f"{package}/{name}.py" for name in modules],
            group_name=library,
            target_dir=scratch,
            opt_level="3",
        )
        made = Path(scratch) / "made"
        build = build_ext(Distribution({"name": library, "ext_modules": extensions}))
        build.build_lib, build.build_temp = str(made), str(Path(scratch) / "temp")
        build.ensure_finalized()
        build.run()
        twins = Path(scratch) / "twins"
        twins.mkdir()
        for path in (*made.glob("*.so"), *(made / package).glob("*.so")):
            shutil.copy(path, twins)
        (twins / "MANIFEST").write_text(digest)
        shutil.copytree(twins, goal)
    sys.stdout.write(f"{len(modules)} modules compiled into {package}/{FOLDER}\n")


def _check_classes(path: Path) -> None:
    """Refuse a class with keywords: mypyc drops them, and a frozen Struct would not be frozen."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and node.keywords:
            raise SystemExit(
                f"{path.name}:{node.lineno}: {node.name} has keywords that a twin would lose: "
                "let it inherit them, or move it into a module that stays plain"
            )


if __name__ == "__main__":
    main()
