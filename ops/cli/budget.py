"""`headrace budget`: what was spent of each budget, and another amount."""

from dataclasses import asdict
from typing import Annotated

import typer

from ops.cli.console import fail, load, say, settings_option

app = typer.Typer(help="What was spent of each budget, and another amount.", no_args_is_help=True)

_EXAMPLES = """
Examples:

    headrace budget list

    headrace budget set agent/team-*/day 50                all that fit have 50 dollars from now on

    headrace budget set agent/team-*/day 80 --name team-7  this one has 80

    headrace budget set agent/team-*/day settings          what the settings say again

An amount counts for the whole fleet with the next call. It stays until the settings name another one, or it is set again.
"""


@app.command("list")
def list_budgets(
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
    settings: settings_option = None,
) -> None:
    """Every budget and name of which something was spent in this period."""
    from ops.admin.budget import read_books, rows_of
    from ops.cli.plain import one_line
    from ops.cli.running import print_json_line, run

    for row in rows_of(run(read_books(load(settings)))):
        if as_json:
            print_json_line(asdict(row))
        else:
            ends = f"until {row.ends}" if row.ends else "in all"
            taken = f"{row.spent} spent, {row.set_aside} set aside"
            say(f"{one_line(row.budget)}  {one_line(row.name)}  {taken} of {row.amount} {ends}")


@app.command("set", epilog=_EXAMPLES)
def set_budget(
    budget: Annotated[str, typer.Argument(metavar="BUDGET", help="As `list` shows it: SCOPE/NAME/PERIOD.")],
    amount: Annotated[str, typer.Argument(metavar="USD", help="Dollars such as 50 or 0.25; or `settings`.")],
    name: Annotated[str | None, typer.Option(help="For this name alone.", show_default=False)] = None,
    settings: settings_option = None,
) -> None:
    """Let a budget have another amount, at once."""
    import getpass

    from ops.admin.budget import NoSuchBudgetError, set_amount
    from ops.cli.plain import one_line
    from ops.cli.running import run
    from schemas.cost import pico_of
    from streams.settings.money import parse_money

    try:
        pico = None if amount == "settings" else pico_of(str(parse_money(amount)))
    except ValueError as why:
        fail(f"{one_line(amount)}: {why}")
    try:
        run(set_amount(load(settings), budget, name, pico, getpass.getuser()))
    except NoSuchBudgetError as why:
        fail(str(why))
    say(f"{one_line(budget)}{'' if name is None else ' of ' + one_line(name)}: {amount} from now on")
