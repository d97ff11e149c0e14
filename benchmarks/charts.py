"""Drawings inside a page: SVG that takes its colours from the page, so that it suits a dark one."""

import hashlib
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from importlib import import_module
from typing import Any

from benchmarks.families import OURS

#: Stand for colours of the page while matplotlib draws, which knows no others than these.
_INK, _LINE = "#010203", "#040506"
_INKS = {_INK: "currentColor", _LINE: "var(--line)"}
#: Colours that the colour-blind tell apart on light and dark (Okabe and Ito): ours, then others.
_OURS = "#2b8fd0"
_OTHERS = ("#d55e00", "#009e73", "#cc79a7", "#b07c00", "#8a8a8a", "#7f6fd0")
_DASHES = ("-", (0, (5, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)))
_MOST_LINES = 7
#: Letters of a legend.
_LONGEST = 28
#: Points up to so many have a mark each.
_MARKED = 20
#: By which part the values of a level line differ at the most.
_LEVEL = 0.02
#: From so many times the least on, an axis counts by powers of ten.
_WIDE = 20
#: And from so many on, by those alone.
_VERY_WIDE = 300
#: What goes on in these goes on evenly.
_TIMES = ("s", "seconds")


Lines = Mapping[str, Sequence[tuple[float, float]]]


def available() -> bool:
    """Whether charts can be drawn."""
    try:
        import_module("matplotlib")
    except ModuleNotFoundError:
        return False
    return True


def flat(lines: Lines) -> bool:
    """Whether there is nothing to see in these: all are level."""
    return all(
        max(values) - min(values) <= _LEVEL * max(map(abs, values))
        for values in ([value for _, value in points] for points in lines.values())
    )


def chart(title: str, x: str, unit: str, lines: Lines) -> str:
    """An SVG element with these lines, ours first; "" where matplotlib is not installed."""
    if not available():
        return ""
    import_module("matplotlib").use("Agg")
    settings = {"svg.fonttype": "none", "svg.hashsalt": "facematch", "text.parse_math": False}
    with import_module("matplotlib").rc_context(settings), warnings.catch_warnings():
        # Names come from files, in letters that no font of matplotlib may have; the browser's do.
        warnings.simplefilter("ignore", UserWarning)
        shown = dict(list(lines.items())[:_MOST_LINES])
        return _inline(_drawn(x, unit, shown), f"{title}, by {x}")


def _drawn(x: str, unit: str, lines: Lines) -> str:
    pyplot = import_module("matplotlib.pyplot")
    figure, place = pyplot.subplots(figsize=(4.6, 2.9), layout="constrained")
    figure.patch.set_alpha(0)
    place.patch.set_alpha(0)
    for number, (name, points) in enumerate(lines.items()):
        ours = name == OURS
        place.plot(
            [at for at, _ in points],
            [value for _, value in points],
            label=_label(name),
            color=_OURS if ours else _OTHERS[(number - 1) % len(_OTHERS)],
            linewidth=2.4 if ours else 1.6,
            linestyle=_DASHES[0 if ours else 1 + (number - 1) % (len(_DASHES) - 1)],
            marker=None if len(points) > _MARKED else "o" if ours else "s",
            markersize=4,
        )
    _axes(place, x, unit, lines)
    if len(lines) > 1:
        legend = place.legend(frameon=False, labelcolor=_INK, fontsize=9)
        legend.get_frame().set_alpha(0)
    written = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    pyplot.close(figure)
    return written.getvalue()


def _axes(place: Any, x: str, unit: str, lines: Lines) -> None:
    across = [at for points in lines.values() for at, _ in points]
    up = [value for points in lines.values() for _, value in points]
    ticker = import_module("matplotlib.ticker")
    for axis, scale, values, name in (
        (place.xaxis, place.set_xscale, across, x),
        (place.yaxis, place.set_yscale, up, unit),
    ):
        if _wide(values) and not (axis is place.xaxis and name in _TIMES):
            scale("log")
            few = max(values) / min(values) < _VERY_WIDE
            axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if few else (1,)))
            axis.set_minor_locator(ticker.NullLocator())
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: _short(value)))
        axis.set_label_text(name, color=_INK)
    if not _wide(up):
        place.set_ylim(bottom=min(0.0, *up), top=max(up) * 1.1 or 1)
    place.grid(color=_LINE, linewidth=0.8)
    place.set_axisbelow(True)
    place.tick_params(colors=_INK, which="both", labelsize=9)
    place.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        place.spines[side].set_color(_LINE)


def _inline(svg: str, label: str) -> str:
    """The element alone, in the page's colours and font, with what a screen reader says, and ids
    that no other one in the page has."""
    element = svg[svg.index("<svg") :]
    for part in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"font-family: [^;\"]*;? ?"):
        element = re.sub(part, "", element, flags=re.DOTALL)
    for side in ("width", "height"):
        element = re.sub(rf'(<svg\b[^>]*?) {side}="[^"]*"', r"\1", element, count=1)
    for stand_in, colour in _INKS.items():
        element = element.replace(stand_in, colour)
    own = f"c{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    element = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{own}", element)
    return element.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def _label(name: str) -> str:
    """As a legend shows it: what begins with an underscore is hidden there."""
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    return f" {short}" if short.startswith("_") else short


def _wide(values: list[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= _WIDE


def _short(number: float) -> str:
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:.3g}"
