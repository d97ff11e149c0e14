"""The commands of `facematch` about collections themselves."""

import click

from facematch.commands.numbers import Number
from facematch.commands.program import asked, service_options


@click.group()
def collections() -> None:
    """Make, show and erase collections of images.

    Each has images, people and matches of its own. All other commands work on the one
    that --collection names.
    """


@collections.command()
@click.argument("name")
@click.option("--threshold", type=Number(0, 2, min_open=True), help="Of its match sets.")
@click.option(
    "--max-false-matches",
    type=Number(0, 1e9),
    help="Keep the matches of which so many of a face may be false; 0: all.",
)
@click.option(
    "--max-matches",
    type=click.IntRange(min=0),
    help="Matches kept of an image at the most; 0: all.",
)
@service_options()
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    threshold: float | None,
    max_false_matches: float | None,
    max_matches: int | None,
) -> None:
    """Make a collection.

    What is left out is as the collection default has it. Exits with 1 when there is one of this
    name with another policy.
    """
    from facematch.commands import collections as command

    with asked(ctx).client() as client:
        made = client.collections.create(
            name,
            threshold=threshold,
            max_false_matches=max_false_matches,
            max_matches=max_matches,
        )
    asked(ctx).show(command.document(made), command.lines(made))


@collections.command("list")
@service_options()
@click.pass_context
def list_(ctx: click.Context) -> None:
    """Show the collections, by name."""
    from facematch.commands import collections as command

    with asked(ctx).client() as client:
        for found in client.collections.all():
            asked(ctx).show(command.document(found), [command.line(found)])


@collections.command()
@click.argument("name")
@service_options()
@click.pass_context
def show(ctx: click.Context, name: str) -> None:
    """Show a collection."""
    from facematch.commands import collections as command

    with asked(ctx).client() as client:
        found = client.collections.get(name)
    asked(ctx).show(command.document(found), command.lines(found))


@collections.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@service_options()
@click.pass_context
def delete(ctx: click.Context, name: str, yes: bool) -> None:
    """Erase a collection, with all its images, faces and matches.

    The collection default is emptied, and stays.
    """
    from facematch.commands.text import _count

    with asked(ctx).client() as client:
        found = client.collections.get(name)
        if not yes:
            question = f"Erase {found.name}, with {_count(found.images, 'image')}, for good?"
            click.confirm(question, abort=True, err=True)
        client.collections.delete(name)
    asked(ctx).show({"name": name, "erased": True}, [f"{name}: erased"])
