"""The `facematch` command: asks the service over REST, or serves.

What is heavy is imported by the command that needs it, so that help comes at once.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from facematch import __version__
from facematch.commands.count import count
from facematch.commands.program import (
    FILE,
    Program,
    asked,
    complain,
    limit_option,
    output_options,
    service_options,
    wait_option,
)
from facematch.errors import NotFound

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="facematch")
@service_options(environment=True)
def main() -> None:
    """Find the pictures that show one of the same faces.

    Start a service with `facematch serve`; the other commands ask one.
    """


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@wait_option(60)
@limit_option
@service_options()
@click.pass_context
def image(ctx: click.Context, files: tuple[Path, ...], wait: float, limit: int) -> None:
    """Submit pictures and show their matches."""
    _submit(ctx, files, wait, limit)


@main.command()
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@wait_option(60)
@limit_option
@service_options()
@click.pass_context
def url(ctx: click.Context, urls: tuple[str, ...], wait: float, limit: int) -> None:
    """Submit pictures that the service fetches and show their matches."""
    _submit(ctx, urls, wait, limit)


def _submit(ctx: click.Context, what: Sequence[Path | str], wait: float, limit: int) -> None:
    from facematch.commands.results import submitted
    from facematch.commands.text import result_document, result_lines

    options = asked(ctx)
    with options.client() as client:
        results = submitted(client, what, wait, limit)
    for result in results:
        options.show(result_document(result), result_lines(result))
    ctx.exit(0 if all(result.known for result in results) else 1)


@main.command()
@click.argument("what", metavar="HASH|FILE")
@wait_option(30, 30)
@limit_option
@service_options()
@click.pass_context
def match(ctx: click.Context, what: str, wait: float, limit: int) -> None:
    """Show the matches of an image.

    It is named by its hash, or by a file with the same bytes, which is not submitted.
    """
    from facematch.commands.results import matches_of
    from facematch.commands.text import result_document, result_lines

    options = asked(ctx)
    hash_ = _hash_of(what)
    with options.client() as client:
        result = matches_of(client, what, hash_, wait, limit)
    options.show(result_document(result), result_lines(result))
    ctx.exit(0 if result.known else 1)


@main.command()
@click.argument("hashes", metavar="HASH...", nargs=-1, required=True)
@service_options()
@click.pass_context
def delete(ctx: click.Context, hashes: tuple[str, ...]) -> None:
    """Erase images, with their faces and matches."""
    options = asked(ctx)
    for hash_ in hashes:
        _check_hash(hash_)
    code = 0
    with options.client() as client:
        for hash_ in hashes:
            try:
                client.delete(hash_)
            except NotFound as error:
                code = 1
                complain(error, f"{hash_}: ")
                if options.json:
                    options.show({"hash": hash_, "erased": False, "code": error.code}, ())
            else:
                options.show({"hash": hash_, "erased": True, "code": None}, [f"{hash_}: erased"])
    ctx.exit(code)


@main.command()
@click.argument(
    "source", metavar="FOLDER|FILE-OF-URLS", type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="Pictures under way at once.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="Give up when the service did not answer for so long.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when a picture failed.")
@service_options()
@click.pass_context
def ingest(
    ctx: click.Context, source: Path, concurrency: int, patience: float, strict: bool
) -> None:
    """Submit every picture of a folder, or of a list of URLs.

    Of a folder: every file in it and its folders, but for hidden ones. Of a list: the first field
    (up to a tab) of each line, where it is not empty and no # comment.

    Run again, it goes on where it stopped: what the service still has is not submitted again;
    what failed is, and so is what changed. Pictures that fail are counted, and are no failure of
    the command unless --strict is given.
    """
    from facematch.commands.ingest import run
    from facematch.commands.text import report_document, report_lines

    options = asked(ctx)
    # A second try of a call would only hide from the run that the service is away.
    with options.client(attempts=1) as client:
        report, signal = run(client, source, concurrency, patience)
    options.show(report_document(report, str(source), client.url), report_lines(report))
    if report.error is not None:
        raise report.error
    if report.interrupted:
        ctx.exit(128 + signal)
    ctx.exit(1 if strict and report.tally.failures else 0)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=5000, show_default=True)
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept. Default: ~/.local/share/facematch.",
)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True)
@click.pass_context
def serve(ctx: click.Context, host: str, port: int, data: Path | None, workers: int) -> None:
    """Run the whole service on this machine until Ctrl-C."""
    from facematch import embedded
    from facematch.data_folder import default_data

    ctx.exit(embedded.serve(host, port, data or default_data(), workers))


@main.command()
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Of an embedded service, running or not. Default: FACEMATCH_REDIS_URL, or the folder"
    " that serve uses by default.",
)
@output_options
@click.pass_context
def fsck(ctx: click.Context, data: Path | None) -> None:
    """Recompute every match set by brute force and compare.

    Exits with 1 when something was found.
    """
    from facematch.commands import fsck as command

    report = command.check(data)
    asked(ctx).show(command.document(report), command.lines(report))
    ctx.exit(1 if report.findings else 0)


@main.command()
@click.option("--images", type=count, help="How many; without it, from 10 k to 1 G.")
@click.option("--per-day", type=count, help="More a day; a 365th of the images by default.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 2, min_open=True),
    help="Default: the loosest of those measured that keeps to --false-matches.",
)
@click.option(
    "--faces-per-image", type=click.FloatRange(1, 256), default=1.0, show_default=True, metavar="F"
)
@click.option(
    "--images-per-person",
    type=click.FloatRange(1, 1e6),
    default=5.0,
    show_default=True,
    metavar="P",
    help="How many images show the person of one.",
)
@click.option(
    "--megapixels",
    type=click.FloatRange(0.01, 1000),
    default=0.0625,
    show_default=True,
    metavar="MP",
    help="Of a picture; by default those of the ones that were measured, 250 × 250 pixels.",
)
@click.option(
    "--false-matches",
    type=click.FloatRange(0, min_open=True, max=1e9),
    default=10.0,
    show_default=True,
    metavar="M",
    help="The most in the match set of an image.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1_000_000),
    help="One on each machine. Default: what --per-day needs.",
)
@click.option(
    "--headroom",
    type=click.FloatRange(1, 1000),
    default=2.0,
    show_default=True,
    help="Times the daily load that the workers can do.",
)
@click.option("--cores", type=click.IntRange(1, 10_000), help="Of a machine.")
@click.option(
    "--memory", type=click.FloatRange(1, 1e6), metavar="GB", help="Of a machine. Default: measured."
)
@click.option(
    "--measured",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|FOLDER",
    help="What `python -m benchmarks ingest --json` kept on a machine of yours.",
)
@click.option(
    "--compare",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|FOLDER",
    help="A measured ingest to hold the plan for as many pictures against.",
)
@click.option("--explain", is_flag=True, help="Print the model, its figures and their sources.")
@output_options
@click.pass_context
def plan(ctx: click.Context, /, **options: Any) -> None:
    """Say what a collection takes: workers, memory, hours, false matches, machine-hours.

    From a model and figures that were measured; no service is asked. With --compare it exits with
    1 when the plan is off by more than a quarter.
    """
    from facematch.commands import plan as command

    try:
        agrees = command.run(command.Request(**options), asked(ctx).show)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    ctx.exit(0 if agrees else 1)


@main.group()
def index() -> None:
    """Look after the index: the sidecar's, or Milvus."""


def _index_options(command: _Command) -> _Command:
    data = click.option(
        "--data",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Of an embedded service that runs. Default: FACEMATCH_REDIS_URL and"
        " FACEMATCH_INDEX_URL, or the folder that serve uses by default.",
    )
    return data(output_options(command))


@index.command("status")
@_index_options
@click.pass_context
def index_status(ctx: click.Context, data: Path | None) -> None:
    """Show how far it is along the log.

    Exits with 1 when it is not ready.
    """
    from facematch.commands import index as command

    answer = command.status(data)
    asked(ctx).show(command.document(answer), command.status_lines(answer))
    ctx.exit(0 if answer.ready else 1)


@index.command("rebuild")
@_index_options
@click.pass_context
def index_rebuild(ctx: click.Context, data: Path | None) -> None:
    """Load it anew from the store.

    A sidecar answers nothing until it has; Milvus goes on with what it has.
    """
    from facematch.commands import index as command

    answer = command.rebuild(data)
    asked(ctx).show(command.document(answer), command.status_lines(answer))
    ctx.exit(0 if answer.ready else 1)


@index.command("verify")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Faces to ask for, chosen by chance.",
)
@_index_options
@click.pass_context
def index_verify(ctx: click.Context, data: Path | None, sample: int) -> None:
    """Compare what it answers with brute force, and look for faces that should be gone.

    Exits with 1 when something was found.
    """
    from facematch.commands import index as command

    answer = command.check(data, sample)
    asked(ctx).show(command.document(answer), command.verified_lines(answer))
    ctx.exit(1 if answer.findings else 0)


def _hash_of(what: str) -> str:
    """The hash that this is, or that of the file that it names."""
    from facematch.faces import image_hash, is_image_hash

    if is_image_hash(what):
        return what
    path = Path(what)
    if not path.is_file():
        raise click.BadParameter(f"{what!r} is no hash (64 hexadecimal digits) and no file")
    try:
        return image_hash(path.read_bytes())
    except OSError as error:
        raise click.FileError(what, error.strerror or str(error)) from error


def _check_hash(text: str) -> None:
    from facematch.faces import is_image_hash

    if not is_image_hash(text):
        raise click.BadParameter(f"{text!r} is no hash: 64 lower-case hexadecimal digits")
