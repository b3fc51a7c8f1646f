"""What stands in a model file (`dedup/model/*.json`): the form, checked when it is read. Pure."""

from __future__ import annotations

from typing import Any

import msgspec


class LevelOdds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a level is seen among pairs of one person (m) and of two (u)."""

    m: float
    u: float
    frequency: float = 0.0
    """Share of the name's own rarity that takes the place of the average one: 1 for equal names,
    less where they only resemble each other, 0 where the value says no more."""


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model as it is written down."""

    name: str
    version: str
    about: str
    trained: dict[str, Any]
    """How m and u were estimated, on what, when, and by whom: read by people only."""
    prior_bits: float | None
    """log2 of the population; None: of the number of records (`Model.for_population`)."""
    link_posterior: float
    review_bits: float
    margin_bits: float
    bridging: bool
    """A later record may bridge two persons: both are above the threshold, and they become one."""
    tie_links: bool = False
    """Of two persons within the margin whom no guard tells apart, link to the better."""
    isolates_nobody: bool = True
    """Guard 1 also holds for records without a family name."""
    guards: dict[str, str]
    """Guard -> `review` or `new`: what becomes of a record that it stops. A guard that is not
    named is off."""
    tight: dict[str, tuple[str, ...]]
    wide: dict[str, tuple[str, ...]]
    """Key families: name -> parts (see `dedup.keys.parts_of`)."""
    frequencies: str = ""
    """Prefix of the files of name frequencies beside the model, or empty for none."""
    fields: dict[str, dict[str, LevelOdds]]
    """Field -> level -> odds; a field or level that is not named weighs nothing."""


class FrequencyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names by rarity: how many eighths of a bit (-log2 of the share of people) they say."""

    about: str
    source: str
    licence: str
    unseen_surname_bits: float
    """Rarity of a surname that is in no list."""
    unseen_given_bits: float
    surnames: dict[str, str] = {}
    """Eighths of a bit -> names, comma between."""
    given: dict[str, dict[str, str]] = {}
    """`F1961` (sex and decade of birth) or `F`, `M` (all) -> eighths of a bit -> names."""
