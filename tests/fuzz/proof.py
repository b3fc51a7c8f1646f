"""The long run: every target by coverage, for hours; a row for each in `results/fuzz.csv`.

`python -m tests.fuzz.proof --hours 8`, or `make proof-fuzz HOURS=8`. The time is shared between the
targets. What was found new by coverage is minimised into `--keep`, for somebody to choose from.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from benchmarks.results import Row, append, show
from tests.fuzz.mutate import TOKENS
from tests.fuzz.targets import CORPUS, SLOW_SECONDS, TARGETS

_COVERAGE: Final = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
_MAX_BYTES: Final = 16_384


@click.command()
@click.option("--hours", type=click.FloatRange(min=0.001), default=1.0, show_default=True)
@click.option("--only", type=click.Choice(sorted(TARGETS)), help="One target alone.")
@click.option(
    "--keep", type=click.Path(path_type=Path), default=None, help="Folder for new inputs."
)
def main(hours: float, only: str | None, keep: Path | None) -> None:
    """Fuzz every target, and fail if one input was not answered for."""
    names = [only] if only else list(TARGETS)
    seconds = max(1, round(hours * 3_600 / len(names)))
    failed, rows, lines = [], [], []
    for name in names:
        state, log, is_clean = _fuzzed(name, seconds, keep)
        coverage = _COVERAGE.findall(log)
        edges, features, kept = map(int, coverage[-1]) if coverage else (0, 0, 0)
        inputs = int(state["inputs"])
        rows.append(
            Row(
                engine="none",
                parameters={
                    "target": name,
                    "hours": round(state["seconds"] / 3_600, 4),
                    "uncaught": 0 if is_clean else 1,
                    "over_100_ms": int(state["slow"]),
                    "slowest_ms": round(state["slowest_ms"], 2),
                    "edges": edges,
                    "features": features,
                    "corpus": kept,
                    "memory_early_mib": round(state["early_kib"] / 1_024),
                    "memory_mib": round(state["memory_kib"] / 1_024),
                },
                figure=inputs,
                unit="inputs",
            )
        )
        lines.append(
            (name, f"{inputs:,}", f"{state['slowest_ms']:.1f}", int(state["slow"]), edges, kept)
        )
        if not is_clean:
            failed.append(name)
            print(log[-4_000:])
    show(
        f"fuzzed {hours:g} hours in all, no input may take over {SLOW_SECONDS * 1_000:.0f} ms",
        ("target", "inputs", "slowest ms", "over", "edges", "corpus"),
        lines,
    )
    append("fuzz", rows, ("atheris", "msgspec"))
    if failed:
        raise click.ClickException(f"not answered for: {', '.join(failed)}")


def _fuzzed(name: str, seconds: int, keep: Path | None) -> tuple[dict[str, float], str, bool]:
    """Run one target in a process of its own; return its state, its log and whether it is clean."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        corpus, state, words = folder / "corpus", folder / "state.json", folder / "words"
        corpus.mkdir()
        words.write_text("".join(f'"{_quoted(token)}"\n' for token in TOKENS))
        done = subprocess.run(
            [
                sys.executable, "-X", "labdispatch=plain", "-m", "tests.fuzz.run", name, str(state),
                f"-max_total_time={seconds}", f"-max_len={_MAX_BYTES}", f"-dict={words}",
                "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={folder}/",
                "-print_final_stats=1", "-use_value_profile=0",
                str(corpus), str(CORPUS / TARGETS[name][1]),
            ],
            capture_output=True, check=False, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        log = (done.stdout + done.stderr).decode(errors="replace")
        for crash in [*folder.glob("crash-*"), *folder.glob("timeout-*"), *folder.glob("oom-*")]:
            log += f"\n{crash.name}: {crash.read_bytes()!r}"
        if keep is not None:
            shutil.copytree(corpus, keep / name, dirs_exist_ok=True)
            shutil.copy(state.with_suffix(".slowest"), keep / f"{name}.slowest")
        if not state.exists():
            raise click.ClickException(f"{name} did not run: {log[-2_000:]}")
        return json.loads(state.read_text()), log, done.returncode == 0


def _quoted(token: bytes) -> str:
    return "".join(f"\\x{byte:02X}" for byte in token)


if __name__ == "__main__":
    main()
