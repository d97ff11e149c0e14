"""`facematch plan`: which figures it reckons with, and what it shows."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from facematch.commands import plan_text as text
from facematch.commands.text import Document
from facematch.sizing import Machine, Pictures
from facematch.sizing_figures import Figures, Ingest, adapted, packaged, read_ingest
from facematch.sizing_plan import Agreement, Wanted, compared, planned

#: What is shown when nobody says how many.
SIZES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
#: What else is taken for granted where an ingest does not say.
_THRESHOLD = 0.6


@dataclass(frozen=True)
class Request:
    """The options of the command; memory in GB."""

    images: int | None
    per_day: int | None
    threshold: float | None
    faces_per_image: float
    images_per_person: float
    megapixels: float
    false_matches: float
    workers: int | None
    headroom: float
    cores: int | None
    memory: float | None
    measured: Path | None
    compare: Path | None
    explain: bool

    @property
    def pictures(self) -> Pictures:
        """What the pictures are like."""
        return Pictures(self.faces_per_image, self.images_per_person, self.megapixels)


def run(request: Request, show: Callable[[Document, Iterable[str]], None]) -> bool:
    """Show what was asked for; whether a measured ingest, if one was given, agrees.

    Raises ValueError for a wrong use.
    """
    for field in fields(request):
        value = getattr(request, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"--{field.name.replace('_', '-')}: {value} is no number")
    if request.compare is not None:
        return _compare(request, request.compare, show)
    figures, ingest = figures_for(request.measured, request.pictures, request.threshold)
    if ingest is not None and ingest.drawn:
        raise ValueError(
            f"{ingest.file} is of drawn faces, which nobody had to look for: measure real pictures"
        )
    if request.explain:
        show(text.explanation(figures), text.explained(figures))
        return True
    if request.images is not None:
        wanted = _wanted(request, figures, ingest, request.images)
        plan = planned(wanted, figures)
        show(text.document(plan), text.plan_lines(plan, wanted))
        return True
    each = [_wanted(request, figures, ingest, images) for images in SIZES]
    plans = [planned(wanted, figures) for wanted in each]
    show({"plans": [text.document(plan) for plan in plans]}, text.table_lines(plans, each[0]))
    return True


def _wanted(request: Request, figures: Figures, ingest: Ingest | None, images: int) -> Wanted:
    machine = Machine(
        request.cores or figures.machine.cores,
        request.memory * 1e9 if request.memory else figures.machine.memory,
    )
    return Wanted(
        images,
        request.per_day or math.ceil(images / 365),
        _pictures(ingest, request.pictures) if ingest else request.pictures,
        machine,
        request.threshold,
        request.workers,
        request.headroom,
        request.false_matches,
    )


def _compare(request: Request, file: Path, show: Callable[[Document, Iterable[str]], None]) -> bool:
    ingest, found = comparison(file, request.measured, request.pictures, request.threshold)
    if request.images not in (None, ingest.images):
        raise ValueError(f"{ingest.file} is of {ingest.images:,} pictures, not {request.images:,}")
    show(text.comparison_document(ingest, found), text.comparison_lines(ingest, found))
    return all(each.agrees for each in found)


def figures_for(
    measured: Path | None, pictures: Pictures, threshold: float | None
) -> tuple[Figures, Ingest | None]:
    """Those that come with facematch, or as far as they were measured those of an ingest.

    Raises ValueError for what is no ingest.
    """
    if measured is None:
        return packaged(), None
    ingest = read_ingest(measured)
    seen = ingest.threshold or threshold or _THRESHOLD
    return adapted(packaged(), ingest, _pictures(ingest, pictures), seen), ingest


def comparison(
    file: Path, measured: Path | None, pictures: Pictures, threshold: float | None
) -> tuple[Ingest, list[Agreement]]:
    """A measured ingest beside what is planned for as many pictures, with the threshold and faces
    that it says it had.

    Raises ValueError for what is no ingest, and where a plan would be compared with itself.
    """
    ingest = read_ingest(file)
    pictures, seen = _pictures(ingest, pictures), ingest.threshold or threshold or _THRESHOLD
    figures, base = figures_for(measured, pictures, threshold)
    if base is not None and base.file.resolve() == ingest.file.resolve():
        raise ValueError(f"{ingest.file} would be compared with itself")
    if ingest.drawn and not (base is not None and base.drawn):
        raise ValueError(
            f"{ingest.file} is of drawn faces, which nobody had to look for: --measured must be too"
        )
    return ingest, compared(ingest, figures, pictures, seen)


def _pictures(ingest: Ingest, pictures: Pictures) -> Pictures:
    return replace(pictures, faces=ingest.faces) if ingest.faces else pictures
