"""The commands of `facematch` about privacy."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from facematch.commands.numbers import Number
from facematch.commands.program import asked, check_hash, data_option, service_options


@click.command("erasure-report")
@click.argument("hashes", metavar="HASH...", nargs=-1, required=True)
@click.option(
    "--rewrite", is_flag=True, help="Have Redis write its append-only file anew first, and wait."
)
@data_option()
@click.pass_context
def erasure_report(
    ctx: click.Context, hashes: tuple[str, ...], rewrite: bool, data: Path | None
) -> None:
    """Show what is left of erased images, place by place.

    Looks at every key of the collection, the ledger, what Redis keeps on its disk, and the index
    where it can be asked. Exits with 1 when one is not erased, or something of it is left.
    """
    from facematch.commands import erasure as command

    for one in hashes:
        check_hash(one)
    clean = True
    for number, one in enumerate(hashes):
        told = command.report(data, asked(ctx).collection, one, rewrite and not number)
        asked(ctx).show(command.document(told), command.lines(told))
        clean = clean and told.clean
    ctx.exit(0 if clean else 1)


class _Days(click.ParamType):  # type: ignore[type-arg]
    """A number of days above 0, or "never", which is 0."""

    name = "DAYS|never"

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """See click.ParamType."""
        if value == "never":
            return 0.0
        return Number(0, 36_525, min_open=True).convert(value, parameter, ctx)


@click.command()
@click.option("--keep-days", type=_Days(), help="Erase images by themselves after so many days.")
@click.option(
    "--strict/--not-strict",
    default=None,
    help="Refuse submissions without --purpose and --legal-basis.",
)
@service_options()
@click.pass_context
def privacy(ctx: click.Context, keep_days: float | None, strict: bool | None) -> None:
    """Show the rules of a collection, or change them.

    They are of its name: they stay when it is erased and made again.
    """
    with asked(ctx).client() as client:
        rules = client.rules()
        if keep_days is not None:
            rules = replace(rules, keep_days=keep_days or None)
        if strict is not None:
            rules = replace(rules, strict=strict)
        if keep_days is not None or strict is not None:
            rules = client.rule(rules)
    kept = (
        "images are kept"
        if rules.keep_days is None
        else (f"images are erased after {rules.keep_days:g} days")
    )
    why = "submissions have to say why" if rules.strict else "submissions need not say why"
    asked(ctx).show(asdict(rules), [f"{asked(ctx).collection}: {kept}; {why}"])
