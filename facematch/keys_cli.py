"""The commands of `facematch` about API keys."""

from pathlib import Path
from typing import Any

import click

from facematch.collection_name import DEFAULT, check_name
from facematch.commands.numbers import Number
from facematch.commands.program import asked, data_option, output_options
from facematch.keys import EVERY, UNLIMITED, Scope, check_limit

_DAY = 86_400.0
_NONE = "none"
_USUAL = (Scope.SUBMIT, Scope.READ, Scope.SEARCH)


class _Limit(click.ParamType):  # type: ignore[type-arg]
    """How many in which time, or none."""

    name = "N/minute|none"

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """See click.ParamType."""
        if value == _NONE:
            return UNLIMITED
        if value == UNLIMITED:
            self.fail(f"say {_NONE} for no limit", parameter, ctx)
        try:
            return check_limit(value)
        except ValueError as error:
            self.fail(str(error), parameter, ctx)


def _check_collections(
    ctx: click.Context, parameter: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    try:
        return tuple(name if name == EVERY else check_name(name) for name in names)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None


@click.group()
def keys() -> None:
    """API keys: who may do what.

    Once there is one, the service asks every caller for a key. What a key is not for is not there
    for who has it.
    """


@keys.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    default=[scope.value for scope in _USUAL],
    show_default=True,
    help="What it is good for; may be given several times. admin is for everything.",
)
@click.option(
    "--collection",
    "collections",
    metavar="NAME",
    multiple=True,
    default=[DEFAULT],
    show_default=True,
    callback=_check_collections,
    help="Of which collection; may be given several times. '*' is every one, also those to come.",
)
@click.option(
    "--days", type=Number(0, 36_500, min_open=True), help="How long it works. Default: for good."
)
@click.option("--rate", type=_Limit(), help="Requests it may make. Default: FACEMATCH_KEY_RATE.")
@click.option(
    "--quota", type=_Limit(), help="Submissions it may make. Default: FACEMATCH_KEY_QUOTA."
)
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Of an embedded service, running or not, or yet to be started. Default:"
    " FACEMATCH_REDIS_URL, or the folder that serve uses by default.",
)
@output_options
@click.pass_context
def keys_create(
    ctx: click.Context,
    name: str,
    scopes: tuple[str, ...],
    collections: tuple[str, ...],
    days: float | None,
    rate: str | None,
    quota: str | None,
    data: Path | None,
) -> None:
    """Make a key and print it: it is shown this once.

    NAME says whose it is. The key alone goes to standard output, what it is for to standard error.
    """
    from facematch.commands import keys as command

    lives = days * _DAY if days is not None else None
    chosen = [Scope(scope) for scope in scopes]
    key, text = command.create(data, name, chosen, collections, lives, rate=rate, quota=quota)
    for line in command.created_lines(key):
        click.echo(line, err=True)
    asked(ctx).show({**command.document(key), "key": text}, [text])


@keys.command("list")
@data_option()
@click.pass_context
def keys_list(ctx: click.Context, data: Path | None) -> None:
    """Show the keys, without their secrets.

    Those that are good for nothing any more, too.
    """
    from facematch.commands import keys as command

    found = command.listed(data)
    asked(ctx).show({"keys": [command.document(key) for key in found]}, command.lines(found))


@keys.command("revoke")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@data_option()
@click.pass_context
def keys_revoke(ctx: click.Context, data: Path | None, ids: tuple[str, ...]) -> None:
    """End keys: by their ids, as list shows them.

    Within two seconds they work nowhere any more. Exits with 1 for an id that there is not.
    """
    from facematch.commands import keys as command

    revoked, unknown = command.revoke(data, ids)
    document = {"revoked": [command.document(key) for key in revoked], "unknown": unknown}
    asked(ctx).show(document, command.revoked_lines(revoked, unknown))
    ctx.exit(1 if unknown else 0)
