"""The commands `facematch audit`."""

from dataclasses import asdict
from pathlib import Path

import click

from facematch.commands.program import asked, data_option


@click.group()
def audit() -> None:
    """The audit log: who did what, when and why."""


@audit.command()
@data_option(of_collection=False)
@click.pass_context
def verify(ctx: click.Context, data: Path | None) -> None:
    """Say whether a line was changed, taken out or put in.

    Shows the last hash of each host, to be noted elsewhere: what is cut off at the end shows by it
    alone. Exits with 1 when something was found.
    """
    from facematch import audit as log
    from facematch.commands.stores import audit_folder

    found = log.verify(audit_folder(data))
    lines = [f"{found.acts:,} acts, {len(found.findings):,} findings"]
    lines += [f"{host}: the last hash is {last}" for host, last in found.hosts.items()]
    asked(ctx).show(asdict(found), [*lines, *found.findings])
    ctx.exit(1 if found.findings else 0)


@audit.command()
@click.option("--id", "wanted", metavar="ID", help="Only those about this image, job or key")
@data_option(without="all of them")
@click.pass_context
def show(ctx: click.Context, wanted: str | None, data: Path | None) -> None:
    """Show what was done, host by host, the first first."""
    from facematch import audit as log
    from facematch.commands.stores import audit_folder
    from facematch.terminal import printable

    named = asked(ctx).collection_named
    for act in log.acts(audit_folder(data)):
        if named not in (None, act.collection):
            continue
        if wanted is not None and wanted not in (act.key, *act.ids.values()):
            continue
        ids = " ".join(f"{name}={id_}" for name, id_ in act.ids.items())
        why = " ".join(f"{name}={word}" for name, word in act.basis.items())
        about = (act.time, act.key or "-", act.what, str(act.status), act.collection, ids, why)
        asked(ctx).show(asdict(act), [printable("  ".join(about).rstrip())])
