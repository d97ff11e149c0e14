"""Pictures of kept results, where a curve says more than a table."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers.points import Point, points_in
from benchmarks.plot_rates import rates, series_in

RESULTS = Path(__file__).with_name("results")
OURS = "facematch"
#: What the times of more and fewer faces are compared with; see benchmarks.sizes.
FLAT = "IndexFlatL2"
#: Colours that the colour-blind tell apart (Okabe and Ito); one library has one, and each way of
#: it a mark of its own.
_COLOURS = {
    OURS: "#0072B2",
    FLAT: "#D55E00",
    "FAISS": "#D55E00",
    "hnswlib": "#009E73",
    "usearch": "#CC79A7",
    "pgvector": "#B07C00",
    "qdrant": "#3F8FC0",
    "milvus-lite": "#6B6B6B",
}
_MARKS = {"IVF": "v", "HNSW": "o", "hnswlib": "o"}
_EXACT = "s"
#: What is missed is drawn in powers of ten, as far as this; less is "all".
_LEAST_MISSED = 1e-4
_TIMED = "one thread, one query at a time, every answer compared with float64 brute force"
_SHARES = {0.0: "0", 0.5: "50 %", 0.9: "90 %", 0.99: "99 %", 0.999: "99.9 %", 1.0: "all"}


@dataclass(frozen=True)
class _Label:
    """Words beside the point (x, y)."""

    text: str
    x: float
    y: float
    colour: str
    bold: bool = False


def plot(folder: Path) -> list[Path]:
    """Draw what the results in this folder hold, beside them; the pictures.

    Raises ModuleNotFoundError unless matplotlib is installed.
    """
    import_module("matplotlib").use("Agg")
    made = []
    for file in sorted(folder.glob("*.json")):
        result = json.loads(file.read_text())
        points = points_in(result["measures"])
        grown = [point for point in points if point.label == FLAT]
        peers = [point for point in points if point.label != FLAT]
        drawn: tuple[tuple[str, Sequence[Point], Callable[[Sequence[Point]], Any]], ...] = (
            ("sizes", grown, _sizes),
            ("recall", peers, _recall),
        )
        for name, some, draw in drawn:
            if some:
                made.append(file.with_name(f"{file.stem}-{name}.png"))
                _save(draw(some), result, made[-1], _TIMED)
        if curves := series_in(result):
            made.append(file.with_name(f"{file.stem}-calibration.png"))
            _save(rates(curves), result, made[-1], "Labeled Faces in the Wild, one face a picture")
    return made


def _save(figure: Any, result: Mapping[str, Any], file: Path, how: str) -> None:
    machine = result["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GB"
    about = f"{result['date'][:10]}, {where}, Python {machine['python']}; {how}"
    figure.supxlabel(about, fontsize=8, color="#555555", x=0.01, ha="left")
    figure.savefig(file, dpi=110, metadata={"Software": None})
    import_module("matplotlib.pyplot").close(figure)


def _sizes(points: Sequence[Point]) -> Any:
    """Time against the number of faces, for each radius."""
    radii = sorted({point.radius for point in points})
    figure, axes = _axes(1, len(radii), (9.5, 4.4))
    figure.suptitle("All faces within a distance: time of one query, by number of faces")
    beside = []
    for place, radius in zip(axes[0], radii, strict=True):
        some = sorted((p for p in points if p.radius == radius), key=lambda point: point.faces)
        faces = [point.faces for point in some]
        labels = []
        for name, times, mark in (
            (OURS, [point.ours for point in some], "D"),
            (FLAT, [point.milliseconds for point in some], _EXACT),
        ):
            colour = _COLOURS[name]
            place.plot(faces, times, color=colour, marker=mark, markersize=5, linewidth=2)
            text = f"{'FAISS ' if name == FLAT else ''}{name} {times[-1]:.3g} ms"
            labels.append(_Label(text, faces[-1], times[-1], colour, name == OURS))
        place.set(xscale="log", yscale="log", xlabel="faces", title=f"distance {radius:g}")
        place.set_xticks(faces, [_short(number) for number in faces])
        place.minorticks_off()
        beside.append((place, labels))
    axes[0][0].set_ylabel("ms")
    _write(figure, beside)
    return figure


def _recall(points: Sequence[Point]) -> Any:
    """Time against recall, for each number of faces and radius."""
    radii = sorted({point.radius for point in points})
    sizes = sorted({point.faces for point in points}, reverse=True)
    figure, axes = _axes(len(sizes), len(radii), (11.5, 0.6 + 4.7 * len(sizes)))
    figure.suptitle("All faces within a distance: time of one query, by the share that is found")
    beside = []
    for row, faces in enumerate(sizes):
        for column, radius in enumerate(radii):
            place = axes[row][column]
            some = [p for p in points if (p.faces, p.radius) == (faces, radius)]
            title = f"{faces:,} faces, distance {radius:g}"
            place.set(yscale="log", title=title, xlabel="found")
            if some:
                beside.append((place, _curves(place, some)))
            place.set_xticks([_nines(share) for share in _SHARES], list(_SHARES.values()))
            place.minorticks_off()
        axes[row][0].set_ylabel("ms")
    _write(figure, beside)
    return figure


def _curves(place: Any, points: Sequence[Point]) -> list[_Label]:
    complete = _nines(1.0)
    ours = median(point.ours for point in points)
    place.axhline(ours, color=_COLOURS[OURS], linewidth=1, linestyle=(0, (4, 3)))
    place.plot([complete], [ours], marker="D", markersize=8, color=_COLOURS[OURS])
    labels = [_Label(OURS, complete, ours, _COLOURS[OURS], bold=True)]
    for name in dict.fromkeys(point.name for point in points):
        own = [point for point in points if point.name == name]
        library, _, way = name.partition(" ")
        places = [_nines(point.recall) for point in own]
        times = [point.milliseconds for point in own]
        colour, mark = _COLOURS.get(library, "black"), _MARKS.get(way or library, _EXACT)
        place.plot(places, times, color=colour, marker=mark, markersize=5, linewidth=1.3)
        labels.append(_Label(name, places[-1], times[-1], colour))
    place.set_xlim(-0.1, complete + 0.15)
    return labels


def _nines(share: float) -> float:
    return -math.log10(max(1 - share, _LEAST_MISSED))


def _axes(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    figure, axes = import_module("matplotlib.pyplot").subplots(
        rows, columns, figsize=size, squeeze=False, sharey="row", layout="constrained"
    )
    for place in axes.flat:
        place.grid(color="#e4e4e4", linewidth=0.8)
        place.set_axisbelow(True)
        place.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _write(figure: Any, beside: Sequence[tuple[Any, Sequence[_Label]]]) -> None:
    """Write the labels to the right of their axes, which have everything else."""
    for place, _ in beside:
        place.yaxis.set_major_formatter(import_module("matplotlib.ticker").FormatStrFormatter("%g"))
    figure.canvas.draw()  # now it is known how high they are
    for place, labels in beside:
        _label(place, labels)


def _label(place: Any, labels: Sequence[_Label]) -> None:
    """Each as high as its point, or as near to that as the others leave room, with a line to it."""
    height = place.get_window_extent().height / place.figure.dpi * 72
    room = 11 / height
    transform = place.transData + place.transAxes.inverted()
    at = {label: transform.transform((label.x, label.y)) for label in labels}
    ordered = sorted(labels, key=lambda label: float(at[label][1]))
    heights = spread([float(at[label][1]) for label in ordered], room)
    for label, up in zip(ordered, heights, strict=True):
        place.annotate(
            label.text,
            xy=(label.x, label.y),
            xytext=(1.04, up),
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=label.colour,
            weight="bold" if label.bold else "normal",
            arrowprops={"arrowstyle": "-", "color": label.colour, "lw": 0.6, "alpha": 0.6},
            annotation_clip=False,
        )


def spread(heights: Sequence[float], room: float) -> list[float]:
    """Ascending heights moved apart, as little as it takes, until each has so much room."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _first(groups[-1], room) < _last(groups[-2], room) + room:
            own = groups.pop()
            groups[-1] += own
    return [_first(group, room) + room * number for group in groups for number in range(len(group))]


def _first(group: Sequence[float], room: float) -> float:
    return sum(group) / len(group) - room * (len(group) - 1) / 2


def _last(group: Sequence[float], room: float) -> float:
    return _first(group, room) + room * (len(group) - 1)


def _short(number: int) -> str:
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:g} {letter}"
    return str(number)
