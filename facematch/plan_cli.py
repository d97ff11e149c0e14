"""`facematch plan`, which asks nobody: its options. Added to the program by `facematch.cli`."""

from pathlib import Path
from typing import Any

import click

from facematch.commands.count import count
from facematch.commands.program import asked, output_options


@click.command()
@click.option("--images", type=count, help="How many; without it, from 10 k to 1 G.")
@click.option("--per-day", type=count, help="More a day; a 365th of the images by default.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 2, min_open=True),
    help="Default: the loosest of those measured that keeps to --false-matches.",
)
@click.option(
    "--faces-per-image", type=click.FloatRange(1, 256), default=1.0, show_default=True, metavar="F"
)
@click.option(
    "--images-per-person",
    type=click.FloatRange(1, 1e6),
    default=5.0,
    show_default=True,
    metavar="P",
    help="How many images show the person of one.",
)
@click.option(
    "--megapixels",
    type=click.FloatRange(0.01, 1000),
    default=0.0625,
    show_default=True,
    metavar="MP",
    help="Of a picture; by default those of the ones that were measured, 250 × 250 pixels.",
)
@click.option(
    "--false-matches",
    type=click.FloatRange(0, min_open=True, max=1e9),
    default=10.0,
    show_default=True,
    metavar="M",
    help="The most in the match set of an image.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1_000_000),
    help="One on each machine. Default: what --per-day needs.",
)
@click.option(
    "--headroom",
    type=click.FloatRange(1, 1000),
    default=2.0,
    show_default=True,
    help="Times the daily load that the workers can do.",
)
@click.option("--cores", type=click.IntRange(1, 10_000), help="Of a machine.")
@click.option(
    "--memory", type=click.FloatRange(1, 1e6), metavar="GB", help="Of a machine. Default: measured."
)
@click.option(
    "--measured",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|FOLDER",
    help="What `python -m benchmarks ingest --json` kept on a machine of yours.",
)
@click.option(
    "--compare",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|FOLDER",
    help="A measured ingest to hold the plan for as many pictures against.",
)
@click.option("--explain", is_flag=True, help="Print the model, its figures and their sources.")
@output_options
@click.pass_context
def plan(ctx: click.Context, /, **options: Any) -> None:
    """Say what a collection of some size takes.

    Workers, memory, hours, false matches, machine-hours: from a model and figures that were
    measured; no service is asked. With --compare it exits with 1 when the plan is off
    by more than a quarter.
    """
    from facematch.commands import plan as command

    try:
        agrees = command.run(command.Request(**options), asked(ctx).show)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    ctx.exit(0 if agrees else 1)
