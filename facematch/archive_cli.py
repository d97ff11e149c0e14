"""The commands of `facematch` that move a collection: export, import."""

from pathlib import Path

import click

from facematch.commands.program import FILE, asked, data_option


@click.command("export")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@data_option()
@click.pass_context
def export(ctx: click.Context, file: Path, data: Path | None, force: bool) -> None:
    """Write the collection to a file.

    Names, encodings, matches and people, in a zip file of JSON and numpy arrays, described in
    docs/export.md, with no picture in it. The service may go on working. Mind that encodings are
    biometric data, and that what is erased later stays in the file.
    """
    from facematch.commands import archives as command

    if file.exists() and not force:
        raise click.BadParameter(f"{file} is there already; --force replaces it")
    try:
        manifest = command.export(data, file, asked(ctx).collection)
    except OSError as error:
        raise click.FileError(str(file), error.strerror or str(error)) from error
    asked(ctx).show(command.export_document(manifest, file), command.export_lines(manifest, file))


@click.command("import")
@click.argument("file", metavar="FILE", type=FILE)
@data_option()
@click.pass_context
def import_(ctx: click.Context, file: Path, data: Path | None) -> None:
    """Make an empty collection what an export says.

    Match sets, positions and people are what they were, under the policy that they had there. The
    service may run: what is submitted meanwhile waits. Interrupted, it goes on when it is run
    again. Another collection than the default one is made first: facematch collections create.
    What was erased here after it was submitted there stays erased.
    """
    from facematch.commands import archives as command

    try:
        imported = command.import_(data, file, asked(ctx).collection)
    except OSError as error:
        raise click.FileError(str(file), error.strerror or str(error)) from error
    except KeyboardInterrupt:
        click.echo("Nothing is lost: run it again to go on.", err=True)
        raise
    asked(ctx).show(command.import_document(imported), command.import_lines(imported))
