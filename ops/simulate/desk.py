"""How often desks get what wrong: one model to train on, another to be tested on.

They differ in rates and in kind (see `slips`, and the fields that are zero in one of them), so that
a score tuned on one is not tuned to the other. Rates are shares of records, of those whom it can
befall, unless said otherwise. They are our own estimates: no desk was measured.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of records with an error of each kind."""

    scans: bool
    """Slips as a scanner and neighbouring keys make them; else as a typist makes them."""
    without_ins: float
    provisional: float
    """PROV although an INS is sent."""
    parent_ins: float
    """Shares of *children* whose records may carry a parent's INS (10 % of them)."""
    parent_ins_record: float
    """Share of such a child's records that do."""
    slip_family: float
    slip_given: float
    spelling: float
    transliterated: float
    """Of people born abroad, per name."""
    married_as_birth: float
    double_name: float
    """Birth name and used name as one: DURAND-MARTIN."""
    used_given_as_birth: float
    first_given_only: float
    given_order: float
    """The given names in another order."""
    compound_cut: float
    """JEAN for JEAN-PIERRE."""
    names_swapped: float
    nameless_newborn: float
    """Of records of children below one year: no given name, BEBE, or the mother's."""
    date_turned: float
    date_digit: float
    date_default: float
    """Of people born abroad: 1 January of the year."""
    date_partial: float
    without_date: float
    without_place: float
    other_place: float
    """Where they live, or another town, instead of where they were born."""
    sex_unknown: float
    sex_wrong: float
    without_phone: float
    other_phone: float
    household_phone: float
    without_home: float
    moved: float
    """Share of *people* who live elsewhere in half of their records."""
    new_phone: float
    """Share of *people* with another number in half of their records."""
    street_respelled: float


TRAINING: Final = Desk(
    scans=False, without_ins=0.18, provisional=0.06, parent_ins=0.10, parent_ins_record=0.7,
    slip_family=0.009, slip_given=0.008, spelling=0.04, transliterated=0.05,
    married_as_birth=0.015, double_name=0.0, used_given_as_birth=0.3, first_given_only=0.25,
    given_order=0.004, compound_cut=0.03, names_swapped=0.002, nameless_newborn=0.25,
    date_turned=0.002, date_digit=0.002, date_default=0.01, date_partial=0.0005,
    without_date=0.0005, without_place=0.06, other_place=0.006, sex_unknown=0.002,
    sex_wrong=0.001, without_phone=0.15, other_phone=0.03, household_phone=0.05,
    without_home=0.03, moved=0.12, new_phone=0.12, street_respelled=0.05,
)  # fmt: skip

TEST: Final = Desk(
    scans=True, without_ins=0.22, provisional=0.04, parent_ins=0.10, parent_ins_record=0.6,
    slip_family=0.011, slip_given=0.010, spelling=0.06, transliterated=0.07,
    married_as_birth=0.012, double_name=0.003, used_given_as_birth=0.2, first_given_only=0.35,
    given_order=0.002, compound_cut=0.04, names_swapped=0.003, nameless_newborn=0.30,
    date_turned=0.0015, date_digit=0.003, date_default=0.015, date_partial=0.0003,
    without_date=0.0003, without_place=0.08, other_place=0.004, sex_unknown=0.003,
    sex_wrong=0.0008, without_phone=0.20, other_phone=0.02, household_phone=0.08,
    without_home=0.05, moved=0.15, new_phone=0.10, street_respelled=0.08,
)  # fmt: skip
