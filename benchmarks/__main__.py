"""`python -m benchmarks NAME`: measurements and checks over large image sets."""

import sys
from pathlib import Path

import click

from facematch import DEFAULT_URL
from facematch.errors import FacematchError

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Measure facematch, or check it against a reference."""


@main.command()
@click.argument("data", type=_FOLDER)
@click.option("--url", default=DEFAULT_URL, show_default=True, help="The service.")
def reference(data: Path, url: str) -> None:
    """Compare every match set of a service with brute force over reference encodings.

    DATA holds the pictures in lfw/, which the service has ingested, and lfw-reference.npz.
    """
    from benchmarks.reference import compare

    if not (data / "lfw-reference.npz").exists():
        raise click.BadParameter(f"there is no lfw-reference.npz in {data}", param_hint="DATA")
    try:
        found = compare(url, data / "lfw", data / "lfw-reference.npz")
    except FacematchError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{found.pictures:,} pictures, {found.faces:,} faces: {found.pairs:,} pairs compared,"
        f" {found.matching:,} of them matching, {found.aside:,} within 1e-4 of the threshold"
        f" set aside"
    )
    click.echo(f"{len(found.missing):,} matches missing, {len(found.surplus):,} too many")
    for kind, pairs in (("missing", found.missing), ("too many", found.surplus)):
        for one, other in pairs[:10]:
            click.echo(f"  {kind}: {one} {other}")
    sys.exit(1 if found.missing or found.surplus else 0)


if __name__ == "__main__":
    main()
