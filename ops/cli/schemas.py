"""`headrace schemas`: the contract as JSON Schema and AsyncAPI."""

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import FOUND_WRONG, fail

app = typer.Typer(help="The message contract as JSON Schema and AsyncAPI.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `export` a command of its own: typer runs a lone command without its name."""


@app.command()
def export(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where the files go. Default: the package's own schemas/exported.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a file there is not what would be written.")
    ] = False,
) -> None:
    """Write one JSON Schema a message, asyncapi.json, which ties them to the topics, and openapi.json of the front."""
    from schemas.export import EXPORTED, encode_document, json_schemas, stale, write
    from streams.front import openapi
    from topics.asyncapi import document
    from topics.catalogue import catalogue

    target = EXPORTED if directory is None else directory
    documents = {
        **json_schemas(),
        "asyncapi.json": encode_document(document(catalogue())),
        "openapi.json": encode_document(openapi.document()),
    }
    try:
        if check:
            if names := stale(documents, target):
                fail(
                    f"not current in {target}: {', '.join(names)} (headrace schemas export writes them)",
                    code=FOUND_WRONG,
                )
            typer.echo(f"{len(documents)} files in {target} are current")
            return
        write(documents, target)
    except OSError as error:
        fail(f"cannot use {target}: {error.strerror or error}")
    typer.echo(f"wrote {len(documents)} files to {target}")
