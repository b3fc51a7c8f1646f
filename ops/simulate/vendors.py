"""How the laboratory systems of different vendors write: the same result, many dialects.

The vendors are invented; each habit was met in real messages (see docs of HL7 v2 in France).
"""

from __future__ import annotations

from enum import Enum

import msgspec


class ResultStyle(Enum):
    """How a qualitative result stands in OBX-5."""

    SNOMED = "snomed"
    """Coded with SNOMED CT, an accented text beside it."""
    LOCAL = "local"
    """Coded with the vendor's own POS / NEG / IND."""
    WORD = "word"
    """A string: Positif, Négatif."""
    FOUND = "found"
    """A string: Détecté, Non détecté."""


class SpecimenStyle(Enum):
    """Where the specimen is described."""

    SPM_LAST = "spm-last"
    SPM_FIRST = "spm-first"
    OBR_15 = "obr-15"


class Structure(Enum):
    """The kind of message in which a result travels."""

    ORU_R01 = "ORU_R01"
    ORU_R30 = "ORU_R30"
    """Of a device beside the patient."""
    OUL_R22 = "OUL_R22"
    """Specimen by specimen: SPM, SAC, OBR, ORC."""
    MDM_T02 = "MDM_T02"
    """A document: TXA, and the report as a CDA in Base64."""

    @property
    def parts(self) -> tuple[str, str, str]:
        """MSH-9: type, event, structure."""
        kind, event = self.value.split("_")
        return kind, event, self.value


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor's way of writing HL7 v2."""

    name: str
    """Name of the system, sent in MSH-3."""
    version: str = "2.5.1"
    structure: Structure = Structure.ORU_R01
    separators: str = "|^~\\&"
    """Field, component, repetition, escape, sub-component, and perhaps the truncation sign."""
    facility_named: bool = False
    """MSH-4 as short name, FINESS, L; else the FINESS alone."""
    charset: str = "UNICODE UTF-8"
    """MSH-18."""
    writes_windows: bool = False
    """It says 8859/1 and writes the letters of Windows."""
    byte_order_mark: bool = False
    segment_end: str = "\r"
    three_part_type: bool = True
    """MSH-9 as ORU^R01^ORU_R01, else ORU^R01."""
    zone_in_times: bool = True
    plain_capitals: bool = False
    """Names in the capitals of the civil register, without accents; else as people write them."""
    used_name_always: bool = True
    """PID-5 has its repetition D even where it says what L says."""
    results: ResultStyle = ResultStyle.SNOMED
    flags: bool = True
    """OBX-8 says POS, NEG or IND."""
    specimens: SpecimenStyle = SpecimenStyle.SPM_LAST
    notes_under_order: bool = False
    """NTE after OBR, else after the first OBX."""
    visit: bool = False
    """A PV1 segment is sent."""
    z_segment: str = ""
    """A segment of the vendor's own, after PID."""
    numbered_groups: bool = False
    """Each OBR group has a filler order number of its own; else a battery shares one."""
    deleted_status: str = "X"
    """OBX-11 of a cancelled result: X or D."""
    accept_ack: str = ""
    """MSH-15."""
    application_ack: str = ""
    """MSH-16."""
    share_preliminary: float = 0.25
    """Share of orders announced with a preliminary result first."""

    @property
    def codec(self) -> str:
        """Python's name of the character set in which it writes."""
        if self.charset == "8859/1":
            return "cp1252" if self.writes_windows else "iso8859-1"
        return "iso8859-15" if self.charset == "8859/15" else "utf-8"

    @property
    def coded_type(self) -> str:
        """OBX-2 of a coded result: CWE came with 2.5.1's guides, CE is older."""
        return "CWE" if self.names_performer else "CE"

    @property
    def names_performer(self) -> bool:
        """Say whether OBX-23 names who made a result: it came with 2.5.1."""
        return self.version >= "2.5.1"


DIALECTS: tuple[Dialect, ...] = (
    Dialect(name="KALIUM", plain_capitals=True),
    Dialect(
        name="BIOLIA",
        version="2.5",
        facility_named=True,
        charset="8859/15",
        results=ResultStyle.WORD,
        flags=False,
        used_name_always=False,
        visit=True,
        share_preliminary=0.1,
    ),
    Dialect(
        name="SILABO",
        version="2.3.1",
        charset="8859/15",
        segment_end="\r\n",
        three_part_type=False,
        zone_in_times=False,
        plain_capitals=True,
        results=ResultStyle.LOCAL,
        specimens=SpecimenStyle.OBR_15,
        notes_under_order=True,
        deleted_status="D",
    ),
    Dialect(
        name="NORALAB",
        separators="|^~\\&#",
        results=ResultStyle.FOUND,
        numbered_groups=True,
        z_segment="ZLB",
        used_name_always=False,
        accept_ack="NE",
        application_ack="AL",
    ),
    Dialect(
        name="OXALIS",
        version="2.5",
        facility_named=True,
        separators="|@~\\&",
        specimens=SpecimenStyle.SPM_FIRST,
        z_segment="ZFR",
        visit=True,
        deleted_status="D",
        share_preliminary=0.4,
    ),
    Dialect(
        name="MEDIVAR",
        charset="8859/15",
        zone_in_times=False,
        results=ResultStyle.SNOMED,
        notes_under_order=True,
        numbered_groups=True,
        plain_capitals=True,
    ),
    Dialect(
        name="LYMPHEA",
        version="2.5",
        segment_end="\r\n",
        results=ResultStyle.LOCAL,
        used_name_always=False,
        z_segment="ZPR",
    ),
    Dialect(
        name="TILDEO",
        separators="|^\u02dc\\&",
        results=ResultStyle.WORD,
        flags=False,
        specimens=SpecimenStyle.OBR_15,
    ),
    Dialect(
        name="AEGLE",
        structure=Structure.OUL_R22,
        version="2.5",
        specimens=SpecimenStyle.SPM_FIRST,
        deleted_status="D",
        numbered_groups=True,
    ),
    Dialect(
        name="CHEVET",
        structure=Structure.ORU_R30,
        version="2.7",
        segment_end="\n",
        results=ResultStyle.LOCAL,
        share_preliminary=0.0,
    ),
    Dialect(
        name="DOSSIA",
        structure=Structure.MDM_T02,
        version="2.6",
        visit=True,
        deleted_status="D",
    ),
    Dialect(
        name="ANTIQUA",
        version="2.3",
        charset="8859/1",
        three_part_type=False,
        zone_in_times=False,
        results=ResultStyle.LOCAL,
        specimens=SpecimenStyle.OBR_15,
        deleted_status="D",
    ),
    Dialect(
        name="FENESTRA",
        version="2.4",
        charset="8859/1",
        writes_windows=True,
        segment_end="\r\n",
        results=ResultStyle.WORD,
        specimens=SpecimenStyle.OBR_15,
        notes_under_order=True,
    ),
    Dialect(
        name="BOMBYX",
        version="2.6",
        byte_order_mark=True,
        results=ResultStyle.FOUND,
    ),
)
"""In the order in which laboratories get them; the first is the plainest."""
