"""`headrace config`: the settings in force, where each comes from, and what is wrong with them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import CANNOT_START, FOUND_WRONG, fail, print_json, settings_option

app = typer.Typer(help="Show and check the settings.", no_args_is_help=True)


@app.command()
def show(
    settings: settings_option = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object: every key with its value and origin.")
    ] = False,
) -> None:
    """Print the settings in force, as a settings file; each line says where its value comes from."""
    from ops.cli.config_text import as_toml, with_origins
    from streams.settings import load_effective

    effective = load_effective(settings)
    if as_json:
        print_json(with_origins(effective))
    else:
        sys.stdout.write(as_toml(effective))


@app.command()
def check(
    settings: settings_option = None,
    secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Also check that every secret is there; those that are, are checked always."),
    ] = False,
) -> None:
    """Say on one line each what keeps a worker from starting; exit 2 if there is anything."""
    from streams.settings import SettingsError, load_settings

    try:
        loaded = load_settings(settings)
        loaded.ensure_provider()
        loaded.secrets(missing_too=secrets)
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        raise typer.Exit(CANNOT_START) from None
    print(f"the settings are right: {len(loaded.providers)} provider(s), broker {loaded.kafka.bootstrap_servers}")


@app.command()
def reference(
    file: Annotated[Path | None, typer.Option("--check", help="Write nothing; exit 1 if this file differs.")] = None,
) -> None:
    """Print the table of every setting, as docs/settings.md has it."""
    from ops.cli.config_text import reference_page

    page = reference_page()
    if file is None:
        sys.stdout.write(page)
    elif not file.is_file() or file.read_text(encoding="utf-8") != page:
        fail(f"{file} is not current: headrace config reference > {file}", FOUND_WRONG)
