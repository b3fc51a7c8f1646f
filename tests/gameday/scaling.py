"""A game day in a tenth of the time: every duration of what operators run, divided. Pure.

Divided are `for`, `keep_firing_for`, the windows and offsets of expressions, how often rules are
worked out and targets scraped, what Alertmanager waits for, and thresholds that are themselves
waits ("has waited for a day"). What the hub needs for its work (a transaction above 2 s, an answer
above 250 ms) and how many of a thing there are stay as they are: a scaled machine is no faster.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
                    "w": 604_800_000}  # fmt: skip
_DURATION: Final = r"(?:\d+(?:ms|[smhdw]))+"
_PART: Final = re.compile(r"(\d+)(ms|[smhdw])")
_WINDOW: Final = re.compile(rf"\[({_DURATION})(?::({_DURATION})?)?\]")
_OFFSET: Final = re.compile(rf"\boffset ({_DURATION})\b")
NO_WAITS: Final = frozenset({"labdispatch_database_clock_offset_seconds"})
"""Figures in seconds that nobody waits for: a clock is off, whatever the scale."""
_AGE: Final = re.compile(
    r"(?P<figure>\b\w+_seconds)(?P<between>(?:\[[^]]*\])?\)* (?:==|!=|[<>]=?)(?: bool)? )"
    r"(?P<number>\d+(?:\.\d+)?(?: \* 86400)?)"
)
"""A figure that ends in `_seconds`, compared with a number; a bucket or a quantile is none."""
_FROM_NOW: Final = re.compile(r"(time\(\) [<>] )(\d+(?: \* 86400)?)")
_AHEAD: Final = re.compile(r"(predict_linear\([^,]*, )(\d+)")
_OF_AN_HOUR: Final = re.compile(r"(\[[^]]*\]\) \* )(3600)\b")
_LEAST_MS: Final = 1_000
"""Nothing is scraped, worked out or waited for more often: processes would do nothing else."""
_LEAST_WINDOW_MS: Final = 15_000
"""What the hub tries again it tries in its own time, seconds apart: a rate has to see two tries."""
_LEAST_WAIT_MS: Final = 10_000
"""Of a group, if it waits at all: causes are seen by Prometheus a turn or two after what follows
from them, and turns of a second are as long in any scale."""

RULE_KEYS: Final = ("for", "keep_firing_for")
CONFIG_KEYS: Final = ("scrape_interval", "scrape_timeout", "evaluation_interval")
ALERTMANAGER_KEYS: Final = ("group_wait", "group_interval", "repeat_interval", "resolve_timeout")


def milliseconds(text: str) -> int:
    """Return a duration of Prometheus (`1h30m`) in milliseconds.

    Raises:
        ValueError: It is none.
    """
    if re.fullmatch(_DURATION, text) is None:
        raise ValueError(f"no duration: {text}")
    return sum(int(count) * _UNITS_MS[unit] for count, unit in _PART.findall(text))


def seconds(text: str) -> float:
    """Return a duration of Prometheus in seconds."""
    return milliseconds(text) / 1_000


def duration(text: str, scale: float, *, least_ms: int = 1) -> str:
    """Return a duration divided by the scale, in the unit that needs no fraction."""
    divided = max(least_ms, round(milliseconds(text) / scale)) if milliseconds(text) else 0
    return f"{divided // 1_000}s" if divided % 1_000 == 0 else f"{divided}ms"


def expression(text: str, scale: float) -> str:
    """Return an expression whose windows, offsets and waits are divided."""

    def window(found: re.Match[str]) -> str:
        least = min(milliseconds(found[1]), _LEAST_WINDOW_MS)
        step = "" if found[2] is None else duration(found[2], scale, least_ms=_LEAST_MS)
        colon = ":" if ":" in found[0] else ""
        return f"[{duration(found[1], scale, least_ms=least)}{colon}{step}]"

    def age(found: re.Match[str]) -> str:
        if found["figure"] in NO_WAITS:
            return found[0]
        return found["figure"] + found["between"] + _number(found["number"], scale)

    def second(found: re.Match[str]) -> str:
        return found[1] + _number(found[2], scale)

    # Before windows change: an hour's count is told by its window.
    for pattern, change in ((_OF_AN_HOUR, second), (_AHEAD, second), (_FROM_NOW, second),
                            (_AGE, age), (_WINDOW, window)):  # fmt: skip
        text = pattern.sub(change, text)
    return _OFFSET.sub(lambda found: f"offset {duration(found[1], scale)}", text)


def rules(text: str, scale: float) -> str:
    """Return a file of rules, everything in it that is a duration divided."""
    loaded = yaml.safe_load(text)
    for group in loaded["groups"]:
        if "interval" in group:
            group["interval"] = duration(group["interval"], scale, least_ms=_LEAST_MS)
        for rule in group["rules"]:
            rule["expr"] = expression(rule["expr"], scale)
            for key in RULE_KEYS:
                if key in rule:
                    rule[key] = duration(rule[key], scale)
    return yaml.safe_dump(loaded, sort_keys=False, width=1_000)


def config(loaded: dict[str, Any], scale: float) -> dict[str, Any]:
    """Return Prometheus' configuration with its intervals divided."""
    found: dict[str, Any] = _walked(loaded, CONFIG_KEYS, scale, _LEAST_MS)
    return found


def alertmanager(loaded: dict[str, Any], scale: float) -> dict[str, Any]:
    """Return Alertmanager's configuration with what it waits for divided."""
    found: dict[str, Any] = _walked(loaded, ALERTMANAGER_KEYS, scale, 1)
    _wait(found.get("route", {}), loaded.get("route", {}))
    return found


def _wait(route: dict[str, Any], real: dict[str, Any]) -> None:
    if "group_wait" in route:
        least = min(milliseconds(real["group_wait"]), _LEAST_WAIT_MS)
        route["group_wait"] = duration(f"{max(least, milliseconds(route['group_wait']))}ms", 1)
    for each, its in zip(route.get("routes", []), real.get("routes", []), strict=True):
        _wait(each, its)


def _number(text: str, scale: float) -> str:
    base, _, days = text.partition(" * ")
    whole = float(base) * (float(days) if days else 1.0)
    return f"{whole / scale:.10g}"


def _walked(value: Any, keys: tuple[str, ...], scale: float, least_ms: int) -> Any:
    if isinstance(value, list):
        return [_walked(each, keys, scale, least_ms) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: duration(each, scale, least_ms=least_ms)
        if key in keys
        else _walked(each, keys, scale, least_ms)
        for key, each in value.items()
    }
