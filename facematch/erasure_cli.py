"""The command `facematch erasure-report`."""

from pathlib import Path

import click

from facematch.commands.program import asked, check_hash, data_option


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
    """Show what is left of erased images, place by place, with what says so.

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
