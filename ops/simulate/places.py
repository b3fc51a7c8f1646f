"""Where people live and are born: French communes by population, and countries by their COG code.

`communes.csv` is described in DATA.md.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import msgspec

from .seeds import Weighted


class Commune(msgspec.Struct, frozen=True, array_like=True):
    """A commune (or a municipal arrondissement of Paris, Lyon, Marseille)."""

    code: str
    """INSEE code: 5 characters, 2A and 2B for Corsica, 97x overseas."""
    name: str
    postcode: str
    department: str
    population: int

    @property
    def town(self) -> str:
        """The name as on a letter: Marseille, without its arrondissement."""
        return self.name.split(" ")[0] if self.name.endswith(" Arrondissement") else self.name


class Country(msgspec.Struct, frozen=True, array_like=True):
    """A country of birth: INSEE code 99xxx, ISO 3166 code, French name."""

    code: str
    iso: str
    name: str


@cache
def communes() -> tuple[Commune, ...]:
    """Return the communes of the table, in the order of their codes."""
    text = files("ops.simulate").joinpath("communes.csv").read_text("utf-8")
    rows = csv.reader(text.splitlines()[1:])
    return tuple(Commune(row[0], row[1], row[2], row[3], int(row[4])) for row in rows)


@cache
def by_population() -> Weighted[int]:
    """Return the draw of a commune's position, by its population."""
    return Weighted([(place, commune.population) for place, commune in enumerate(communes())])


_COUNTRIES = """
99352 DZA ALGERIE|99350 MAR MAROC|99139 PRT PORTUGAL|99351 TUN TUNISIE|99127 ITA ITALIE
99208 TUR TURQUIE|99134 ESP ESPAGNE|99109 DEU ALLEMAGNE|99132 GBR ROYAUME-UNI|99131 BEL BELGIQUE
99341 SEN SENEGAL|99333 MDG MADAGASCAR|99326 CIV COTE D'IVOIRE|99322 CMR CAMEROUN
99335 MLI MALI|99216 CHN CHINE|99243 VNM VIET NAM|99114 ROU ROUMANIE|99397 COM COMORES
99410 HTI HAITI|99122 POL POLOGNE|99123 RUS RUSSIE|99330 GIN GUINEE|99324 COG CONGO
99140 CHE SUISSE|99235 LKA SRI LANKA|99390 MUS MAURICE|99416 BRA BRESIL|99205 LBN LIBAN
99223 IND INDE|99234 KHM CAMBODGE|99404 USA ETATS-UNIS
99241 LAO LAOS|99327 BEN BENIN|99345 TGO TOGO|99328 GAB GABON|99206 SYR SYRIE
99212 AFG AFGHANISTAN|99213 PAK PAKISTAN|99301 EGY EGYPTE|99126 GRC GRECE|99396 CPV CAP-VERT
99111 BGR BULGARIE|99155 UKR UKRAINE|99121 SRB SERBIE|99203 IRQ IRAQ|99204 IRN IRAN
99419 COL COLOMBIE|99401 CAN CANADA|99137 LUX LUXEMBOURG|99135 NLD PAYS-BAS|99136 IRL IRLANDE
99220 PHL PHILIPPINES|99331 BFA BURKINA|99337 NER NIGER|99346 ZMB ZAMBIE|99110 AUT AUTRICHE
99101 DNK DANEMARK|99246 BGD BANGLADESH|99217 JPN JAPON|99239 KOR COREE DU SUD
99395 AGO ANGOLA|99304 GMB GAMBIE|99119 HRV CROATIE
"""


@cache
def countries() -> tuple[Country, ...]:
    """Return 64 countries of birth: the 32 most frequent ones first."""
    entries = _COUNTRIES.strip().replace("\n", "|").split("|")
    return tuple(Country(*entry.split(" ", 2)) for entry in entries)
