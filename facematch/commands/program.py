"""What every command of `facematch` has in common: options, output, errors and exit codes.

Exit codes: 0 as asked, 1 not so, 2 used wrongly, 130 interrupted.
"""

import errno
import json
import logging
import signal
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facematch.errors import FacematchError

if TYPE_CHECKING:
    from facematch.client import Client
    from facematch.commands.text import Document

_Command = TypeVar("_Command", bound=Callable[..., Any])

DEFAULT_URL = "http://127.0.0.1:5000"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass
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
            if ctx.ensure_object(Asked).verbose:
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


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    asked = ctx.ensure_object(Asked)
    if value and parameter.name:
        setattr(asked, parameter.name, value)
    if value and parameter.name == "verbose":
        logging.basicConfig(level=logging.DEBUG)


def everywhere(environment: bool) -> Callable[[_Command], _Command]:
    """Adds the options that hold for every command; `environment`: variables count, too."""

    def add(command: _Command) -> _Command:
        options: list[tuple[list[str], dict[str, Any]]] = [
            (["-v", "--verbose"], {"is_flag": True, "help": "Log, and show tracebacks."}),
            (["--json"], {"is_flag": True, "help": "Print JSON, one document a line."}),
            (["--key"], {"metavar": "KEY", "help": "API key, or FACEMATCH_KEY."}),
            (
                ["--url"],
                {"metavar": "URL", "help": f"The service, or FACEMATCH_URL, or {DEFAULT_URL}."},
            ),
        ]
        for names, how in options:
            if environment and "metavar" in how:
                how["envvar"] = f"FACEMATCH_{how['metavar']}"
            command = click.option(*names, expose_value=False, callback=_remember, **how)(command)
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
        type=click.FloatRange(0, most),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the result.",
    )
