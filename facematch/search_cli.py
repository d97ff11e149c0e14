"""The command `facematch search`."""

import click

from facematch.commands.numbers import Number
from facematch.commands.program import asked, service_options


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
@service_options()
@click.pass_context
def search(
    ctx: click.Context,
    what: tuple[str, ...],
    face: int | None,
    limit: int,
    max_distance: float | None,
    max_false_matches: float | None,
) -> None:
    """Search with pictures that are not kept.

    Shows the faces of each and, for each face, which face of which image matches, the most certain
    first. Exits with 1 when a picture cannot be looked at.
    """
    from facematch.commands import search as command

    options = command.options_of(face, limit, max_distance, max_false_matches)
    failed = False
    with asked(ctx).client() as client:
        for one in what:
            searched = command.search(client, one, options)
            asked(ctx).show(command.document(searched), command.lines(searched))
            failed = failed or searched.answer is None
    ctx.exit(1 if failed else 0)
