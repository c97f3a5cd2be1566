"""`headrace up`: a whole fleet on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import fail, settings_option

app = typer.Typer(help="Run a fleet on this machine: control, and as many workers as it takes.")

_EXAMPLES = """
Examples:

  headrace up                                 between scaling.limits.min and max workers, as decided

  headrace up --workers 4                     four, whatever is decided

  headrace up --front                         and the front door, on front.listen

  headrace up --ui                            and the control room, on ui.listen

  headrace up --controls 2 --logs /var/log/headrace

  headrace scaling explain                    in another terminal: the last decisions in sentences

Ends with 0 after SIGTERM or Ctrl-C, when all workers have drained; a second signal ends all at once. Workers that end by
themselves are started anew; exit code 2 when none can be kept running. GET /workers on http.listen lists the addresses of all
processes for Prometheus (http_sd).
"""


@app.command(epilog=_EXAMPLES)
def up(
    workers: Annotated[
        int | None, typer.Option(min=1, max=1000, help="So many workers, whatever is decided.", show_default=False)
    ] = None,
    controls: Annotated[int, typer.Option(min=0, max=3, help="Control processes: 2 take turns, 0 run elsewhere.")] = 1,
    front: Annotated[bool, typer.Option("--front", help="Also a front, on front.listen.")] = False,
    ui: Annotated[bool, typer.Option("--ui", help="Also the control room, on ui.listen.")] = False,
    log_dir: Annotated[
        Path | None,
        typer.Option("--logs", metavar="DIR", help="Where each process has a log file; else a new temporary folder."),
    ] = None,
    settings: settings_option = None,
) -> None:
    """Keep workers, the control process and a front running here, restart what ends, and scale as decided, until SIGTERM."""
    import contextlib
    import tempfile
    from functools import partial

    from ops.cli.process import run_process
    from ops.processes.private_files import keep_files_private
    from ops.processes.settings_file import SettingsFile
    from ops.processes.supervisor.supervise import UpOptions, run_supervisor
    from streams.settings import load_effective

    file = SettingsFile.of(settings)
    effective = load_effective(settings)
    loaded = effective.settings
    keep_files_private()  # the folder of logs, too
    loaded.ensure_provider()
    if effective.origin(("scaling", "realizer")) == "default":  # nobody asked that decisions be only looked at
        scaling = loaded.scaling.model_copy(update={"realizer": "process"})
        loaded = loaded.model_copy(update={"scaling": scaling})
    folder = log_dir or Path(tempfile.mkdtemp(prefix="headrace-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--logs {folder}: {error.strerror}")
    try:
        run_process(
            partial(run_supervisor, options=UpOptions(folder, settings, workers, controls, front, ui, file)), loaded
        )
    finally:
        if log_dir is None:
            with contextlib.suppress(OSError):  # it stays if there is a log in it
                folder.rmdir()
