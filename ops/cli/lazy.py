"""A command group that imports a command's module only when that command runs.

`headrace worker` must not pay for rich tables, nor `headrace --help` for Kafka clients: names and help lines stand in a
table, and help and completion are made from it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is not imported yet: its module, the line that help shows, and the panel that it stands in."""

    module: str
    help: str
    panel: str


class LazyGroup(TyperGroup):
    """A group whose commands are stand-ins with a help line; the one that is called is exchanged for the real one."""

    entries: ClassVar[Mapping[str, Entry]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, entry in self.entries.items():
            self.add_command(TyperCommand(name, callback=None, help=entry.help, rich_help_panel=entry.panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that `args` begins with, as click does, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, self.load(name) if name else command, rest

    def load(self, name: str) -> Any:
        """The real command of a name: `app` of its module."""
        entry = self.entries[name]
        app: typer.Typer = import_module(entry.module).app
        command = get_command(app)
        command.name = name
        # Completion is installed for the program, not for each of its commands.
        command.params = [one for one in command.params if one.name not in ("install_completion", "show_completion")]
        return command
