"""The commands of `facematch` for who looks after a service: they work on its store."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from facematch.collection_name import DEFAULT
from facematch.commands.numbers import Number
from facematch.commands.program import asked, data_option


class _Bound(click.ParamType):  # type: ignore[type-arg]
    """A number above 0, or "none", which is 0."""

    name = "N|none"

    def __init__(self, number: click.FloatRange | click.IntRange) -> None:
        self._number = number

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """See click.ParamType."""
        if value == "none":
            return 0
        return self._number.convert(value, parameter, ctx)


_FALSE, _MOST = _Bound(Number(0, 1e9, min_open=True)), _Bound(click.IntRange(min=1))
_THRESHOLD, _PART = Number(0, 2, min_open=True), Number(0, 1)
#: Of less, a worker would rest longer than RabbitMQ waits for it.
_SHARE = Number(0.01, 1)


@click.command()
@data_option(without="all of them")
@click.pass_context
def fsck(ctx: click.Context, data: Path | None) -> None:
    """Recompute every match set by brute force and compare.

    Exits with 1 when something was found.
    """
    from facematch.commands import fsck as command

    report = command.check(data, asked(ctx).collection_named)
    asked(ctx).show(command.document(report), command.lines(report))
    ctx.exit(1 if report.findings else 0)


@click.command()
@click.option("--apply", is_flag=True, help="Do it. Without, it is only told.")
@data_option(of_collection=False)
@click.pass_context
def migrate(ctx: click.Context, data: Path | None, apply: bool) -> None:
    """Bring the data of an older version to the form of this one.

    Only tells what there is to do, unless --apply is given: then no process of an older version may
    run.
    """
    from facematch.commands import migrate as command

    found = command.run(data, apply)
    asked(ctx).show(command.document(found, apply), command.lines(found, apply))


@click.group()
def functions() -> None:
    """The functions in Redis, where nobody may send it scripts."""


@functions.command("load")
@click.option(
    "--only", is_flag=True, help="And delete those of other versions: none may run any more."
)
@data_option(of_collection=False)
@click.pass_context
def functions_load(ctx: click.Context, data: Path | None, only: bool) -> None:
    """Put the functions of this version into Redis.

    Before its processes start, as a user who may FUNCTION; repeatable. Those of a version that
    still runs stay. Where a process may send scripts, nobody needs them.
    """
    from facematch.commands import functions as command

    done = command.run(data, only)
    asked(ctx).show(command.document(done), command.lines(done))


@click.group()
def index() -> None:
    """Look after the index: the sidecar's, or Milvus."""


@index.command("status")
@data_option("that runs")
@click.pass_context
def index_status(ctx: click.Context, data: Path | None) -> None:
    """Show how far it is along the log.

    Exits with 1 when it is not ready.
    """
    from facematch.commands import index as command

    answer = command.status(data, asked(ctx).collection)
    asked(ctx).show(command.document(answer), command.status_lines(answer))
    ctx.exit(0 if answer.ready else 1)


@index.command("rebuild")
@data_option("that runs")
@click.pass_context
def index_rebuild(ctx: click.Context, data: Path | None) -> None:
    """Load it anew from the store.

    A sidecar answers nothing until it has; Milvus goes on with what it has.
    """
    from facematch.commands import index as command

    answer = command.rebuild(data, asked(ctx).collection)
    asked(ctx).show(command.document(answer), command.status_lines(answer))
    ctx.exit(0 if answer.ready else 1)


@index.command("verify")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Faces to ask for, chosen by chance.",
)
@data_option("that runs")
@click.pass_context
def index_verify(ctx: click.Context, data: Path | None, sample: int) -> None:
    """Compare what it answers with brute force.

    And look for faces that should be gone. Exits with 1 when something was found.
    """
    from facematch.commands import index as command

    answer = command.check(data, sample, asked(ctx).collection)
    asked(ctx).show(command.document(answer), command.verified_lines(answer))
    ctx.exit(1 if answer.findings else 0)


@click.group(invoke_without_command=True)
@click.option(
    "--threshold",
    type=_THRESHOLD,
    help="Of the new match sets. Default: that of those that are served.",
)
@click.option(
    "--max-false-matches",
    type=_FALSE,
    help="Keep the matches of which so many of a face may be false. Default: as before.",
)
@click.option(
    "--max-matches", type=_MOST, help="Matches kept of an image at the most. Default: as before."
)
@click.option(
    "--share", type=_SHARE, help="The part of its time that a worker gives to it. Default: all."
)
@click.option(
    "--most-change",
    type=_PART,
    default=0.01,
    show_default=True,
    help="The share of pairs that may change otherwise than by the policy; with --encoder, also"
    " of images that may be missing.",
)
@click.option(
    "--encoder",
    metavar="NAME",
    help="Make encodings anew, with this encoder: onnx, dlib, or package.module:Class of your own.",
)
@click.option(
    "--detector", type=click.Choice(["hog", "cnn"]), help="With --encoder: how faces are found."
)
@click.option(
    "--pictures",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --encoder: where the pictures are that cannot be fetched from a URL.",
)
@click.option("--no-fsck", is_flag=True, help="Do not compare the new match sets with the truth.")
@click.option("--no-switch", is_flag=True, help="Do not serve them yet.")
@data_option("that runs")
@click.pass_context
def reindex(
    ctx: click.Context,
    data: Path | None,
    threshold: float | None,
    max_false_matches: float | None,
    max_matches: int | None,
    share: float | None,
    most_change: float,
    encoder: str | None,
    detector: str | None,
    pictures: Path | None,
    no_fsck: bool,
    no_switch: bool,
) -> None:
    """Make all match sets anew, then serve them.

    The workers do it while the former match sets are served and pictures come and go. Before the
    switch both are compared, and the new ones are checked by fsck. Interrupted, it goes on; run
    again, this looks on. Exits with 1 when something speaks against the switch.

    With --encoder, workers with that encoder make encodings anew: of each picture in the folder
    given by --pictures, or else of what its URL still gives. What cannot be had is listed.
    Interrupted, it goes on when it is run again.
    """
    if ctx.invoked_subcommand is not None:
        given = [name for name in ctx.params if _is_given(ctx, name)]
        if given:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise click.UsageError(f"{options}: not before {ctx.invoked_subcommand}")
        return
    if encoder is None and (detector or pictures):
        raise click.UsageError("--detector and --pictures go with --encoder")
    from facematch.commands import reencode, reindex_text
    from facematch.commands import reindex as command
    from facematch.commands.reindex_parts import Wanted
    from facematch.policy import PolicyChange

    policy = PolicyChange(threshold, max_false_matches, max_matches)
    wanted = Wanted(policy, share, most_change, not no_fsck, not no_switch)
    outcome: reindex_text.Outcome | None
    try:
        if encoder is None:
            outcome = command.run(data, wanted, asked(ctx).collection)
        else:
            other = reencode.OtherEncoder(encoder, detector, pictures)
            if asked(ctx).collection != DEFAULT:
                raise click.UsageError(f"--encoder is for the collection {DEFAULT} alone")
            outcome = reencode.run(data, wanted, other)
    except KeyboardInterrupt:
        click.echo(
            "Nothing is lost: run it again to go on, or facematch reindex cancel to end it.",
            err=True,
        )
        raise
    stopped = outcome is not None and bool(outcome.stopped)
    switched = not no_switch and not stopped
    asked(ctx).show(
        reindex_text.outcome_document(outcome, switched),
        reindex_text.outcome_lines(outcome, switched),
    )
    ctx.exit(1 if stopped else 0)


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _plain(name: str, help_: str, gone: str = "") -> None:
    """Add the command that does what `facematch.commands.reindex` has under this name, and shows
    the reindex; or says that match sets are gone."""

    @reindex.command(name, help=help_)
    @data_option("that runs")
    @click.pass_context
    def plain(ctx: click.Context, data: Path | None) -> None:
        from facematch.commands import reindex as command
        from facematch.commands import reindex_text as text

        there = getattr(command, name)(data, asked(ctx).collection)
        asked(ctx).show(text.document(there), [gone] if gone else text.lines(there))


_plain("status", "Show how far it is.")
_plain("pause", "Let the workers begin nothing of it.")
_plain("switch", "Serve what was made, whatever the comparison said.")
_plain("rollback", "Serve the former match sets, or the former edition, again.")
_plain(
    "cancel", "Give the new match sets up before they are served.", "The new match sets are gone."
)
_plain(
    "drop",
    "Give the former match sets up: there is no way back then.",
    "The former match sets are gone.",
)


@reindex.command("resume")
@click.option(
    "--share",
    type=_SHARE,
    help="The part of its time that a worker gives to it from now on. Default: as before.",
)
@data_option("that runs")
@click.pass_context
def reindex_resume(ctx: click.Context, data: Path | None, share: float | None) -> None:
    """Go on after a pause, or with another share."""
    from facematch.commands import reindex as command
    from facematch.commands import reindex_text as text

    there = command.resume(data, share, asked(ctx).collection)
    asked(ctx).show(text.document(there), text.lines(there))
