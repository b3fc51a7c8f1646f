"""One target under atheris, until libFuzzer's options say stop: `python -m tests.fuzz.run TARGET`.

Writes after every few inputs how many there were, the slowest, and the memory, as JSON, to the file
that `--state` names. All other arguments go to libFuzzer.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ingest", "schemas"]):
    from tests.fuzz.targets import SLOW_SECONDS, TARGETS

_EVERY = 2_000


def main() -> None:
    """Fuzz; libFuzzer ends the process."""
    name, state, *options = sys.argv[1:]
    target, _ = TARGETS[name]
    path, began = Path(state), time.monotonic()
    inputs, slowest, slow, early = 0, 0.0, 0, 0

    def one(raw: bytes) -> None:
        nonlocal inputs, slowest, slow, early
        # Of the processor: others on the machine must not make an input slow.
        started = time.thread_time()
        target(raw)
        taken = time.thread_time() - started
        inputs += 1
        if taken > slowest:
            slowest = taken
            path.with_suffix(".slowest").write_bytes(raw)
        if taken > SLOW_SECONDS:
            slow += 1
        if inputs % _EVERY == 0:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            early = early or memory
            path.write_text(json.dumps({
                "inputs": inputs, "seconds": time.monotonic() - began, "slow": slow,
                "slowest_ms": slowest * 1_000, "early_kib": early, "memory_kib": memory,
            }))  # fmt: skip

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
