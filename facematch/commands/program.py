"""What every command of `facematch` has in common: options, output, errors and exit codes.

Exit codes: 0 as asked, 1 not so, 2 used wrongly, 3 not allowed, 130 and 143 interrupted.
"""

import errno
import json
import logging
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facematch import DEFAULT_URL
from facematch.collection_name import DEFAULT, check_name
from facematch.commands.numbers import Number
from facematch.errors import Denied, FacematchError
from facematch.privacy import HEADERS, MOST_WORD, NO_BASIS, Basis

if TYPE_CHECKING:
    from facematch.client import Client
    from facematch.commands.text import Document

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: Shown below the help, and in README.
EXIT_CODES = """\b
Exit codes: 0 as asked; 1 not so, with a line that says why, or a finding;
2 used wrongly; 3 the service wants a key, another one or one good for more;
130 interrupted (143: told to end).
"""

_DENIED = 3

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class Asked:
    """What holds for every command. Options behind the command's name override those before."""

    url: str = DEFAULT_URL
    key: str | None = None
    json: bool = False
    verbose: bool = False
    collection_named: str | None = None
    basis: Basis = NO_BASIS

    @property
    def collection(self) -> str:
        """The collection that is meant."""
        return self.collection_named or DEFAULT

    def client(self, attempts: int = 4) -> "Client":
        """A client of the service that is meant."""
        from facematch.client import Client

        return Client(
            self.url, self.key, attempts=attempts, collection=self.collection, basis=self.basis
        )

    def show(self, document: "Document", lines: Iterable[str]) -> None:
        """Print the one for scripts, or the others for people."""
        if self.json:
            click.echo(json.dumps(document))
        else:
            # None: colours on a terminal only.
            colour = False if os.environ.get("NO_COLOR") else None
            for line in lines:
                click.echo(line, color=colour)


class Program(click.Group):
    """Makes one line and an exit code of every error, and shows its commands in sections.

    `sections`: the names of the commands in each, by its heading; those in none come last.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections: Mapping[str, Sequence[str]] = {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See click.Group."""
        named = {name for names in self.sections.values() for name in names}
        others = [name for name in self.list_commands(ctx) if name not in named]
        width = max(map(len, self.commands), default=0)
        room = formatter.width - width - 6
        for heading, names in {**self.sections, "Others": others}.items():
            there = [(name, self.commands[name]) for name in names if name in self.commands]
            rows = [(f"{name:<{width}}", one.get_short_help_str(room)) for name, one in there]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

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
            ctx.exit(_DENIED if isinstance(error, Denied) else 1)


def complain(error: Exception, about: str = "") -> None:
    """Say on one line of standard error what is wrong."""
    if isinstance(error, FacematchError):
        detail, code = str(error), error.code
        if isinstance(error, Denied):
            detail += "; --key or FACEMATCH_API_KEY says which key"
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


def _collection(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        try:
            check_name(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, parameter) from None
    _remember(ctx, parameter, value)


def collection_option(
    environment: bool = False, without: str = DEFAULT
) -> Callable[[_Command], _Command]:
    """Adds `--collection`. `environment`: see `service_options`; `without`: what is meant where it
    is not given."""
    return click.option(
        "--collection",
        "collection_named",
        metavar="NAME",
        envvar="FACEMATCH_COLLECTION" if environment else None,
        expose_value=False,
        callback=_collection,
        help=f"The collection, or FACEMATCH_COLLECTION, or {without}.",
    )


def data_option(
    which: str = "running or not", *, of_collection: bool = True, without: str = DEFAULT
) -> Callable[[_Command], _Command]:
    """Adds `--data` and the options of output, and where the command is `of_collection`, that of
    `collection_option`. `which`: the services that a folder may be of."""
    data = click.option(
        "--data",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help=f"Of an embedded service {which}. Default: FACEMATCH_REDIS_URL and so on, or the"
        " folder that serve uses by default.",
    )

    def add(command: _Command) -> _Command:
        command = output_options(command)
        return data(collection_option(without=without)(command) if of_collection else command)

    return add


def service_options(environment: bool = False) -> Callable[[_Command], _Command]:
    """Adds what every command that asks a service has: `--url`, `--key`, `--collection` and the
    options of output.

    `environment`: variables count, too; once, lest they override the option before the command.
    """

    def add(command: _Command) -> _Command:
        command = collection_option(environment)(output_options(command))
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


def check_hash(text: str) -> None:
    """Raise a usage error for what is no hash of an image."""
    from facematch.faces import is_image_hash

    if not is_image_hash(text):
        raise click.BadParameter(f"{text!r} is no hash: 64 lower-case hexadecimal digits")


def _word(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if not value or not parameter.name:
        return
    if len(value) > MOST_WORD or not value.isprintable():
        raise click.BadParameter(f"up to {MOST_WORD} characters, on one line", ctx, parameter)
    root = ctx.find_root()
    root.obj = replace(asked(ctx), basis=replace(asked(ctx).basis, **{parameter.name: value}))


def basis_options(command: _Command) -> _Command:
    """Adds what a command that submits has: `--purpose`, `--legal-basis`, `--consent-ref`."""
    helps = (
        "What it is submitted for.",
        "As consent or contract.",
        "Where the consent is recorded; no data of the person.",
    )
    for name, what in reversed(list(zip(HEADERS, helps, strict=True))):
        option = f"--{name.replace('_', '-')}"
        add = click.option(option, metavar="WORDS", expose_value=False, callback=_word, help=what)
        command = add(command)
    return command


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
