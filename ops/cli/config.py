"""`headrace config`: the settings in force, where each comes from, and what is wrong with them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import CANNOT_START, FOUND_WRONG, fail, print_json, say, settings_option

if TYPE_CHECKING:
    from streams.settings import Settings

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
    connect: Annotated[
        bool,
        typer.Option(
            "--connect", help="Also ask the broker: address, TLS, user, topics, and what a worker may do there."
        ),
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
    if connect:
        _connect(loaded)
    print(f"the settings are right: {len(loaded.providers)} provider(s), broker {loaded.kafka.bootstrap_servers}")


def _connect(loaded: "Settings") -> None:
    """What a worker does before it starts. Raises CannotStartError: one line that says what to change."""
    from ops.cli.running import run
    from ops.processes.service import check_start
    from ops.processes.worker import needed_topics

    run(check_start(loaded, needed_topics(loaded)))
    print(f"the broker takes a worker: {loaded.kafka.bootstrap_servers}")


_DIFF_EXAMPLES = """
Examples:

  headrace config diff                              what is not as by default

  headrace config diff next.toml                    what another file would change, and what of it needs a restart

  headrace config diff --running 127.0.0.1:9100     whether a process works by the settings here
"""


@app.command(epilog=_DIFF_EXAMPLES)
def diff(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Another settings file.", show_default=False)
    ] = None,
    running: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A process's http.listen, as its `ready` line names it.", show_default=False),
    ] = None,
    settings: settings_option = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: `changes`, with `kind` of each.")] = False,
) -> None:
    """Say key by key what differs, and whether a running process takes it (live) or needs a restart; exit 1 if anything does."""
    from ops.admin.settings_diff import in_force_at
    from streams.settings import Settings, load_settings
    from streams.settings.changes import changes, flat

    if file is not None and running is not None:
        fail("config diff: compare with a FILE or with --running URL, not with both")
    here = flat(load_settings(settings))
    if running is not None:
        found = changes(in_force_at(running), here)
    elif file is not None:
        found = changes(here, flat(load_settings(file)))
    else:
        found = changes(flat(Settings()), here)
    if as_json:
        print_json({"changes": found})
    for each in () if as_json else found:
        say(f"{each.kind:<8} {each}")
    if not as_json and not found:
        print("nothing differs")
    if found:
        raise typer.Exit(FOUND_WRONG)


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
