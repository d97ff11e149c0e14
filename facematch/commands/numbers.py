"""Numbers on the command line."""

import math
from typing import Any

import click


class Number(click.FloatRange):
    """Not NaN, which no range excludes."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See click.ParamType."""
        number: float = super().convert(value, parameter, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", parameter, ctx)
        return number
