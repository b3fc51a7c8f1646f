"""What laboratories measure: analyses, how often each is positive, what is ordered together.

Codes are LOINC; specimens and qualitative results are SNOMED CT. French labels are ours.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from .seeds import Weighted


class Verdict(Enum):
    """A qualitative result; its value stands in OBX-8."""

    POSITIVE = "POS"
    NEGATIVE = "NEG"
    INCONCLUSIVE = "IND"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What is sampled: SNOMED CT code and French text."""

    code: str
    text: str


SWAB: Final = Sample(code="258500001", text="Écouvillon nasopharyngé")
BLOOD: Final = Sample(code="119297000", text="Prélèvement sanguin")
URINE: Final = Sample(code="122575003", text="Urine")
SPUTUM: Final = Sample(code="119334006", text="Crachat")
STOOL: Final = Sample(code="119339001", text="Selles")


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """How a quantity is spread: a log-normal of this median, cut at a limit of detection."""

    median: float
    spread: float
    """Standard deviation of the natural logarithm."""
    unit: str
    """UCUM."""
    decimals: int
    low: float
    high: float
    """Ends of the reference range; `low` zero means that only the high end is given."""
    limit: float = 0.0
    """Below it the result is `< limit`, sent as SN."""

    @property
    def reference(self) -> str:
        """The reference range as OBX-7 has it."""
        low, high = (f"{end:.{self.decimals}f}" for end in (self.low, self.high))
        return f"{low}-{high}" if self.low else f"<{high}"


class Organism(msgspec.Struct, frozen=True, kw_only=True):
    """What a culture names where it is positive: SNOMED CT code, name, and a vendor's own code."""

    code: str
    name: str
    local: str


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """One analysis, ordered as one OBR group."""

    code: str
    text: str
    local: str
    """The code of the vendors that send one of their own beside LOINC."""
    sample: Sample
    condition: str = ""
    """The tracked condition; empty for ordinary chemistry."""
    positive: float = 0.0
    """Share of the tested who are positive."""
    sensitivity: float = 1.0
    """Share of the positive whom this analysis finds."""
    measure: Measure | None = None
    """Set for a quantity; a qualitative analysis has none."""
    cycles: bool = False
    """A positive result comes with its Ct in a second OBX."""
    organism: Organism | None = None
    """Set for a culture: a positive one names it."""


def _germ(
    code: str,
    text: str,
    local: str,
    condition: str,
    *,
    positive: float,
    sample: Sample = SWAB,
    sensitivity: float = 1.0,
    cycles: bool = False,
    organism: Organism | None = None,
) -> Analysis:
    return Analysis(
        code=code,
        text=text,
        local=local,
        sample=sample,
        condition=condition,
        positive=positive,
        sensitivity=sensitivity,
        cycles=cycles,
        organism=organism,
    )


SARS_PCR: Final = _germ(
    "94500-6", "SARS-CoV-2 ARN [Présence] Respiratoire ; PCR", "COVPCR", "sars-cov-2",
    positive=0.11, cycles=True,
)  # fmt: skip
SARS_ANTIGEN: Final = _germ(
    "94558-4", "SARS-CoV-2 Ag [Présence] Respiratoire ; Test rapide", "COVAG", "sars-cov-2",
    positive=0.11, sensitivity=0.8,
)  # fmt: skip
FLU_A: Final = _germ(
    "92142-9", "Grippe A ARN [Présence] Respiratoire ; PCR", "GRIPA", "influenza-a", positive=0.14
)
FLU_B: Final = _germ(
    "92141-1", "Grippe B ARN [Présence] Respiratoire ; PCR", "GRIPB", "influenza-b", positive=0.05
)
RSV: Final = _germ(
    "92131-2", "VRS ARN [Présence] Respiratoire ; PCR", "VRSPCR", "rsv", positive=0.09
)
DENGUE_ANTIGEN: Final = _germ(
    "31798-2", "Dengue Ag NS1 [Présence] Sérum", "DENNS1", "dengue",
    sample=BLOOD, positive=0.12, sensitivity=0.85,
)  # fmt: skip
DENGUE_IGM: Final = _germ(
    "25338-5", "Dengue Ac.IgM [Présence] Sérum", "DENIGM", "dengue",
    sample=BLOOD, positive=0.12, sensitivity=0.9,
)  # fmt: skip
CHIK_RNA: Final = _germ(
    "51664-1", "Chikungunya ARN [Présence] Sérum ; PCR", "CHIPCR", "chikungunya",
    sample=BLOOD, positive=0.1,
)  # fmt: skip
CHIK_IGM: Final = _germ(
    "57934-2", "Chikungunya Ac.IgM [Présence] Sérum", "CHIIGM", "chikungunya",
    sample=BLOOD, positive=0.1, sensitivity=0.9,
)  # fmt: skip
GLUCOSE: Final = Analysis(
    code="14749-6", text="Glucose [Moles/Volume] Sérum/Plasma ; Numérique", local="GLY",
    sample=BLOOD,
    measure=Measure(median=5.2, spread=0.18, unit="mmol/L", decimals=2, low=4.1, high=6.0),
)  # fmt: skip
CREATININE: Final = Analysis(
    code="14682-9", text="Créatinine [Moles/Volume] Sérum/Plasma ; Numérique", local="CREA",
    sample=BLOOD,
    measure=Measure(median=76, spread=0.25, unit="umol/L", decimals=0, low=50, high=105),
)  # fmt: skip
CRP: Final = Analysis(
    code="1988-5", text="Protéine C réactive [Masse/Volume] Sérum/Plasma ; Numérique", local="CRP",
    sample=BLOOD,
    measure=Measure(median=3.0, spread=1.1, unit="mg/L", decimals=1, low=0, high=5.0, limit=1.0),
)  # fmt: skip


# What is rare: a few orders in a hundred, so that every stream shows all that it can hold.
MEASLES_RNA: Final = _germ(
    "91077-8", "Rougeole ARN [Présence] Voies respiratoires supérieures ; PCR", "ROUPCR", "measles",
    positive=0.25,
)  # fmt: skip
MEASLES_IGM: Final = _germ(
    "21503-8", "Rougeole Ac.IgM [Présence] Sérum", "ROUIGM", "measles",
    sample=BLOOD, positive=0.25, sensitivity=0.85,
)  # fmt: skip
ZIKA_RNA: Final = _germ(
    "85622-9",
    "Zika ARN [Présence] Sérum/Plasma ; PCR",
    "ZIKPCR",
    "zika",
    sample=BLOOD,
    positive=0.1,
)
HIV: Final = _germ(
    "56888-1", "VIH 1+2 Ac et Ag p24 [Présence] Sérum/Plasma", "VIHDEP", "hiv",
    sample=BLOOD, positive=0.03,
)  # fmt: skip
HEPATITIS_A: Final = _germ(
    "22314-9", "Hépatite A Ac.IgM [Présence] Sérum", "VHAIGM", "hepatitis-a",
    sample=BLOOD, positive=0.08,
)  # fmt: skip
LEGIONELLA: Final = _germ(
    "31870-9", "Legionella pneumophila Ag [Présence] Urine", "LEGAGU", "legionellosis",
    sample=URINE, positive=0.06,
)  # fmt: skip
MYCOBACTERIA: Final = _germ(
    "543-9", "Mycobactéries [Identification] Échantillon ; Culture", "MYCCUL", "tuberculosis",
    sample=SPUTUM, positive=0.15,
    organism=Organism(code="113861009", name="Mycobacterium tuberculosis", local="MYCTUB"),
)  # fmt: skip
BLOOD_CULTURE: Final = _germ(
    "600-7", "Bactéries [Identification] Sang ; Culture", "HEMOC", "meningococcus",
    sample=BLOOD, positive=0.1,
    organism=Organism(code="17872004", name="Neisseria meningitidis", local="NEIMEN"),
)  # fmt: skip
STOOL_CULTURE: Final = _germ(
    "17563-8", "Salmonella [Identification] Échantillon ; Culture", "COPRO", "salmonella",
    sample=STOOL, positive=0.1,
    organism=Organism(code="50136005", name="Salmonella Typhimurium", local="SALTYM"),
)  # fmt: skip
RARE: Final = (
    (MEASLES_RNA, MEASLES_IGM), (MEASLES_IGM,), (ZIKA_RNA, DENGUE_ANTIGEN), (HIV,), (HEPATITIS_A,),
    (LEGIONELLA,), (MYCOBACTERIA,), (BLOOD_CULTURE, CRP), (STOOL_CULTURE,),
)  # fmt: skip
"""What is ordered instead, now and then (`RARE_ORDERS`)."""
RARE_ORDERS: Final = 0.03

ANALYSES: Final = (
    SARS_PCR, SARS_ANTIGEN, FLU_A, FLU_B, RSV, DENGUE_ANTIGEN, DENGUE_IGM, CHIK_RNA, CHIK_IGM,
    GLUCOSE, CREATININE, CRP,
    MEASLES_RNA, MEASLES_IGM, ZIKA_RNA, HIV, HEPATITIS_A, LEGIONELLA, MYCOBACTERIA, BLOOD_CULTURE,
    STOOL_CULTURE,
)  # fmt: skip

# Second lines, of what a PCR has found: never ordered by themselves.
SARS_SCREENING: Final = _germ(
    "94500-6", "SARS-CoV-2 criblage de variants ; PCR", "COVCRI", "sars-cov-2", positive=1.0
)
SARS_GENOME: Final = _germ(
    "94764-8", "SARS-CoV-2 génome complet ; Séquençage", "COVSEQ", "sars-cov-2", positive=1.0
)
MUTATIONS: Final = ("96751-3", "SARS-CoV-2 mutation du gène S [Identification]", "LN")
SCREENED: Final = (
    ("E484K absente", "E484Q absente", "L452R présente"),
    ("E484K présente", "E484Q absente", "L452R absente"),
    ("E484K absente", "E484Q absente", "L452R absente"),
)
"""What a screening finds: A0B0C1 and the like."""
LINEAGE: Final = ("96895-8", "SARS-CoV-2 lignage [Identification]", "LN")
LINEAGES: Final = ("JN.1", "KP.3.1.1", "BA.2.86", "XBB.1.5", "LF.7")

Battery = tuple[Analysis, ...]

_EVERYWHERE: Final[list[tuple[Battery, float]]] = [
    ((SARS_PCR,), 20),
    ((SARS_ANTIGEN,), 9),
    ((SARS_PCR, FLU_A, FLU_B), 13),
    ((SARS_PCR, RSV), 3),
    ((FLU_A, FLU_B), 5),
    ((FLU_A, FLU_B, RSV), 4),
    ((RSV,), 2),
    ((GLUCOSE,), 8),
    ((CREATININE,), 6),
    ((CRP,), 5),
    ((GLUCOSE, CREATININE), 10),
    ((GLUCOSE, CREATININE, CRP), 8),
    ((CRP, SARS_PCR), 2),
]
_ARBOVIRUSES: Final[list[tuple[Battery, float]]] = [
    ((DENGUE_ANTIGEN, DENGUE_IGM), 2),
    ((DENGUE_ANTIGEN,), 1),
    ((CHIK_RNA, CHIK_IGM), 1),
    ((CHIK_IGM,), 0.5),
    ((DENGUE_IGM, CHIK_IGM, CRP), 0.5),
]
_OVERSEAS_FACTOR: Final = 8.0

BATTERIES: Final[Weighted[Battery]] = Weighted(_EVERYWHERE + _ARBOVIRUSES)
OVERSEAS_BATTERIES: Final[Weighted[Battery]] = Weighted(
    _EVERYWHERE + [(battery, weight * _OVERSEAS_FACTOR) for battery, weight in _ARBOVIRUSES]
)
"""What is ordered for people who live overseas, where dengue and chikungunya are."""
