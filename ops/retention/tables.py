"""What tables hold of persons, and how it goes: `tables.json`, which a test holds complete."""

from __future__ import annotations

from importlib import resources
from typing import Final

import msgspec

CLASSES: Final = {
    "intake": "`retention_intake_days`",
    "names": "`retention_names_days`",
    "public-health": "`retention_public_health_days`, rows of indicators `indicators_rows_days`",
    "identity": "`retention_identity_days` after the person was last seen",
    "codes": "`retention_codes_days` after it was last seen",
    "inbox": "`retention_inbox_days`",
    "batches": "`batch_keep_days`",
    "receivers": "`push_keep_seconds`",
    "record": "for good: ids, keyed digests, days; no value of a message",
    "counts": "for good, or as the table says: counts",
    "register": "while it is in use",
    "working": "while there is work",
    "audit": "for good",
}
"""Class -> how long it is kept."""


class TableRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a table holds, and how it goes."""

    kind: str = msgspec.field(name="class")
    how: str
    about_persons: dict[str, str]
    """Columns that say something of a person, and what."""
    others: str
    """The other columns, with a space between."""

    @property
    def columns(self) -> set[str]:
        """All columns."""
        return {*self.about_persons, *self.others.split()}


def table_rules() -> dict[str, TableRule]:
    """Return the rule of every table, by its name."""
    text = (resources.files("ops.retention") / "tables.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, TableRule])
