"""`labdispatch doctor`: looks at everything at once, and prints what to do."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Final

from ops.printing import print_json
from ops.runtime.settings import Settings, load_settings
from schemas.errors import FatalError

from .around import look_at_brokers, look_at_certificates, look_at_processes
from .checks import Check, Look, State, as_text, bounded, good, wrong
from .database import look_at_database
from .disks import look_at_folders
from .machine import look_at_machine

_WITHOUT_SETTINGS_SECONDS: Final = 10.0


async def examine(data_dir: Path) -> list[Check]:
    """Return what was found, by area; takes `doctor_seconds` at most."""
    try:
        settings = load_settings(data_dir=data_dir)
    except FatalError as error:
        machine = await bounded("machine", look_at_machine, _WITHOUT_SETTINGS_SECONDS)
        return [*machine, *_said(error)]
    looks: list[tuple[str, Look]] = [
        ("machine", look_at_machine),
        ("settings", partial(_settings, settings)),
        ("disks", partial(look_at_folders, settings)),
        ("database", partial(look_at_database, settings)),
        ("broker", partial(look_at_brokers, settings)),
        ("certificates", partial(look_at_certificates, settings)),
        ("processes", partial(look_at_processes, settings)),
    ]
    found = await asyncio.gather(
        *(bounded(area, look, settings.doctor_seconds) for area, look in looks)
    )
    order = [area for area, _ in looks]
    return sorted((each for some in found for each in some), key=lambda c: order.index(c.area))


async def print_examination(data_dir: Path, *, as_json: bool) -> int:
    """Print what was found; give 1 where something is wrong."""
    found = await examine(data_dir)
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(as_text(found))
    return 1 if any(each.state is State.WRONG for each in found) else 0


async def _settings(settings: Settings) -> list[Check]:
    given = len(settings.model_fields_set)
    return [good("settings", "all", f"{given} given, engine {settings.engine.value},"
                 f" realm {settings.realm.value}")]  # fmt: skip


def _said(error: FatalError) -> list[Check]:
    """Return each fault of the settings by itself: all of them are told at once."""
    faults = error.remedy.removesuffix(" (see docs/settings.md)").split("; ")
    return [wrong("settings", "fault", each, "see docs/settings.md") for each in faults]
