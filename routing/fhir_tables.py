"""What HL7's terminology holds of the tables that laboratories' codes are of."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

HL7_TABLES: Final = {
    table: frozenset(codes.split())
    for table, codes in msgspec.json.decode(
        Path(__file__).with_name("fhir_tables.json").read_bytes(), type=dict[str, str]
    ).items()
}
"""Table -> its codes in HL7's own terminology: a code that is not there is a local one."""
