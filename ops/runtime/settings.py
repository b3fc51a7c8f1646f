"""Every setting, in one place: `LABDISPATCH_<NAME>` in the environment, checked at start.

docs/settings.md is generated from this module (`python -m ops.settings_page`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.decision import Realm
from schemas.errors import FatalError

from .kafka_security import KafkaSecurity
from .secret_file import read_secret
from .settings_dispatch import DispatchSettings
from .settings_doors import DoorsSettings
from .settings_fit import is_loopback, problems
from .settings_indicators import IndicatorsSettings
from .settings_instance import InstanceSettings
from .settings_intake import IntakeSettings
from .settings_keeping import KeepingSettings
from .settings_kinds import PREFIX, Engine, Seconds
from .settings_streams import StreamsSettings

METRICS_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

__all__ = [
    "METRICS_FOLDER_VARIABLE",
    "PREFIX",
    "Engine",
    "Settings",
    "is_loopback",
    "load_settings",
]


class Settings(
    KeepingSettings,
    IndicatorsSettings,
    StreamsSettings,
    DispatchSettings,
    IntakeSettings,
    DoorsSettings,
    InstanceSettings,
    BaseSettings,
):
    """The settings of every process: those of each station (modules beside this) and of running."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        # A compose file can only hand on a variable, not leave it out.
        env_ignore_empty=True,
    )

    # -- running
    station_name: str = Field(
        "",
        max_length=40,
        pattern="^[a-z0-9-]*$",
        description="Name of this process among those of a run; default: its role.",
    )
    behind_the_door_nice: int = Field(
        10,
        ge=0,
        le=19,
        description="How far inbound, dispatch, relay, push and indicators stand back (nice)"
        " where processors are short.",
    )
    shutdown_seconds: Seconds = Field(
        4.0, description="How long a process takes at most to stop in order."
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        le=3_600,
        description="How long `api` still serves, and says `draining` on /readyz, once it is told"
        " to stop: for a load balancer to look elsewhere.",
    )
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="The least level that is logged.",
    )
    log_format: str = Field(
        "json", pattern="^(json|text)$", description="`json` or `text` (for a terminal)."
    )
    failpoints: str = Field(
        "", description="Tests only: name=kill|stop|raise|transient[@N], separated by commas."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        found = list(problems(self))
        if found:
            raise ValueError("\n".join(found))
        return self

    @property
    def counts_together(self) -> bool:
        """Whether processes of this data folder count connections together, as those of `run`."""
        return self.mllp_share_port or bool(self.station_name)

    @property
    def partition_count(self) -> int:
        """How many partitions a new instance gets."""
        return self.partitions or (16 if self.engine is Engine.EMBEDDED else 64)

    @property
    def inbound_topic_names(self) -> tuple[str, ...]:
        """The inbound topics, each once."""
        return tuple(dict.fromkeys(name for name in self.inbound_topics.split(",") if name))

    @property
    def figures_places(self) -> tuple[str, ...]:
        """Where the processes' figures are, each once."""
        return tuple(dict.fromkeys(each for each in self.figures_addresses.split(",") if each))

    @property
    def database_address(self) -> str:
        """Cluster: where the database is, with our name and password.

        Raises:
            FatalError: The file that should say it cannot be used (`settings_invalid`).
        """
        if self.postgres_dsn is not None:
            return self.postgres_dsn.get_secret_value()
        assert self.postgres_dsn_file is not None, "settings check it"
        return read_secret(self.postgres_dsn_file, "postgres_dsn_file")

    @property
    def keys_folder(self) -> Path:
        """Where the sealing keys lie."""
        return self.keys_dir or self.data_dir / "keys"

    @property
    def accounts_folder(self) -> Path:
        """Where laboratories' daily reports are written."""
        return self.account_folder or self.data_dir / "accounts"

    @property
    def kafka_security(self) -> KafkaSecurity:
        """How the brokers are spoken to."""
        return KafkaSecurity(
            protocol=self.kafka_protocol,
            ca=self.kafka_ca,
            cert=self.kafka_cert,
            key=self.kafka_key,
            mechanism=self.kafka_sasl_mechanism,
            user=self.kafka_sasl_user,
            password_file=self.kafka_sasl_password_file,
        )

    @property
    def needs_standby(self) -> bool:
        """Whether the database must name a standby that waits for every commit."""
        return self.engine is Engine.CLUSTER and self.require_standby

    @property
    def registers_unknown(self) -> bool:
        """Whether a facility seen for the first time is registered; never beyond loopback."""
        loopback = is_loopback(self.mllp_host) and is_loopback(self.http_host)
        allowed = loopback and self.realm is Realm.TEST
        return allowed and self.register_unknown_labs is not False

    def as_environment(self, metrics_folder: Path | None = None) -> dict[str, str]:
        """Return the environment of a child process that is to have these settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        for name, value in self.model_dump(mode="json", exclude_none=True).items():
            kept[PREFIX + name.upper()] = str(value)
        if self.postgres_dsn is not None:
            kept[PREFIX + "POSTGRES_DSN"] = self.postgres_dsn.get_secret_value()
        if metrics_folder is not None:
            kept[METRICS_FOLDER_VARIABLE] = str(metrics_folder)
        return kept


def load_settings(**overrides: object) -> Settings:
    """Return the settings of the environment, with what the command line said on top.

    Raises:
        FatalError: Settings that do not exist or do not fit (`settings_invalid`): all of them at
            once, each by its name, never by its value.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    said = [f"no such setting: {', '.join(unknown)}"] if unknown else []
    try:
        made = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        said += _said_of(error, overrides)
    else:
        if not said:
            return made
    raise FatalError("settings_invalid", f"{'; '.join(said)} (see docs/settings.md)")


def _said_of(error: ValidationError, overrides: Mapping[str, object]) -> list[str]:
    """Return what is wrong, one by one; never a value.

    What does not fit together is asked of the others where some do not fit alone: these stand at
    their defaults meanwhile, and what is said of them then is left out.
    """
    alone, together = _told(error)
    fields = Settings.model_fields
    bad = [name for name in alone if name in fields]
    if bad:
        defaults = {name: fields[name].get_default() for name in bad}
        try:
            Settings(**{**overrides, **defaults})
        except ValidationError as more:
            named = [re.compile(rf"\b{name}\b") for name in bad]
            together += [each for each in _told(more)[1] if not any(n.search(each) for n in named)]
    return [f"{PREFIX}{name.upper()}: {what}" for name, what in alone.items()] + together


def _told(error: ValidationError) -> tuple[dict[str, str], list[str]]:
    """Return what is wrong with settings alone, by name, and what does not fit together."""
    alone: dict[str, str] = {}
    together: list[str] = []
    for item in error.errors(include_input=False, include_context=False, include_url=False):
        if item["loc"]:
            alone["_".join(str(part) for part in item["loc"])] = item["msg"]
        else:
            together += item["msg"].removeprefix("Value error, ").splitlines()
    return alone, together


def metrics_folder() -> Path | None:
    """Return where the figures of several processes come together, or None for one alone."""
    folder = os.environ.get(METRICS_FOLDER_VARIABLE)
    return Path(folder) if folder else None


def leave_memory_to_the_system() -> None:
    """Let Arrow, where it is loaded after this, take the system's allocator.

    Its own keeps what many threads have freed, and grows by it: a seventh more after three times
    the events. An operator who has chosen one keeps it.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
