"""`headrace cost`: what requests cost, and whether the provider says the same."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import fail, load, say, settings_option

if TYPE_CHECKING:
    from ops.admin.cost import Summed

app = typer.Typer(
    help="What requests cost, by tenant, key, agent, model or provider; and whether the provider says the same.",
    invoke_without_command=True,
)


class By(StrEnum):
    tenant = "tenant"
    key = "key"
    agent = "agent"
    model = "model"
    provider = "provider"


class Source(StrEnum):
    windows = "windows"
    answers = "answers"


_EXAMPLES = """
Examples:

    headrace cost                                          of the last hour, by agent

    headrace cost --by tenant --since 7d

    headrace cost --by model --since 30d --csv > costs.csv

    headrace cost reconcile costs-of-july.csv              against what the provider says

Read from the minute windows of `costs.windows`, which are kept for 62 days. A worker tells a window every 10 s; what one that was
killed had not told yet is in the answers, which are kept for a day: `--from answers` reads those (not those on topics of callers'
own, and not by key). `requests` called a provider; `unknown`: those whose model has no known price; `estimated`: those of which a
part is the most that a failed call may have cost.
"""


@app.callback(epilog=_EXAMPLES)
def cost(
    context: typer.Context,
    by: Annotated[By, typer.Option(help="What to sum by.")] = By.agent,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back, such as 1h or 7d.")] = "1h",
    source: Annotated[Source, typer.Option("--from", help="Where to read.")] = Source.windows,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
    settings: settings_option = None,
) -> None:
    """Sum what requests cost."""
    if context.invoked_subcommand is not None:
        return
    import csv
    import sys
    import time

    from ops.admin.cost import By as AnyBy
    from ops.admin.cost import name_of, sum_answers, sum_windows
    from ops.cli.plain import formula_free, one_line
    from ops.cli.running import print_json_line, run, seconds
    from streams.money.sums import Sum

    wanted: AnyBy = by.value
    began = max(0.0, time.time() - seconds("--since", since))
    if source is Source.answers:
        if by is By.key:
            fail("answers do not say with which key their requests came: leave out --from answers")
        rows = run(sum_answers(load(settings), wanted, round(began * 1000)))
    else:
        summed = run(sum_windows(load(settings), lambda _, row: name_of(wanted, row), began))
        rows = [each.row(name) for name, each in summed.sums]
        _say_reach(summed)
    if as_json:
        for row in rows:
            print_json_line(row)
        return
    columns = list(Sum().row(""))
    writer = csv.writer(sys.stdout) if as_csv else csv.writer(sys.stdout, delimiter="\t")
    writer.writerow([by.value, *columns[1:]])
    writer.writerows([formula_free(one_line(str(row[column]))) for column in columns] for row in rows)


@app.command("reconcile")
def reconcile_export(
    file: Annotated[Path, typer.Argument(help="The provider's export, CSV or JSON; - for stdin.")],
    provider: Annotated[str | None, typer.Option(help="Compare this provider alone.", show_default=False)] = None,
    tolerance: Annotated[
        str, typer.Option(metavar="PERCENT", help="How far sums of a day and model may differ.")
    ] = "1%",
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
    settings: settings_option = None,
) -> None:
    """Compare a provider's cost export with the windows, by day (UTC) and model. Exit code 1 where they differ by more.

    OpenAI: GET /v1/organization/costs, GET /v1/organization/usage/completions, and CSVs of the usage page. Anthropic: GET
    /v1/organizations/cost_report and the CSV of the Console's cost page.
    """
    import csv
    import sys

    from ops.admin.cost_exports import ExportError, read_export
    from ops.admin.reconcile import COLUMNS, compare
    from ops.cli.plain import formula_free, one_line
    from ops.cli.running import print_json_line, run
    from streams.settings.units import parse_share

    try:
        most = parse_share(tolerance)
    except ValueError as why:
        fail(f"--tolerance: {why}")
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        export = read_export(text)
    except (OSError, ExportError) as why:
        fail(f"{one_line(str(file))}: {one_line(str(why))}")
    outcome = run(compare(load(settings), export, provider, most))
    for word in outcome.notes:
        say(one_line(word), file=sys.stderr)
    if as_json:
        for row in outcome.rows:
            print_json_line(row)
    else:
        writer = csv.writer(sys.stdout) if as_csv else csv.writer(sys.stdout, delimiter="\t")
        writer.writerow(COLUMNS)
        writer.writerows([formula_free(one_line(str(row[column]))) for column in COLUMNS] for row in outcome.rows)
    if outcome.differs:
        raise typer.Exit(1)


def _say_reach(summed: "Summed[str]") -> None:
    import sys

    if summed.reaches is None:
        say("there are no windows of costs yet: a worker writes one a minute", file=sys.stderr)
    else:
        kept = "" if summed.whole else f"; none is kept from before {summed.reaches:%Y-%m-%dT%H:%M:%SZ}"
        say(f"from {summed.since:%Y-%m-%dT%H:%M:%SZ}{kept}", file=sys.stderr)
    if summed.malformed:
        say(f"{summed.malformed} records are none of a worker's and were left out", file=sys.stderr)
