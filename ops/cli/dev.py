"""`headrace dev`: everything on this machine, until Ctrl-C."""

from typing import Annotated

import typer

from ops.cli.console import BrokerOption, say, settings_option

app = typer.Typer(help="Run everything on this machine until Ctrl-C: broker, provider, fleet, front, control room.")

_EXAMPLES = """
Examples:

  headrace dev                       prints an API address, a curl line and an SDK line that work

  headrace dev --broker apache       Apache Kafka in place of the embedded broker, and a fleet that grows with its load

  headrace dev --workers 4           four, whatever is decided

Nothing of it stays: broker, topics and logs are in a temporary folder. Settings that are changed in the file that it names are
taken as they change.
"""


@app.command(epilog=_EXAMPLES)
def dev(
    broker: BrokerOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=100, help="So many workers, whatever is decided.", show_default=False)
    ] = None,
    settings: settings_option = None,
) -> None:
    """Start everything that an agent needs and say where it is; Ctrl-C ends all of it."""
    from ops.cli.running import run
    from ops.dev import DevOptions, run_dev
    from ops.processes import logs
    from ops.processes.private_files import keep_files_private
    from streams.settings import load_effective

    effective = load_effective(settings)
    keep_files_private()
    logs.configure("warning", "console")
    run(run_dev(effective, DevOptions(broker, workers), lambda line: say(line, flush=True)))
