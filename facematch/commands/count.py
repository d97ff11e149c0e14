"""The type of an option that says how many, for `facematch plan`."""

import re
from fractions import Fraction

import click

_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_COUNT = re.compile(r"(\d+|\d{1,3}(?:[_,]\d{3})+|\d+\.\d+) ?([kMG]?)", re.ASCII)
_MOST = 10**12
#: Letters; a number with more is beyond _MOST, or finer than any count.
_LONGEST = 40


def count(text: str) -> int:
    """From one to 10^12: 13233, 13,233, 500k, 1.5M or 1G. Raises click.BadParameter."""
    found = _COUNT.fullmatch(text.strip())
    if found is None or len(text) > _LONGEST:
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        raise click.BadParameter(f"{text!r} is no count such as 13233, 500k, 1.5M or 1G")
    number = Fraction(re.sub("[_,]", "", found[1])) * _SUFFIXES[found[2]]
    if not 1 <= number <= _MOST:
        raise click.BadParameter(f"{text!r} is not from 1 to {_MOST:,}")
    if number.denominator != 1:
        raise click.BadParameter(f"{text!r} is no whole number")
    return int(number)
