"""`headrace worker`: one worker of the fleet."""

import typer

from ops.cli.console import load, settings_option

app = typer.Typer(help="Run one worker until SIGTERM.")

_EXAMPLES = """
Examples:

  headrace worker --settings headrace.toml

  HEADRACE_KAFKA__BOOTSTRAP_SERVERS=broker:9092 headrace worker

Ends with 0 after SIGTERM or Ctrl-C: it takes no more records, lets calls under way finish within kafka.drain_deadline, commits
and leaves the group. A second signal ends it at once; what was under way goes to another worker.
With 1 after the same drain where a fault of its own leaves it no other way, with 2 where it cannot start.
"""


@app.command(epilog=_EXAMPLES)
def worker(settings: settings_option = None) -> None:
    """Take requests from Kafka, call the providers, answer. Logs go to stderr; `ready` is logged once partitions are assigned."""
    from functools import partial

    from ops.cli.process import run_process
    from ops.processes.settings_file import SettingsFile
    from ops.processes.worker import run_worker

    file = SettingsFile.of(settings)
    loaded = load(settings)
    loaded.ensure_provider()
    run_process(partial(run_worker, file=file), loaded)
