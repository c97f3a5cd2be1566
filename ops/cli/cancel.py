"""`headrace cancel`: end a request."""

from typing import Annotated

import typer

from ops.cli.console import FOUND_WRONG, fail, load, say, settings_option

app = typer.Typer(help="End a request that nobody wants any more.")

_EXAMPLES = """
Examples:

    headrace cancel 01JD0R6V0KZ0V7Y3K8Q2M4N5P6 --agent agent-17

    headrace cancel 01JD0R6V0KZ0V7Y3K8Q2M4N5P6 --record agent.requests.normal:3:1042 --wait

    headrace cancel agent.requests.normal:3:1042                   a request without an id of its own: its record is its id

    headrace cancel chatcmpl-aabq... --wait --json | jq .status    a front's: its id is enough

Exit code 1 with --wait if no answer is seen in time, or one that was faster than the cancel. Answers on a topic of a
caller's own are not looked at.
"""


@app.command(epilog=_EXAMPLES, no_args_is_help=True)
def cancel(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's id.")],
    agent: Annotated[str | None, typer.Option(help="Its agent.", show_default=False)] = None,
    record: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC:PARTITION:OFFSET", help="Its record, as the broker's ack named it.", show_default=False
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; its caller is told.", show_default=False)] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer that says so.")] = False,
    within: Annotated[str, typer.Option(metavar="TIME", help="How long --wait waits.")] = "30s",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the cancel, or the answer, as a line of JSON.")
    ] = False,
    settings: settings_option = None,
) -> None:
    """Write a cancel to agent.cancels. The worker that has the request answers it `cancelled`, and closes its call."""
    import orjson

    from ops.admin.cancel import NotNamedError, cancel_of, write_cancel
    from ops.cli.pause import note_in_audit
    from ops.cli.plain import one_line
    from ops.cli.running import print_json_line, run, seconds

    loaded = load(settings)
    try:
        written = cancel_of(request_id, agent, record, reason)
    except NotNamedError as why:
        fail(str(why))
    answer = run(write_cancel(loaded, written, seconds("--within", within) if wait else None))
    note_in_audit(
        loaded, "cancel", "written to the workers", 1,
        request_id=written.request_id, agent_id=agent, record=written.record, reason=reason,
    )  # fmt: skip
    if not wait:
        print_json_line(orjson.loads(written.to_json())) if as_json else say(f"cancelling {one_line(request_id)}")
        return
    if answer is None:
        fail(f"no answer to {one_line(request_id)} was seen within {within}: it had ended, or is not here", FOUND_WRONG)
    ended_as = str((answer.get("error") or {}).get("type") or answer.get("status"))
    if as_json:
        print_json_line(answer)
    else:
        say(f"{one_line(request_id)}  {one_line(ended_as)}")
    if ended_as != "cancelled":
        raise typer.Exit(FOUND_WRONG)
