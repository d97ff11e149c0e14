"""`python -m benchmarks NAME`: measurements and checks over large image sets."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.pictures import DEFAULT_DATA, Reference
from benchmarks.report import Report
from facematch import DEFAULT_URL
from facematch.errors import FacematchError

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_RESULTS = Path(__file__).with_name("results")


@click.group()
def main() -> None:
    """Measure facematch, or check it against a reference."""


def _kept(command: Callable[..., Report]) -> Callable[..., None]:
    """Options that every benchmark has, and what becomes of its report."""

    @click.option("--short", is_flag=True, help="A quick look at whether it works.")
    @click.option("--json", "file", type=click.Path(path_type=Path), help="Keep the result here.")
    @functools.wraps(command)
    def kept(file: Path | None, **options: Any) -> None:
        report = command(**options)
        for line in report.lines():
            click.echo(line)
        if file is not None:
            file.write_text(report.to_json())
        sys.exit(0 if report.passed else 1)

    return kept


def _keeping(context: click.Context) -> Callable[[Report], None]:
    """Keeps a report before it is complete: what took long shall not be lost with the rest."""
    file: Path | None = context.params["file"]

    def keep(report: Report) -> None:
        if file is not None:
            file.write_text(report.to_json())

    return keep


@contextmanager
def _in_one_line(*errors: type[Exception]) -> Iterator[None]:
    """Says what went wrong with a service that is measured, or one of these, and no more."""
    from facematch.tree import Failed

    known: tuple[type[Exception], ...] = (Failed, FacematchError, *errors)
    try:
        yield
    except known as error:
        raise click.ClickException(str(error)) from error


def _reported(command: Callable[..., Report]) -> Callable[..., None]:
    """One that uses the reference, where there is one."""

    @click.option(
        "--data",
        type=click.Path(path_type=Path),
        default=DEFAULT_DATA,
        help="Folder with lfw/ and lfw-reference.npz.",
    )
    @functools.wraps(command)
    def reported(data: Path, **options: Any) -> Report:
        return command(Reference(data), **options)

    return main.command()(_kept(reported))


@main.command()
@_kept
@click.option("--faces", type=click.IntRange(1000), help="Default: 1,000,000; with --soak 200,000.")
@click.option("--rounds", type=click.IntRange(1), default=12, show_default=True)
@click.option("--soak", type=click.IntRange(5), help="Let it work for so many seconds instead.")
@click.option(
    "--part",
    "parts",
    type=click.Choice(["main", "sizes", "peers"]),
    multiple=True,
    help="Only this; may be given again. All take half an hour with every peer, main 4 minutes.",
)
@click.pass_context
def index(
    context: click.Context,
    faces: int | None,
    rounds: int,
    soak: int | None,
    parts: tuple[str, ...],
    short: bool,
) -> Report:
    """Every face within a radius: time and memory against FAISS, and that none is missing.

    Also the time of a query with more and with fewer faces, and the same query in other libraries
    and local databases that are installed: pip install 'facematch[peers]'.

    With --soak: whether it takes no more memory, and nobody waits long, while images come and go.
    """
    if soak is not None:
        from benchmarks.soak import run as run_soak

        return run_soak(faces or 200_000, soak, short)
    from benchmarks.index import Part, run

    chosen = [Part(part) for part in parts] or list(Part)
    return run(faces or 1_000_000, rounds, chosen, short, _keeping(context))


@main.command()
@_kept
@click.option("--faces", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option(
    "--whole", is_flag=True, help="Let FAISS join all faces, not only a part: 22 minutes."
)
def join(faces: int, whole: bool, short: bool) -> Report:
    """All pairs of faces within 0.5: the time, against FAISS, and that none is missing.

    FAISS joins 24 of 1,000 batches, unless --whole is given. Ctrl-C ends that and tells of what was
    done by then.
    """
    from benchmarks.join import run

    return run(faces, whole, short)


@main.command()
@_kept
@click.option("--images", type=click.IntRange(10), default=1000, show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=12, show_default=True)
def browse(images: int, rounds: int, short: bool) -> Report:
    """How soon each view of the web page can be used, in a real Chromium."""
    from benchmarks.browsing import run

    with _in_one_line(ImportError):
        return run(images, rounds, short)


@_reported
@click.option("--rounds", type=click.IntRange(1), default=24, show_default=True)
def encode(reference: Reference, rounds: int, short: bool) -> Report:
    """Speed and memory of the encoder against face_recognition, and that both say the same."""
    from benchmarks.encode import run

    return run(reference, rounds, short)


@_reported
@click.option(
    "--part",
    "parts",
    type=click.Choice(["finding", "rates", "bounds", "mirrored", "people", "served", "pairs"]),
    multiple=True,
    help="Only this; may be given again. pairs takes ten minutes, the others a few each.",
)
@click.option(
    "--same",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For rates: two folders of lfw/ a line that show one person; left out as false matches.",
)
def quality(reference: Reference, parts: tuple[str, ...], same: Path | None, short: bool) -> Report:
    """How well people are told apart: what is found at a false match rate, and by both encoders.

    Also what each setting of the detector finds.
    """
    from benchmarks.quality import Part, run

    return run(reference, [Part(part) for part in parts] or list(Part), short, same)


@main.command()
@_kept
@click.option("--pictures", type=_FOLDER, help="A folder, with all that is below it: LFW's, say.")
@click.option(
    "--urls",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A list of URLs, one a line. Their files are served on this machine, from --root.",
)
@click.option("--root", type=_FOLDER, help="The folder with the files of --urls.")
@click.option("--drawn", type=click.IntRange(1), help="So many drawn faces, in tiny pictures.")
@click.option(
    "--count",
    type=click.IntRange(1),
    help="So many of --pictures or --urls; more pictures than there are, are made of them.",
)
@click.option("--clustered", is_flag=True, help="Redis, RabbitMQ, api, and an index per worker.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Pictures that are submitted and waited for at once.",
)
@click.option("--threshold", type=click.FloatRange(0.01, 2), default=0.6, show_default=True)
@click.option(
    "--part",
    "parts",
    type=click.Choice(["main", "growth"]),
    multiple=True,
    help="Only this; may be given again. growth takes up to a million drawn images.",
)
@click.pass_context
def ingest(context: click.Context, /, parts: tuple[str, ...], short: bool, **given: Any) -> Report:
    """A whole service taking in pictures: how many a second, where the time goes, what it keeps.

    Beside it the seed way: face_recognition, and a scan of every stored image through Redis. And
    how the time to match one new image grows with those that are there. Ctrl-C ends it, and what
    was measured is told.
    """
    from benchmarks.ingest import Part, Setup, Source, run
    from benchmarks.servers import ServerMissingError

    sources = [name for name in ("pictures", "urls", "drawn") if given[name]]
    chosen = [Part(part) for part in parts] or list(Part)
    if len(sources) != 1 and Part.MAIN in chosen:
        raise click.UsageError("give one of --pictures, --urls and --drawn")
    if bool(given["urls"]) != bool(given["root"]):
        raise click.UsageError("--urls and --root go together")
    source = Source(**{name: given.pop(name) for name in Source.__dataclass_fields__})
    with _in_one_line(ServerMissingError, ValueError):
        return run(source, Setup(**given), chosen, short, _keeping(context))


@main.command()
@_kept
@click.option("--images", type=click.IntRange(100), default=10_000, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    default=8.0,
    show_default=True,
    help="For which each rate is kept up.",
)
@click.option("--threshold", type=click.FloatRange(0.01, 2), default=0.6, show_default=True)
def read(images: int, seconds: float, threshold: float, short: bool) -> Report:
    """Reading match sets at rising rates, until the service is late: open loop.

    Latencies count from when a request was due, whether or not those before it were answered.
    Against a service of its own, filled with drawn images.
    """
    from benchmarks.read import run

    with _in_one_line():
        return run(images, seconds, threshold, short)


@_reported
@click.option("--images", type=click.IntRange(1), default=500, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=200, show_default=True)
def search(reference: Reference, images: int, rounds: int, short: bool) -> Report:
    """A search with a picture that is not kept, beside taking the picture in: one at a time.

    Against an embedded service of its own.
    """
    from benchmarks.searching import run

    with _in_one_line():
        return run(reference, images, rounds, short)


@main.command()
@_kept
@click.option("--images", type=click.IntRange(100), default=100_000, show_default=True)
@click.option("--from", "first", type=click.FloatRange(0.02, 2), default=0.45, show_default=True)
@click.option("--to", "second", type=click.FloatRange(0.02, 2), default=0.5, show_default=True)
@click.option("--idle", type=click.FloatRange(5), default=30, show_default=True, metavar="SECONDS")
def reindex(images: int, first: float, second: float, idle: float, short: bool) -> Report:
    """Making all match sets anew while requests come: images a second, and how late answers are.

    Against a service of its own, filled with drawn images.
    """
    from benchmarks.reindex import run

    with _in_one_line():
        return run(images, first, second, idle, short)


@main.command()
@_kept
@click.option("--most", type=click.IntRange(2), default=3, show_default=True, help="Workers.")
@click.option(
    "--rate",
    type=click.FloatRange(1),
    default=24.0,
    show_default=True,
    help="Pictures a second while there are many; an eighth of that before and after.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(5),
    default=40.0,
    show_default=True,
    help="For which there are many.",
)
def scale(most: int, rate: float, seconds: float, short: bool) -> Report:
    """Workers, each with its index, that come and go with the length of the queue.

    A small loop plays what scales them in a cluster: from one to --most and back, while pictures
    come. Nothing may be lost; how long a picture takes until it is done.
    """
    from benchmarks.scale import run
    from benchmarks.servers import ServerMissingError

    with _in_one_line(ServerMissingError):
        return run(most, rate, seconds, short)


@main.command()
@_kept
@click.option(
    "--times",
    type=click.FloatRange(1),
    default=10.0,
    show_default=True,
    help="What the worker can do, of pictures and of reads each.",
)
@click.option("--seconds", type=click.FloatRange(5), default=60.0, show_default=True)
@click.option(
    "--backlog",
    type=click.IntRange(100_000),
    default=12_000_000,
    show_default=True,
    help="Bytes of pictures that may wait.",
)
def flood(times: float, seconds: float, backlog: int, short: bool) -> Report:
    """Ten times as many pictures as can be done: how late the api answers, and what is lost.

    Open loop, with as many reads beside them, against a clustered service of its own.
    """
    from benchmarks.flood import run
    from benchmarks.servers import ServerMissingError

    with _in_one_line(ServerMissingError):
        return run(times, seconds, backlog, short)


@main.command("all")
@click.option(
    "--data", type=click.Path(path_type=Path), default=DEFAULT_DATA, help="Folder with lfw/."
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/benchmarks"),
    show_default=True,
    help="Where the results are kept.",
)
def all_of_them(data: Path, results: Path) -> None:
    """A short form of every benchmark: whether all of it works on this machine."""
    from benchmarks.everything import commands, run

    failed = run(commands(data), results)
    click.echo(f"results in {results}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    sys.exit(1 if failed else 0)


@main.command()
@click.option("--results", type=_FOLDER, default=_RESULTS)
def plot(results: Path) -> None:
    """Draw the results that are kept, where a curve says more than a table."""
    from benchmarks.plot import plot

    try:
        made = plot(results)
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}: pip install 'facematch[peers]'") from error
    for picture in made:
        click.echo(picture)


@main.command()
@click.option("--results", type=_FOLDER, default=_RESULTS, help="Default: the results kept here.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page. Default: report.html in the folder of results.",
)
@click.option("--against", type=_FOLDER, help="A folder of former results to compare with.")
@click.option(
    "--noise",
    type=click.FloatRange(0, 1000),
    default=20.0,
    show_default=True,
    metavar="PERCENT",
    help="By which a figure that was measured once in each folder differs by chance.",
)
@click.option("--allow-worse", is_flag=True, help="Exit with 0 even when something got worse.")
def report(
    results: Path, out: Path | None, against: Path | None, noise: float, allow_worse: bool
) -> None:
    """Make one HTML page of a folder of results, and say what got better or worse.

    Files that are no results are named, and left out. With --against, exits with 1 when something
    got worse by more than noise, or when there was nothing to compare. Runs with the same options
    are of one kind; where a folder has several, their own differences are the noise.
    """
    from benchmarks.publishing import publish

    target = out or results / "report.html"
    try:
        published = publish(results, target, against, noise / 100)
    except OSError as error:
        raise click.ClickException(f"{target}: {error.strerror or error}") from error
    for line in published.lines:
        click.echo(line)
    click.echo(target)
    sys.exit(0 if published.well or allow_worse else 1)


@main.command()
@click.option("--faces", type=click.IntRange(1000), default=1_000_000, show_default=True)
@_kept
def sizing(faces: int, short: bool) -> Report:
    """What `facematch plan` reckons with: bytes in Redis, and time as a collection grows."""
    from benchmarks.sizing import run

    return run(faces, short)


@main.command("match-sets")
@_kept
def match_sets(short: bool) -> Report:
    """What a stored match takes: bytes in Redis, and time to write it, by the size of its set."""
    from benchmarks.match_sets import run

    return run(short)


@main.command("sizing-file")
@click.option("--results", type=_FOLDER, default=_RESULTS, help="Default: the results kept here.")
@click.option(
    "--ingest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of real pictures, by `python -m benchmarks ingest`: what a picture takes.",
)
def sizing_file(results: Path, ingest: Path | None) -> None:
    """Put what is kept of `sizing`, `match-sets`, `index`, `encode` into facematch/sizing.json."""
    from benchmarks.sizing_file import renew

    file = _RESULTS.parents[1] / "facematch" / "sizing.json"
    try:
        renewed = renew(file, results, ingest)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file.name}: {', '.join(renewed)}")


@main.command()
@click.argument("data", type=_FOLDER)
@click.option("--url", default=DEFAULT_URL, show_default=True, help="The service.")
def reference(data: Path, url: str) -> None:
    """Compare every match set of a service with brute force over reference encodings.

    DATA holds the pictures in lfw/, which the service has ingested, and lfw-reference.npz.
    """
    from benchmarks.reference import compare

    if not (data / "lfw-reference.npz").exists():
        raise click.BadParameter(f"there is no lfw-reference.npz in {data}", param_hint="DATA")
    with _in_one_line():
        found = compare(url, data / "lfw", data / "lfw-reference.npz")
    click.echo(
        f"{found.pictures:,} pictures, {found.faces:,} faces: {found.pairs:,} pairs compared,"
        f" {found.matching:,} of them matching, {found.aside:,} within 1e-4 of the threshold"
        f" set aside"
    )
    click.echo(f"{len(found.missing):,} matches missing, {len(found.surplus):,} too many")
    for kind, pairs in (("missing", found.missing), ("too many", found.surplus)):
        for one, other in pairs[:10]:
            click.echo(f"  {kind}: {one} {other}")
    sys.exit(1 if found.missing or found.surplus else 0)


if __name__ == "__main__":
    main()
