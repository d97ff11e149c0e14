"""The commands of `facematch` about people."""

from pathlib import Path

import click

from facematch.commands.numbers import Number
from facematch.commands.program import asked, collection_option, output_options, service_options
from facematch.corrections import FaceKey
from facematch.linkage import FALSE_PAIRS

_DATA = click.option(
    "--data",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Of an embedded service, running or not. Default: FACEMATCH_REDIS_URL, or the folder"
    " that serve uses by default.",
)


def _named(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[FaceKey, ...]:
    """Faces by hash and number."""
    from facematch.faces import FACES_PER_POSITION, is_image_hash

    faces = []
    for value in values:
        image, _, number = value.partition(":")
        number = number or "0"
        known = number.isascii() and number.isdigit() and len(number) <= 3
        if not (is_image_hash(image) and known and int(number) < FACES_PER_POSITION):
            what = f"{value!r} is not the hash of an image, or HASH:NUMBER"
            raise click.BadParameter(what, ctx, parameter)
        faces.append((image, int(number)))
    return tuple(faces)


_FACES = click.argument(
    "faces", metavar="HASH[:NUMBER]...", nargs=-1, required=True, callback=_named
)


@click.group()
def people() -> None:
    """Who is who among the faces of the collection.

    A face is named by the hash of its image and its number there, from 0.
    """


@people.command("list")
@click.option("--fewest", type=click.IntRange(min=1), default=2, show_default=True, metavar="FACES")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@service_options()
@click.pass_context
def list_(ctx: click.Context, fewest: int, limit: int) -> None:
    """Show the people, those with most faces first."""
    from facematch.commands import people as command

    with asked(ctx).client() as client:
        page = client.people.page(limit, fewest=fewest)
    asked(ctx).show(command.document(page), command.list_lines(page))


@people.command()
@click.argument("person", metavar="ID")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@service_options()
@click.pass_context
def show(ctx: click.Context, person: str, limit: int) -> None:
    """Show a person, with its faces."""
    from facematch.commands import people as command

    with asked(ctx).client() as client:
        page = client.people.person(person, limit)
    asked(ctx).show(command.document(page), command.person_lines(page))


@people.command()
@click.argument("image", metavar="HASH")
@service_options()
@click.pass_context
def of(ctx: click.Context, image: str) -> None:
    """Show who is on an image."""
    from facematch.commands import people as command

    with asked(ctx).client() as client:
        faces = client.people.of_image(image)
    asked(ctx).show(command.of_document(image, faces), command.of_lines(faces))


@people.command()
@click.argument("person", metavar="ID")
@click.argument("name", metavar="NAME")
@service_options()
@click.pass_context
def name(ctx: click.Context, person: str, name: str) -> None:
    """Name a person; an empty name takes it away."""
    from facematch.commands import people as command

    with asked(ctx).client() as client:
        named = client.people.rename(person, name)
    asked(ctx).show(command.document(named), command.lines([named]))


@people.command()
@click.argument("person", metavar="ID")
@click.argument("others", metavar="ID...", nargs=-1, required=True)
@service_options()
@click.pass_context
def merge(ctx: click.Context, person: str, others: tuple[str, ...]) -> None:
    """Say that the others are the first person."""
    from facematch.commands import people as command

    with asked(ctx).client() as client:
        merged = client.people.merge(person, others)
    asked(ctx).show(command.document(merged), command.lines([merged]))


@people.command()
@click.argument("person", metavar="ID")
@_FACES
@service_options()
@click.pass_context
def split(ctx: click.Context, person: str, faces: tuple[FaceKey, ...]) -> None:
    """Say that some faces of a person are one other person."""
    from facematch.commands import people as command

    with asked(ctx).client() as client:
        other = client.people.split(person, faces)
    asked(ctx).show(command.document(other), command.lines([other]))


@people.command()
@click.argument("person", metavar="ID")
@_FACES
@service_options()
@click.pass_context
def exclude(ctx: click.Context, person: str, faces: tuple[FaceKey, ...]) -> None:
    """Say that some faces are not this person, whoever they are."""
    from facematch.commands import people as command

    with asked(ctx).client() as client:
        others = client.people.exclude(person, faces)
    asked(ctx).show(command.others_document(others), command.lines(others))


@people.command()
@click.option(
    "--false-pairs",
    type=Number(0, 100, min_open=True),
    help="Links between two people to be expected for each face, at most: fewer make people purer,"
    f" more bring more of their faces together. Default: as before, at first {FALSE_PAIRS:g}.",
)
@_DATA
@collection_option()
@output_options
@click.pass_context
def regroup(ctx: click.Context, data: Path | None, false_pairs: float | None) -> None:
    """Have workers group all faces anew.

    What was said of people stays. Nothing else need be done for that, and it is never needed to
    be right: people are kept up with all that comes and goes.
    """
    from facematch.commands import people as command

    begun = command.regroup(data, false_pairs, asked(ctx).collection)
    asked(ctx).show(command.document(begun), command.begun_lines(begun))


@people.command()
@_DATA
@collection_option()
@output_options
@click.pass_context
def check(ctx: click.Context, data: Path | None) -> None:
    """Compare the people there are with all faces grouped anew.

    Exits with 1 when they differ, or images are still to be grouped.
    """
    from facematch.commands import people as command

    checked = command.check(data, asked(ctx).collection)
    asked(ctx).show(command.document(checked), command.checked_lines(checked))
    ctx.exit(1 if checked.wrong or checked.ungrouped else 0)
