"""Names of people born abroad, and how one name is written by several desks.

A name that came from another script has no one spelling: Mohamed and Mohammed, Youssef and Yusuf,
El Amrani and Elamrani are one person's. The lists are ours, of names that are common in France.
"""

from __future__ import annotations

from random import Random
from typing import Final

from .seeds import below

FAMILIES: Final = (
    "BENALI", "EL AMRANI", "BOUAZZA", "CHERIF", "HADDAD", "MANSOURI", "BELKACEM", "OUALI",
    "EL KADDOURI", "ZERROUKI", "BEN YOUSSEF", "TRABELSI", "JAZIRI", "BOUCHAREB", "KHELIFI",
    "DIALLO", "TRAORE", "COULIBALY", "KONATE", "NDIAYE", "CISSE", "SOW", "KEITA", "MBAYE", "DIOP",
    "DA SILVA", "DOS SANTOS", "PEREIRA", "FERREIRA", "RODRIGUES", "GONCALVES", "LOPES", "MARTINS",
    "YILMAZ", "KAYA", "DEMIR", "OZTURK", "SAHIN", "CELIK", "ARSLAN", "POLAT",
    "NGUYEN", "TRAN", "PHAM", "HUYNH", "LE VAN", "CHEN", "WANG", "ZHANG", "LIU",
    "POPESCU", "IONESCU", "KOWALSKI", "NOWAK", "PETROVIC", "JOVANOVIC", "IVANOV", "SHEVCHENKO",
    "RASOLOFO", "RANDRIANARISOA", "SIVAKUMAR", "RAJARATNAM", "ABDALLAH", "SAID ALI", "TCHOUTA",
    "MBARGA", "NGOMA", "MABIALA", "OKEMBA", "JEAN BAPTISTE", "PIERRE LOUIS", "FERNANDEZ", "GARCIA",
    "ROSSI", "ESPOSITO", "HOXHA", "KRASNIQI", "AHMADI", "REZAEI", "HUSSEIN", "KHALIL", "MIRZAYAN",
)  # fmt: skip
"""Surnames in the letters of the RNIV."""

GIVENS: Final = {
    "M": (
        "MOHAMED", "AHMED", "YOUSSEF", "KARIM", "RACHID", "ABDELKADER", "ABDERRAHMANE", "HICHAM",
        "MOUSTAPHA", "IBRAHIMA", "MAMADOU", "OUSMANE", "CHEIKH", "BOUBACAR", "MOUSSA", "ISSA",
        "JOAO", "JOSE", "ANTONIO", "MANUEL", "PAULO", "MEHMET", "MUSTAFA", "HUSEYIN", "EMRE",
        "VAN", "MINH", "THANH", "WEI", "JUN", "ANDREI", "ION", "PIOTR", "NIKOLA", "VOLODYMYR",
        "RADO", "KUMAR", "PRAKASH", "ALI", "SAID", "JEAN CLAUDE", "HERVE", "FRITZ", "ARMEN",
    ),
    "F": (
        "FATIMA", "KHADIJA", "AICHA", "ZOHRA", "NADIA", "SAMIRA", "MALIKA", "YAMINA", "LATIFA",
        "FATOUMATA", "AMINATA", "AISSATOU", "MARIAMA", "ADAMA", "NDEYE", "MARIA", "ANA", "ROSA",
        "FATMA", "AYSE", "EMINE", "ZEYNEP", "HATICE", "THI", "LAN", "HUONG", "MEI", "XIU",
        "ELENA", "IOANA", "AGNIESZKA", "MILICA", "OLENA", "SOA", "LAKSHMI", "PRIYA", "ZAINABA",
        "MARIE CLAIRE", "GUERLINE", "NATHALIE", "LEYLA", "ANI", "MARYAM", "ZAHRA",
    ),
}  # fmt: skip

_SOUNDS: Final = (
    ("OU", "U"), ("CH", "SH"), ("DJ", "J"), ("PH", "F"), ("K", "Q"), ("Y", "I"), ("AI", "EI"),
    ("EE", "I"), ("KH", "H"), ("GH", "G"), ("TCH", "CH"), ("SS", "S"), ("MM", "M"), ("RR", "R"),
    ("H", ""), ("E", "A"), ("O", "OU"), ("I", "Y"), ("S", "SS"), ("M", "MM"), ("V", "W"),
    ("Z", "S"),
)  # fmt: skip
"""What one desk writes for another's letters; the first ones are the most usual."""
_ARTICLES: Final = ("EL ", "AL ", "BEN ", "ABDEL", "DA ", "DOS ", "LE ", "SAID ")


def foreign_family(rng: Random) -> str:
    """Return a surname."""
    return FAMILIES[below(rng, len(FAMILIES))]


def foreign_given(rng: Random, sex: str) -> str:
    """Return a given name of a sex; the first of the list are the most frequent."""
    table = GIVENS[sex]
    return table[int(len(table) * rng.random() ** 1.5)]


def transliterated(rng: Random, name: str) -> str:
    """Return a name as another desk would write it: one sound otherwise, or the article joined."""
    for article in _ARTICLES:
        if name.startswith(article) and rng.random() < 0.5:
            joined = name.replace(" ", "", 1)
            return joined if joined != name else f"{name[:5]} {name[5:]}"
    start = int(len(_SOUNDS) * rng.random() ** 1.6)
    for written, other in _SOUNDS[start:] + _SOUNDS[:start]:
        place = name.find(written, 1)
        if place > 0:
            return name[:place] + other + name[place + len(written) :]
    return name
