"""`headrace trace`: what became of a request."""

import sys

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

app = typer.Typer(help="Tell what became of a request.")

_EXAMPLES = """
Examples:

    headrace trace 01JD0R6V0KZ0V7Y3K8Q2M4N5P6 --since 1h

    headrace trace agent.requests.normal:3:1042 --json

Of a request under way it tells where it is and why it waits, by the worker that has it.

Exit code 1 if none knows it, and no answer or dead letter of it was written since then; 2 if the broker does not answer.
"""


@app.command(epilog=_EXAMPLES, no_args_is_help=True)
def trace(
    request_id: RequestArgument,
    since: AnswersSinceOption = "1h",
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Find the answer or dead letter, and tell the request's way; of one under way, where it is now."""
    from ops.admin.request import find_request, lines
    from ops.cli.plain import one_line
    from ops.cli.running import run, seconds

    since_s, loaded = seconds("--since", since), load(settings)
    if sys.stderr.isatty():
        typer.echo(f"looking through the last {since} of answers and dead letters", err=True)
    found = run(find_request(loaded, request_id, since_s))
    if found is None:
        fail(f"no answer to {one_line(request_id)} was found in the last {since}, and no worker knows it", FOUND_WRONG)
    if as_json:
        print_json(found)
        return
    for line in lines(found):
        say(one_line(line))
