"""A ROC as a picture: what is found of one person's pairs, by the part of different people's."""

import io
from collections.abc import Mapping, Sequence
from math import log10

from PIL import Image, ImageDraw, ImageFont

#: A curve: (false match rate, part found), by falling rate or rising.
Curve = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 900, 620
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 30, 70, 80
#: Drawn so many times as large, and made smaller, so that lines are smooth.
_FINE = 2
#: Colours that the colour-blind tell apart (Okabe and Ito).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_INK, _GRID = "#222222", "#e0e0e0"
_LEAST = -8


def roc(title: str, curves: Mapping[str, Curve]) -> bytes:
    """A PNG with these curves by name; rates of 0 are left out."""
    lowest = min((rate for curve in curves.values() for rate, _ in curve if rate > 0), default=1e-3)
    decades = range(max(_LEAST, _power_below(lowest)), 1)
    canvas = Image.new("RGB", (_WIDTH * _FINE, _HEIGHT * _FINE), "white")
    drawing = _Drawing(canvas, decades[0])
    drawing.axes(title, decades)
    for number, (name, curve) in enumerate(curves.items()):
        drawing.curve([point for point in curve if point[0] > 0], _COLOURS[number])
        drawing.key(number, name, _COLOURS[number])
    written = io.BytesIO()
    canvas.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS).save(written, "PNG", optimize=True)
    return written.getvalue()


def _power_below(rate: float) -> int:
    power = 0
    while 10.0**power > rate * 1.0001:
        power -= 1
    return power


class _Drawing:
    def __init__(self, canvas: Image.Image, least: int) -> None:
        self._draw, self._least = ImageDraw.Draw(canvas), least
        self._font = ImageFont.load_default(15 * _FINE)

    def axes(self, title: str, decades: range) -> None:
        self._text((_LEFT, 22), title, "lm", 18)
        for power in decades:
            x = self._x(10.0**power)
            self._line([(x, _TOP), (x, _HEIGHT - _BOTTOM)], _GRID, 1)
            self._text((x, _HEIGHT - _BOTTOM + 18), f"1e{power}" if power else "1", "mm")
        for tenth in range(11):
            y = self._y(tenth / 10)
            self._line([(_LEFT, y), (_WIDTH - _RIGHT, y)], _GRID, 1)
            self._text((_LEFT - 10, y), f"{tenth * 10} %", "rm")
        corners = [(_LEFT, _TOP), (_LEFT, _HEIGHT - _BOTTOM), (_WIDTH - _RIGHT, _HEIGHT - _BOTTOM)]
        self._line(corners, _INK, 1)
        self._text((_LEFT, _TOP - 18), "pairs of one person found", "lm")
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        self._text((middle, _HEIGHT - 26), "pairs of different people that match", "mm")

    def curve(self, points: Curve, colour: str) -> None:
        self._line([(self._x(rate), self._y(found)) for rate, found in sorted(points)], colour, 2.5)

    def key(self, number: int, name: str, colour: str) -> None:
        x, y = _WIDTH - _RIGHT - 290, _HEIGHT - _BOTTOM - 30 - 26 * number
        self._line([(x, y), (x + 34, y)], colour, 2.5)
        self._text((x + 44, y), name, "lm")

    def _x(self, rate: float) -> float:
        place = 1 - max(log10(rate), self._least) / self._least
        return _LEFT + place * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, found: float) -> float:
        return _HEIGHT - _BOTTOM - found * (_HEIGHT - _TOP - _BOTTOM)

    def _line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        fine = [(x * _FINE, y * _FINE) for x, y in points]
        if len(fine) > 1:
            self._draw.line(fine, colour, round(width * _FINE), joint="curve")

    def _text(self, at: tuple[float, float], text: str, anchor: str, size: int = 15) -> None:
        font = self._font if size == 15 else ImageFont.load_default(size * _FINE)
        self._draw.text((at[0] * _FINE, at[1] * _FINE), text, _INK, font, anchor)
