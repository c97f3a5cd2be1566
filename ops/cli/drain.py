"""`headrace drain`: `headrace providers drain` under a shorter name."""

import typer

from ops.cli.providers import drain

app = typer.Typer(help="Give an endpoint no new calls, in the whole fleet.")
app.command()(drain)
