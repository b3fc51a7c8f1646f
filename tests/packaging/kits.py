"""A kit that resolves programs, alone in a tree, with only what a case puts there on its PATH.

No network is asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from .tree import ROOT, tracked

_WITH_IT: Final = (
    "tests/__init__.py",
    "tests/support/__init__.py",
    "tests/support/debian.py",
    "ops/__init__.py",
    "ops/kit.py",
)


class Kit:
    """A kit's files below a folder, and what its resolver says there.

    Args:
        name: Of its folder in tests/support.
        room: An empty folder.
    """

    def __init__(self, name: str, room: Path) -> None:
        self.tree = room / "tree"
        self.path = room / "bin"
        self.folder = self.tree / "tests" / "support" / name
        self._module = f"tests.support.{name}.resolve"
        self.path.mkdir()
        (self.path / "sh").symlink_to("/bin/sh")
        for path in tracked():
            if path.startswith(f"tests/support/{name}/") or path in _WITH_IT:
                (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, self.tree / path)

    def resolved(self, **tools: str) -> subprocess.CompletedProcess[str]:
        """Run the resolver with these programs on its PATH and no others; `_` stands for `-`."""
        for name, script in tools.items():
            program = self.path / name.replace("_", "-")
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-m", self._module],
            capture_output=True, text=True, check=False, cwd=self.tree,
            env={**kept, "PATH": str(self.path), "PYTHONPATH": str(self.tree)},
        )  # fmt: skip

    def forget(self) -> None:
        """Take all programs off its PATH."""
        for each in self.path.iterdir():
            if each.name != "sh":
                each.unlink()
