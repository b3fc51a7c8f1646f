"""Which route of Alertmanager an alert takes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def matches(matcher: str, labels: Mapping[str, str]) -> bool:
    """Say whether labels fit one of Alertmanager's matchers."""
    found = re.fullmatch(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*', matcher)
    assert found is not None, f"not understood: {matcher}"
    name, how, wanted = found.groups()
    value = labels.get(name, "")
    fits = value == wanted if how in {"=", "!="} else re.fullmatch(wanted, value) is not None
    return fits != how.startswith("!")


def route_of(route: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the route that labels take, with what it has of the ones above it."""
    for each in route.get("routes", []):
        if all(matches(one, labels) for one in each.get("matchers", [])):
            above = {key: value for key, value in route.items() if key != "routes"}
            return route_of({**above, **each}, labels)
    return dict(route)
