"""The commands of `facematch` for who looks after a service as a whole: status, jobs, doctor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from facematch.commands.program import asked, data_option
from facematch.errors import CODES

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _check_codes(
    ctx: click.Context, parameter: click.Parameter, codes: tuple[str, ...]
) -> tuple[str, ...]:
    for code in codes:
        if code not in CODES:
            raise click.BadParameter(f"{code!r} is no error code", ctx, parameter)
    return codes


def _code_option(command: _Command) -> _Command:
    return click.option(
        "--code",
        "codes",
        metavar="CODE",
        multiple=True,
        callback=_check_codes,
        help="Those with this code; may be given several times.",
    )(command)


@click.command()
@data_option()
@click.pass_context
def status(ctx: click.Context, data: Path | None) -> None:
    """Show how the service does, at a glance.

    Queues, jobs under way and failed, how far log and index are, editions and reindex, versions.
    Exits with 1 when a part does not answer, or the index is not ready.
    """
    from facematch.commands import status as command

    told = command.look(data, asked(ctx).collection)
    asked(ctx).show(command.document(told), command.lines(told))
    ctx.exit(0 if not told.problems and told.index and told.index.ready else 1)


@click.group()
def jobs() -> None:
    """Look at jobs that have failed, and try them again."""


@jobs.command("failed")
@_code_option
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Jobs to show, the last first; 0: all.",
)
@data_option()
@click.pass_context
def jobs_failed(ctx: click.Context, data: Path | None, codes: tuple[str, ...], limit: int) -> None:
    """Show which jobs have failed.

    Those of the last FACEMATCH_JOB_DAYS, by code.
    """
    from facematch.commands import jobs as command

    listed = command.failed(data, codes, limit, asked(ctx).collection)
    asked(ctx).show(command.document(listed), command.failed_lines(listed))


def _check_ids(
    ctx: click.Context, parameter: click.Parameter, ids: tuple[str, ...]
) -> tuple[str, ...]:
    for job in ids:
        if not job.isascii():
            raise click.BadParameter(f"{job!r} is no job", ctx, parameter)
    return ids


@jobs.command("retry")
@click.argument("ids", metavar="[JOB...]", nargs=-1, callback=_check_ids)
@_code_option
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Those with a code that says that it may pass: the URL's server was away or too slow, or"
    " the picture took too long or too much here.",
)
@data_option()
@click.pass_context
def jobs_retry(
    ctx: click.Context, data: Path | None, ids: tuple[str, ...], codes: tuple[str, ...], every: bool
) -> None:
    """Have jobs that failed worked on again.

    Each is the job that it was, with its id. What was submitted by URL is fetched again; what was
    uploaded is not kept, and is to be submitted again. What was erased since stays erased.

    Exits with 1 when one that was named cannot be tried again.
    """
    from facematch.commands import jobs as command

    if not (ids or codes or every):
        raise click.UsageError("name jobs, or give --code or --all")
    tally = command.retry(data, ids, codes, every, asked(ctx).collection)
    asked(ctx).show(command.document(tally), command.retried_lines(tally))
    left = {*tally.no_source, *tally.not_failed, *tally.not_found}
    ctx.exit(1 if left & set(ids) else 0)


@click.command()
@data_option(of_collection=False)
@click.pass_context
def doctor(ctx: click.Context, data: Path | None) -> None:
    """Say whether the service can work here, and what to fix.

    Settings, models, disk and memory, clock, Redis and how it keeps data, broker, index, processes
    and their versions. Exits with 1 when something is wrong; what is only worth a look is a
    warning.
    """
    from facematch.commands import doctor as command

    checks = command.examine(data)
    asked(ctx).show(command.document(checks), command.lines(checks))
    ctx.exit(1 if command.is_wrong(checks) else 0)
