"""What the commands import, imported once before they are forked."""

import typer.rich_utils
from typer.main import get_command

from ops.cli import COMMANDS, app
from ops.cli.lazy import LazyGroup

PROGRAM = get_command(app)
assert isinstance(PROGRAM, LazyGroup)
for name in COMMANDS:
    PROGRAM.load(name)

import ops.admin.cost  # noqa: E402
import ops.admin.redrive  # noqa: E402
import ops.admin.send  # noqa: E402
import ops.admin.status  # noqa: E402
import ops.dev  # noqa: E402
import ops.load.play  # noqa: E402
import ops.processes.control  # noqa: E402
import ops.processes.front  # noqa: E402
import ops.processes.ui  # noqa: E402
import ops.processes.worker  # noqa: E402
import ops.simulation.report  # noqa: E402
import streams.settings  # noqa: E402

__all__ = ["PROGRAM", "ops", "streams", "typer"]
