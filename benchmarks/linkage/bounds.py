"""How much a level may say in the model `fr`, in bits, whatever a simulated desk says of it.

A simulator knows fewer errors than the world: what it never gets wrong would weigh without limit.
These bounds are the measured weights of our notes on identity (given name different -7, sex -6.5,
two digits of the birth date -10), the rarity of names and dates in France, and, for an address,
what street and house add once the postcode agrees: a move is one event, not four.
"""

from __future__ import annotations

from typing import Final

BOUNDS: Final[dict[str, dict[str, float]]] = {
    "family": {
        "exact": 12.9,
        "near": 5.2,
        "similar": 0.6,
        "part": 3.0,
        "crossed": 6.3,
        "swapped": 6.6,
        "different": -6.0,
        "initial": -5.3,
    },
    "given": {
        "exact": 7.3,
        "near": 2.7,
        "similar": -1.0,
        "part": 1.3,
        "listed": 1.6,
        "swapped": 3.3,
        "different": -7.1,
        "initial": -4.6,
    },
    "middle": {"exact": 2.5, "different": -2.5},
    "birth_date": {
        "exact": 14.5,
        "day_month_swapped": 6.1,
        "one_digit": 3.3,
        "partly": 1.3,
        "default": 1.0,
        "both_default": 6.1,
        "two_digits": -10.2,
        "different": -12.0,
    },
    "sex": {"exact": 1.0, "different": -6.5},
    "birth_place": {"exact": 8.3, "close": 2.3, "area": -1.7, "apart": -6.0},
    "postcode": {"exact": 9.4, "close": 3.9, "area": 0.3, "apart": -2.7},
    "city": {"exact": 0.5, "close": 0.0, "apart": -0.7},
    "street": {"exact": 5.1, "close": 3.3, "apart": -1.1},
    "house": {"exact": 3.0, "close": 0.0, "apart": -1.1},
    "phone": {"exact": 10.5, "close": 5.3, "apart": -1.3},
    "email": {"exact": 11.8, "apart": -1.0},
}
"""Field -> level -> bits; a level that is not named says nothing."""
