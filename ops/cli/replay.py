"""`headrace replay`: a trace of requests against a fleet that runs."""

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import FOUND_WRONG, fail, load, settings_option

app = typer.Typer(help="Replay a request trace against a running fleet.")

_EXAMPLES = """
Examples:

    headrace replay --rate 25 --seconds 60                      the shipped trace, at 25 requests/s

    headrace replay trace.csv.gz --rate-scale 2                 a trace of yours, twice as fast

    headrace replay --real --model gpt-4o-mini --timeout 30s --rate 1 --seconds 30

    headrace replay mooncake_trace.jsonl --seconds 60           shared prefixes repeat as its hash ids say

A trace is one of Azure's (TIMESTAMP,ContextTokens,GeneratedTokens), Mooncake's (JSON lines) or ServeGen's (windows of rates, with
the dataset beside them); .gz is read too. Others say that they are not known.
Exit code 1 if a request was lost: neither answered nor a dead letter when the wait was over.
"""


@app.command(epilog=_EXAMPLES)
def replay(
    trace: Annotated[
        Path | None,
        typer.Argument(metavar="TRACE", help="Else the shipped conversation trace.", show_default=False),
    ] = None,
    rate_scale: Annotated[float, typer.Option(min=0.001, help="2 plays the trace twice as fast.")] = 1,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Instead: requests a second on average, over --seconds.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop sending after this; else the whole trace.")
    ] = None,
    agents: Annotated[int, typer.Option(min=1, help="How many agents send.")] = 100,
    chats: Annotated[int, typer.Option(min=1, help="How many conversations they have.")] = 50,
    model: Annotated[str, typer.Option(help="Model in each request.")] = "small",
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Total time of each request, like 30s.")] = None,
    simulated: Annotated[
        bool,
        typer.Option("--simulated/--real", help="Tell the provider simulator the trace's token counts, or do not."),
    ] = True,
    wait: Annotated[str, typer.Option(metavar="TIME", help="Wait for answers after the last request.")] = "2m",
    seed: Annotated[int, typer.Option(help="Of agents, chats and priorities.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as flat JSON; - for stdout.")
    ] = None,
    settings: settings_option = None,
) -> None:
    """Send a trace's requests at their times, wait for the answers, sum up."""
    from ops.admin.replay import ReplayOptions, run_replay
    from ops.cli.result import Reporter
    from ops.cli.running import run
    from ops.cli.running import seconds as seconds_of
    from ops.load import SHIPPED_TRACE

    loaded, reporter = load(settings), Reporter(json_file)
    options = ReplayOptions(
        trace=trace or SHIPPED_TRACE,
        rate_scale=rate_scale,
        rate_per_s=rate,
        seconds=seconds,
        agents=agents,
        chats=chats,
        model=model,
        timeout_s=seconds_of("--timeout", timeout) if timeout is not None else None,
        simulated=simulated,
        wait_s=seconds_of("--wait", wait),
        seed=seed,
    )
    try:
        run(run_replay(loaded, options, reporter.console, reporter))
    except ValueError as error:
        fail(str(error))
    if reporter.result is None or reporter.result.summary.lost:
        raise typer.Exit(FOUND_WRONG)
