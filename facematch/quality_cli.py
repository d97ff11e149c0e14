"""`facematch quality`: its options. Added to the program by `facematch.cli`."""

import sys
from contextlib import closing
from pathlib import Path

import click

from facematch.commands.count import count
from facematch.commands.numbers import Number
from facematch.commands.program import asked, output_options


@click.command()
@click.argument(
    "folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--size",
    "sizes",
    type=count,
    multiple=True,
    help="Faces in the collection; may be given again. Default: 1k, 100k and 10M.",
)
@click.option(
    "--false-matches",
    "most",
    type=Number(0, min_open=True, max=1e9),
    default=1.0,
    show_default=True,
    metavar="M",
    help="Of a face, that are accepted: what is advised has no more.",
)
@click.option(
    "--threshold",
    type=Number(0, 2, min_open=True),
    help="That of the collection, which bounds its matches as well; 0.6 by default.",
)
@click.option(
    "--roc",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture of it, a PNG. Default: facematch-roc.png here.",
)
@output_options
@click.pass_context
def quality(
    ctx: click.Context,
    folder: Path,
    sizes: tuple[int, ...],
    most: float,
    threshold: float | None,
    roc: Path | None,
) -> None:
    """Say how well people are told apart in your own pictures.

    And which setting to use for them.

    FOLDER has a folder for each person, with pictures of that person. Nothing is submitted or
    kept: a worker's encoder looks at them here, at the face nearest to the middle of each.
    """
    from facematch import progress
    from facematch.commands import quality as command
    from facematch.commands import quality_text as text
    from facematch.faces import DEFAULT_THRESHOLD

    sizes = sizes or command.SIZES
    request = command.Request(folder, sizes, threshold or DEFAULT_THRESHOLD, most)
    with closing(progress.on(sys.stderr, "pictures")) as shown:
        told = command.run(request, shown.update)
    picture = roc or Path("facematch-roc.png")
    try:
        picture.write_bytes(text.drawn(told))
    except OSError as error:
        raise click.FileError(str(picture), error.strerror or str(error)) from error
    asked(ctx).show(text.document(told, picture), text.lines(told, picture))
