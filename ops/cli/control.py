"""`headrace control`: windows, decisions, and who carries them out."""

import typer

from ops.cli.console import load, settings_option

app = typer.Typer(help="Run the fleet's control: windows and scaling decisions.")

_EXAMPLES = """
Examples:

  headrace control

  HEADRACE_SCALING__REALIZER=kubernetes headrace control

  headrace scaling explain

Run two for safety: one decides, the other takes over within seconds when it is gone. `headrace up` runs one by itself.
Ends with 0 after SIGTERM or Ctrl-C; with 1 where a fault of its own leaves it no other way, with 2 where it cannot start.
"""


@app.command(epilog=_EXAMPLES)
def control(settings: settings_option = None) -> None:
    """Make windows of the workers' samples and decide how many workers there should be, until SIGTERM."""
    from functools import partial

    from ops.cli.process import run_process
    from ops.processes.control import run_control
    from ops.processes.settings_file import SettingsFile

    file = SettingsFile.of(settings)
    # Providers' keys are for workers: where every role has secrets of its own, they are not here.
    run_process(partial(run_control, file=file), load(settings), secrets_missing_too=False)
