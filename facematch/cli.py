"""The `facematch` command: asks the service over REST, or serves.

What is heavy is imported by the command that needs it, so that help comes at once.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from facematch import __version__
from facematch.archive_cli import export, import_
from facematch.collections_cli import collections
from facematch.commands.numbers import Number
from facematch.commands.program import (
    EXIT_CODES,
    FILE,
    Program,
    asked,
    complain,
    limit_option,
    service_options,
    wait_option,
)
from facematch.errors import NotFound
from facematch.events_cli import events, webhooks
from facematch.keys_cli import keys
from facematch.operator_cli import fsck, index, migrate, reindex
from facematch.people_cli import people
from facematch.plan_cli import plan
from facematch.quality_cli import quality
from facematch.search_cli import search
from facematch.service_cli import doctor, jobs, status
from facematch.shell_cli import completion, watch

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="facematch")
@service_options(environment=True)
def main() -> None:
    """Find the pictures that show one of the same faces.

    Start a service with `facematch serve`; the other commands ask one.

    \b
    facematch image anna.jpg bob.jpg   submit two pictures, show their matches
    facematch ingest ~/Pictures        submit a whole folder
    facematch match anna.jpg --json    for a script
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
    """Submit pictures by URL and show their matches.

    The service fetches them.
    """
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
@click.option("--max-distance", type=Number(0, 2), help="Only matches at most so far apart.")
@click.option(
    "--max-false-matches",
    type=Number(0, min_open=True),
    help="Only the most certain: no more of a face are to be expected to be false.",
)
@service_options()
@click.pass_context
def match(
    ctx: click.Context,
    what: str,
    wait: float,
    limit: int,
    max_distance: float | None,
    max_false_matches: float | None,
) -> None:
    """Show the matches of an image, the most certain first.

    It is named by its hash, or by a file with the same bytes, which is not submitted.
    """
    from facematch.commands.results import matches_of
    from facematch.commands.text import result_document, result_lines
    from facematch.store import Filter

    options = asked(ctx)
    hash_ = _hash_of(what)
    only = Filter(max_distance, max_false_matches)
    with options.client() as client:
        result = matches_of(client, what, hash_, wait, limit, only)
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
    type=Number(min=0),
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
    options.show(report_document(report, str(source), client.where), report_lines(report))
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


_SECTIONS = {
    "Pictures": ("image", "url", "ingest", "watch", "match", "search", "delete"),
    "People and events": ("people", "events", "webhooks"),
    "The collection": ("collections", "export", "import", "reindex", "fsck", "migrate"),
    "The service": ("serve", "status", "doctor", "keys", "jobs", "index"),
    "Planning": ("plan", "quality"),
    "This program": ("completion",),
}
for _command in (
    *(collections, completion, doctor, events, export, fsck, import_, index, jobs, keys),
    *(migrate, people, plan, quality, reindex, search, status, watch, webhooks),
):
    main.add_command(_command)
main.sections = _SECTIONS
