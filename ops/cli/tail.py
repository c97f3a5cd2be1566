"""`headrace tail`: follow a topic."""

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import load, say, settings_option

if TYPE_CHECKING:
    from ops.admin.tail import TailOptions
    from streams.settings import Settings

app = typer.Typer(help="Follow a topic, one line a record.")

_EXAMPLES = """
Examples:

    headrace tail agent.responses

    headrace tail agent.responses -n 20 --key agent-17

    headrace tail metrics.windows -n 10 --key fleet

    headrace tail agent.requests.dlq --from-beginning --no-follow --json | jq .headers

Reads without a consumer group: the fleet does not notice. Ctrl-C ends it.
"""


@app.command(epilog=_EXAMPLES)
def tail(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Any topic of the broker.")],
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with what is there.")] = False,
    last: Annotated[
        int | None, typer.Option("-n", "--last", min=1, max=100_000, help="Begin with the newest so many records.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Only records with this key.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for more, or end after what is there.")
    ] = True,
    width: Annotated[int, typer.Option(min=10, help="Most characters shown of a value; --json shows all of it.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print each record as a line of JSON.")] = False,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Show records as they are, what [redaction] takes out elsewhere, too.")
    ] = False,
    settings: settings_option = None,
) -> None:
    """Print each record on one line: time, partition:offset, key, value; of metric samples and windows the figures."""
    from ops.admin.tail import TailOptions
    from ops.cli.running import run

    options = TailOptions(topic, from_beginning, last, key.encode() if key is not None else None, follow)
    run(_print(load(settings), options, width, as_json=as_json, as_is=as_is))


async def _print(settings: "Settings", options: "TailOptions", width: int, *, as_json: bool, as_is: bool) -> None:
    from contextlib import aclosing

    from ops.admin.tail import AS_IT_IS, as_line, as_object, tail
    from ops.cli.running import print_json_line
    from streams.redaction import in_force

    rules = AS_IT_IS if as_is else in_force.rules

    async with aclosing(tail(settings.kafka.client_options(), options)) as records:
        async for record in records:
            if as_json:
                print_json_line(as_object(record, rules))
            else:
                say(as_line(record, width, rules), flush=True)
