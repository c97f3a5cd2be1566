"""`headrace ui`: the control room."""

import os
from typing import Annotated

import typer

from ops.cli.console import settings_option

app = typer.Typer(help="Serve the control room: pages that show every request and what the fleet does.")

_EXAMPLES = """
Examples:

  headrace ui                                   http://127.0.0.1:4001

  HEADRACE_UI__LISTEN=127.0.0.1:8001 headrace ui

  headrace ui --allow-actions                   whoever is on this machine may pause, drain, redrive, cancel

  HEADRACE_UI__VIEWER_TOKEN_ENV=UI_TOKEN headrace ui     asks for a token

It reads the topics into an index below ui.path, goes on there after a restart, and changes nothing on the broker,
unless an operator asks for it.
"""


@app.command(epilog=_EXAMPLES)
def ui(
    allow_actions: Annotated[
        bool, typer.Option("--allow-actions", help="Without a login: whoever is on this machine may act.")
    ] = False,
    settings: settings_option = None,
) -> None:
    """Index requests, answers and dead letters, and show them, until SIGTERM. Logs go to stderr."""
    from ops.cli.process import run_process
    from ops.processes.settings_file import SettingsFile
    from ops.processes.ui import run_ui
    from streams.settings import Settings, load_effective

    file = SettingsFile.of(settings)
    if allow_actions:
        os.environ["HEADRACE_UI__ALLOW_ACTIONS"] = "true"
    effective = load_effective(settings)

    async def work(_: Settings) -> None:
        await run_ui(effective, file)

    run_process(work, effective.settings, listens="ui.listen", secrets_missing_too=False)
