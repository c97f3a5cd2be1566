"""`headrace worker`: one worker of the fleet."""

import typer

from ops.cli.console import fail, load, settings_option

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
    import asyncio

    from ops.processes import logs
    from ops.processes.private_files import keep_files_private
    from ops.processes.service import CannotStartError
    from ops.processes.worker import run_worker
    from streams.cache.errors import StoreError
    from streams.unhandled import FaultError

    loaded = load(settings)
    keep_files_private()
    loaded.ensure_provider()
    logging = loaded.logging
    logs.configure(logging.level, logging.format, secrets=loaded.secrets(), lines_per_second=logging.lines_per_second)
    try:
        asyncio.run(run_worker(loaded))
    except (CannotStartError, StoreError) as error:
        fail(str(error))
    except FaultError as error:
        fail(str(error), 1)
    except OSError as error:
        if error.errno is None or "bind" not in str(error):
            raise
        fail(f"http.listen = {loaded.http.listen!r}: {error.strerror}")
