"""The commands of `facematch` about what happens: `events`, and `webhooks` that are told of it."""

import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import click

from facematch.commands.program import asked, service_options
from facematch.events import Kind

_TYPES = tuple(kind.value for kind in Kind)


@click.command()
@click.option("--after", metavar="EVENT", default="", help="Begin behind the event with this id.")
@click.option(
    "--resume",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Begin behind the event that is noted there, and note each that was shown.",
)
@click.option(
    "--type",
    "types",
    type=click.Choice(_TYPES),
    multiple=True,
    help="Only these; may be given several times.",
)
@click.option("--limit", type=click.IntRange(min=1), help="End after so many. Default: never.")
@service_options()
@click.pass_context
def events(
    ctx: click.Context,
    after: str,
    resume: Path | None,
    types: tuple[str, ...],
    limit: int | None,
) -> None:
    """Show what happens in the collection, as it happens.

    A line for each event on a terminal, JSON where the output goes elsewhere. From now on, unless
    told; the first one says where that is (ready). A service that is away for some seconds is
    asked again, and nothing is missed; ends with 1 when it stays away.
    """
    from facematch.commands import events as command

    options = replace(asked(ctx), json=asked(ctx).json or not sys.stdout.isatty())
    place = command.Place(resume) if resume else None
    begin = after or (place.read() if place else "")
    with options.client() as client:
        told = (
            event
            for event in client.events(begin)
            if event.type not in _TYPES or not types or event.type in types
        )
        for event in islice(told, limit):
            options.show(command.document(event), [command.line(event)])
            if place:
                place.note(event.id)


@click.group()
def webhooks() -> None:
    """Tell URLs what happens in the collection.

    A worker posts events to them, signed, in their order, and tries again for 24 hours. With keys,
    that takes one with the scope admin.
    """


@webhooks.command()
@click.argument("address", metavar="URL")
@service_options()
@click.pass_context
def add(ctx: click.Context, address: str) -> None:
    """Tell a URL of what happens from now on.

    The secret that deliveries are signed with goes to standard output, this once, what it is of to
    standard error.
    """
    from facematch.commands import webhooks as command

    with asked(ctx).client() as client:
        made = client.webhooks.add(address)
    click.echo(command.made_line(made), err=True)
    asked(ctx).show(command.document(made), [made.secret])


@webhooks.command("list")
@service_options()
@click.pass_context
def list_(ctx: click.Context) -> None:
    """Show the webhooks, and how their deliveries go."""
    from facematch.commands import webhooks as command

    with asked(ctx).client() as client:
        found = client.webhooks.all()
    asked(ctx).show({"webhooks": [command.document(one) for one in found]}, command.lines(found))


@webhooks.command()
@click.argument("webhook", metavar="ID")
@service_options()
@click.pass_context
def show(ctx: click.Context, webhook: str) -> None:
    """Show a webhook, and how its deliveries go."""
    from facematch.commands import webhooks as command

    with asked(ctx).client() as client:
        found = client.webhooks.get(webhook)
    asked(ctx).show(command.document(found), command.lines([found]))


@webhooks.command()
@click.argument("webhook", metavar="ID")
@service_options()
@click.pass_context
def delete(ctx: click.Context, webhook: str) -> None:
    """Tell a webhook no more."""
    with asked(ctx).client() as client:
        client.webhooks.delete(webhook)
    asked(ctx).show({"webhook": webhook, "deleted": True}, [f"{webhook}: deleted"])


@webhooks.command()
@click.argument("webhook", metavar="ID")
@click.option("--after", metavar="EVENT", default="", help="From behind this event on.")
@service_options()
@click.pass_context
def redeliver(ctx: click.Context, webhook: str, after: str) -> None:
    """Try a webhook at once, also a dead one.

    What it has not taken yet is sent, or all that happened after an event.
    """
    from facematch.commands import webhooks as command

    with asked(ctx).client() as client:
        found = client.webhooks.redeliver(webhook, after)
    asked(ctx).show(command.document(found), command.lines([found]))
