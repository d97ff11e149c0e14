"""The command `facematch search`."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from facematch.commands.numbers import Number
from facematch.commands.program import asked, service_options

if TYPE_CHECKING:
    from facematch.faces_client import SearchOptions


@click.command()
@click.argument("what", metavar="FILE|URL...", nargs=-1, required=True)
@click.option(
    "--face", type=click.IntRange(0, 255), help="Only this face of the picture, from 0 on."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Matches to show of each face.",
)
@click.option("--max-distance", type=Number(0, 2), help="Only matches at most so far apart.")
@click.option(
    "--max-false-matches",
    type=Number(0, min_open=True),
    help="Only the most certain: no more of a face are to be expected to be false.",
)
@click.option("--erase", is_flag=True, help="Erase the images that match, once you have said yes.")
@click.option("--yes", is_flag=True, help="With --erase: do not ask.")
@service_options()
@click.pass_context
def search(
    ctx: click.Context,
    what: tuple[str, ...],
    face: int | None,
    limit: int,
    max_distance: float | None,
    max_false_matches: float | None,
    erase: bool,
    yes: bool,
) -> None:
    """Search with pictures that are not kept.

    Shows the faces of each and, for each face, which face of which image matches, the most certain
    first. Exits with 1 when a picture cannot be looked at.

    With --erase, the images that show the face of each picture are shown, and erased once you have
    said yes. Of a picture with several faces, --face says whose.
    """
    from facematch.commands import search as command

    options = command.options_of(face, limit, max_distance, max_false_matches)
    failed = False
    if erase:
        _erase(ctx, what, options, yes)
        return
    with asked(ctx).client() as client:
        for one in what:
            searched = command.search(client, one, options)
            asked(ctx).show(command.document(searched), command.lines(searched))
            failed = failed or searched.answer is None
    ctx.exit(1 if failed else 0)


def _erase(ctx: click.Context, what: tuple[str, ...], options: "SearchOptions", yes: bool) -> None:
    from facematch.commands import search as command

    for one in what:
        if command.is_url(one):
            raise click.BadParameter("--erase takes files, not URLs")
        if not os.access(one, os.R_OK):
            raise click.FileError(one, "it cannot be read")
    with asked(ctx).client() as client:
        for one in what:
            found = client.faces.erase_by_probe(one, **options)
            if found.images and not yes:
                for line in command.erasure_lines(one, found):
                    click.echo(line, err=True)
                click.confirm(f"Erase these {len(found.images):,}?", abort=True, err=True)
            if found.images:
                found = client.faces.erase_by_probe(one, found.confirm, **options)
            document = {"asked": one, **asdict(found)}
            asked(ctx).show(document, command.erasure_lines(one, found))
