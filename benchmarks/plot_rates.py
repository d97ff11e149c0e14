"""The picture of `benchmarks.rates`: what is found at a false match rate, and whether that which is
told is the one that is seen. Used by `benchmarks.plot`."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

_SEEN, _FOUND = "seen false match rate, ", "found by "
#: Ours and the baseline in colours that the colour-blind tell apart (Okabe and Ito).
_COLOURS = {"score": "#0072B2", "plain distance": "#D55E00"}
_STYLES = {"half 1": "-", "half 2": (0, (5, 2)), "as shipped": (0, (1, 2))}
_OFF = 2.0

Series = Mapping[str, Sequence[Sequence[float]]]


def series_in(result: Mapping[str, Any]) -> Series:
    """Those of a kept result that are drawn here, by name; none in results of other kinds."""
    kept = {one["name"]: one["points"] for one in result.get("series", [])}
    ours = {name: points for name, points in kept.items() if name.startswith((_SEEN, _FOUND))}
    return ours if any(name.startswith(_SEEN) for name in ours) else {}


def rates(series: Series) -> Any:
    """A figure with both."""
    pyplot = import_module("matplotlib.pyplot")
    figure, (found, seen) = pyplot.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    figure.suptitle("How sure is a match? Judged by people who are behind no fitted number")
    for name, points in series.items():
        across, up = [at for at, _ in points], [value for _, value in points]
        what, _, whose = name.removeprefix(_FOUND).removeprefix(_SEEN).rpartition(", ")
        style = _STYLES.get(whose or name.removeprefix(_SEEN), "-")
        if name.startswith(_FOUND) and whose != "as shipped":
            colour = _COLOURS.get(what, "black")
            found.plot(across, up, color=colour, linestyle=style, label=f"{what}, {whose}")
        elif name.startswith(_SEEN):
            label = name.removeprefix(_SEEN)
            label += " (fitted to these people)" if label == "as shipped" else ""
            seen.plot(across, up, color=_COLOURS["score"], linestyle=style, label=label)
    line = [1e-6, 1e-1]
    seen.plot(line, line, color="#888888", linewidth=1, zorder=1)
    band = [at / _OFF for at in line], [at * _OFF for at in line]
    seen.fill_between(line, *band, color="#e8e8e8", zorder=0, label=f"within {_OFF:g} ×")
    found.set(xscale="log", xlabel="false match rate, seen", ylabel="same-person pairs found")
    seen.set(xscale="log", yscale="log", xlabel="false match rate, told", ylabel="seen")
    for place, title in ((found, "Found at a false match rate"), (seen, "Told and seen")):
        place.set_title(title)
        place.grid(color="#e4e4e4", linewidth=0.8)
        place.set_axisbelow(True)
        place.spines[["top", "right"]].set_visible(False)
        place.legend(frameon=False, fontsize=9)
    return figure
