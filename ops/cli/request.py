"""`headrace request show`: all that is known of one request."""

import typer

from ops.cli.console import (
    FOUND_WRONG,
    AnswersSinceOption,
    JsonOption,
    RequestArgument,
    fail,
    load,
    print_json,
    say,
    settings_option,
)

app = typer.Typer(help="Show one request: where it is, why it waits, what came of it.", no_args_is_help=True)

_EXAMPLES = """
Examples:

    headrace request show 01JD0R6V0KZ0V7Y3K8Q2M4N5P6

    headrace request show agent.requests.normal:3:1042 --json | jq '.reason, .position, .predicted_s'

Exit code 1 if no worker knows it and no answer or dead letter of it was written since then; 2 if the broker does not answer.
"""


@app.callback()
def group() -> None:
    """Show one request."""


@app.command(epilog=_EXAMPLES, no_args_is_help=True)
def show(
    request_id: RequestArgument,
    since: AnswersSinceOption = "1h",
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """State, place, why it waits, predicted time, attempts, cost and answer, as the fleet knows them now."""
    from ops.admin.request import find_request, lines
    from ops.cli.plain import one_line
    from ops.cli.running import run, seconds

    found = run(find_request(load(settings), request_id, seconds("--since", since)))
    if found is None:
        fail(
            f"no worker knows {one_line(request_id)}, and no answer to it was found in the last {since}: an id that stands in "
            "Kafka yet is known by its record alone, topic:partition:offset",
            FOUND_WRONG,
        )
    if as_json:
        print_json(found)
        return
    for line in lines(found):
        say(one_line(line))
