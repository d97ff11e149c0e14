"""What every command of `facematch` has in common: options, output, errors and exit codes.

Exit codes: 0 as asked, 1 not so, 2 used wrongly, 130 interrupted.
"""

import errno
import json
import logging
import signal
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facematch import DEFAULT_URL
from facematch.commands.numbers import Number
from facematch.errors import FacematchError

if TYPE_CHECKING:
    from facematch.client import Client
    from facematch.commands.text import Document

_Command = TypeVar("_Command", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class Asked:
    """What holds for every command. Options behind the command's name override those before."""

    url: str = DEFAULT_URL
    key: str | None = None
    json: bool = False
    verbose: bool = False

    def client(self, attempts: int = 4) -> "Client":
        """A client of the service that is meant."""
        from facematch.client import Client

        return Client(self.url, self.key, attempts=attempts)

    def show(self, document: "Document", lines: Iterable[str]) -> None:
        """Print the one for scripts, or the others for people."""
        if self.json:
            click.echo(json.dumps(document))
        else:
            for line in lines:
                click.echo(line)


class Program(click.Group):
    """Makes one line and an exit code of every error."""

    def invoke(self, ctx: click.Context) -> Any:
        """See click.Group."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            ctx.exit(128 + signal.SIGINT)
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            if asked(ctx).verbose:
                traceback.print_exc()
            complain(error)
            ctx.exit(1)


def complain(error: Exception, about: str = "") -> None:
    """Say on one line of standard error what is wrong."""
    if isinstance(error, FacematchError):
        detail, code = str(error), error.code
    else:
        detail, code = f"{type(error).__name__}: {error}; -v says more", "internal_error"
    words = " ".join(f"{about}{detail}".split())
    click.echo(f"facematch: {words} ({code})", err=True)


def asked(ctx: click.Context) -> Asked:
    """What was asked for so far, before and behind the command's name."""
    return ctx.find_root().ensure_object(Asked)


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and parameter.name:
        ctx.find_root().obj = replace(asked(ctx), **{parameter.name: value})


def _log(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    _remember(ctx, parameter, value)
    if value:
        logging.basicConfig(level=logging.DEBUG)


def output_options(command: _Command) -> _Command:
    """Adds what every command with an answer has: `--json` and `-v`."""
    for name, what, callback in (
        (["-v", "--verbose"], "Log, and show tracebacks.", _log),
        (["--json"], "Print JSON, one document a line.", _remember),
    ):
        add = click.option(*name, is_flag=True, expose_value=False, callback=callback, help=what)
        command = add(command)
    return command


def data_option(which: str = "running or not") -> Callable[[_Command], _Command]:
    """Adds `--data` and the options of output. `which`: the services that a folder may be of."""
    data = click.option(
        "--data",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help=f"Of an embedded service {which}. Default: FACEMATCH_REDIS_URL and so on, or the"
        " folder that serve uses by default.",
    )
    return lambda command: data(output_options(command))


def service_options(environment: bool = False) -> Callable[[_Command], _Command]:
    """Adds what every command that asks a service has: `--url`, `--key` and the options of output.

    `environment`: variables count, too; once, lest they override the option before the command.
    """

    def add(command: _Command) -> _Command:
        command = output_options(command)
        for name, metavar, variable, what in (
            ("--key", "KEY", "FACEMATCH_API_KEY", "API key, or FACEMATCH_API_KEY."),
            ("--url", "URL", "FACEMATCH_URL", f"The service, or FACEMATCH_URL, or {DEFAULT_URL}."),
        ):
            command = click.option(
                name,
                metavar=metavar,
                envvar=variable if environment else None,
                expose_value=False,
                callback=_remember,
                help=what,
            )(command)
        return command

    return add


def limit_option(command: _Command) -> _Command:
    """Adds `--limit`."""
    return click.option(
        "--limit", type=click.IntRange(min=0), default=0, help="Matches to show; 0, all by default."
    )(command)


def wait_option(default: float, most: float | None = None) -> Callable[[_Command], _Command]:
    """Adds `--wait`, of up to `most` seconds."""
    return click.option(
        "--wait",
        type=Number(0, most),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the result.",
    )
