"""The commands of `facematch` for a shell beside a service: watch, completion."""

from pathlib import Path

import click

from facematch.commands.numbers import Number
from facematch.commands.program import asked, basis_options, service_options


@click.command()
@click.argument(
    "folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="Pictures under way at once.",
)
@click.option(
    "--patience",
    type=Number(min=0),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="Give up when the service did not answer for so long.",
)
@basis_options
@service_options()
@click.pass_context
def watch(ctx: click.Context, folder: Path, concurrency: int, patience: float) -> None:
    """Submit what is in a folder and what comes to it.

    Until Ctrl-C: every file in it and its folders, but for hidden ones, once it has not changed
    for a second; a line for each that has ended. It has the memory that `ingest` has of the
    same folder: what was submitted by either is not submitted again. A file that goes away stays
    an image.
    """
    from facematch.commands.ingest import watch as run
    from facematch.commands.text import (
        outcome_document,
        outcome_lines,
        report_document,
        report_lines,
    )
    from facematch.ingest.watching import Limits

    options = asked(ctx)
    limits = Limits(concurrency, patience)
    with options.client(attempts=1) as client:
        report, signal = run(
            client,
            folder,
            limits,
            lambda outcome: options.show(outcome_document(outcome), outcome_lines(outcome)),
        )
    options.show(report_document(report, str(folder), client.url), report_lines(report))
    if report.error is not None:
        raise report.error
    ctx.exit(128 + signal if signal else 0)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands and options.

    Write it to the file in which your shell looks for it:

    \b
    bash   ~/.local/share/bash-completion/completions/facematch
    zsh    _facematch in a folder of $fpath
    fish   ~/.config/fish/completions/facematch.fish
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise click.BadParameter(f"{shell} is not known")
    click.echo(made(ctx.find_root().command, {}, "facematch", "_FACEMATCH_COMPLETE").source())
