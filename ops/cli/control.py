"""`headrace control`: windows, decisions, and who carries them out."""

import typer

from ops.cli.console import fail, load, settings_option

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
    import asyncio

    from ops.processes import logs
    from ops.processes.control import run_control
    from ops.processes.private_files import keep_files_private
    from ops.processes.service import CannotStartError
    from streams.scaling.realizers import RealizeError
    from streams.unhandled import FaultError

    loaded = load(settings)
    keep_files_private()
    logging = loaded.logging
    logs.configure(logging.level, logging.format, secrets=loaded.secrets(), lines_per_second=logging.lines_per_second)
    try:
        asyncio.run(run_control(loaded))
    except (CannotStartError, RealizeError) as error:
        fail(str(error))
    except FaultError as error:
        fail(str(error), 1)
    except OSError as error:
        if error.errno is None or "bind" not in str(error):
            raise
        fail(f"http.listen = {loaded.http.listen!r}: {error.strerror}")
