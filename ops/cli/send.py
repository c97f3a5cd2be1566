"""`headrace send`: requests from the command line or from stdin."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from ops.cli.console import FOUND_WRONG, fail, load, say, settings_option

if TYPE_CHECKING:
    from ops.admin.send import Incoming, Outgoing, Sent

app = typer.Typer(help="Send requests and wait for their answers.")

_EXAMPLES = """
Examples:

    headrace send "What is a headrace?"

    headrace send --agent agent-17 --model small --priority high --timeout 20s --json "hello"

    headrace send --tenant acme "hello"             on acme's topics, with acme's credentials

    headrace send - < requests.jsonl                one request value a line; a "priority" key beside it is taken out

    echo '{"payload": {"model": "small", "messages": [{"role": "user", "content": "hi"}]}}' | headrace send -

Exit code 1 if an answer is missing when the wait is over, or is not ok.
"""


@app.command(epilog=_EXAMPLES, no_args_is_help=True)
def send(
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT|-", help="The message; - reads JSON lines from stdin.", show_default=False),
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="The message, as an option.")] = None,
    agent: Annotated[str, typer.Option(help="Who asks.")] = "cli",
    model: Annotated[str, typer.Option(help="Which model is asked.")] = "small",
    priority: Annotated[Literal["high", "normal", "low"], typer.Option(help="Class of the request.")] = "normal",
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Total time for the request, like 20s; else its class's.")
    ] = None,
    conversation: Annotated[str | None, typer.Option(metavar="ID", help="Conversation that it belongs to.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    wait: Annotated[
        str, typer.Option(metavar="TIME", help="How long to wait for answers after the last request.")
    ] = "30s",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Only send.")] = False,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Send and listen on this tenant's topics.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each response as a line of JSON.")] = False,
    settings: settings_option = None,
) -> None:
    """Send one request, or many from stdin, and print the answers as they come."""
    from ops.admin.send import from_text, send_all
    from ops.cli.running import print_json_line, run, seconds

    if (text is None) == (message is None):
        fail("send one message: as TEXT, with --message, or - for JSON lines on stdin")
    loaded = load(settings)
    if tenant is not None and tenant not in loaded.tenants:
        fail(f"the settings name no tenant {tenant[:80]!r}")
    timeout_s = seconds("--timeout", timeout) if timeout is not None else None
    wait_s = None if no_wait else seconds("--wait", wait)
    lines = _Lines(sys.stdin, agent, priority)
    if text == "-":
        requests = lines.read()
    else:
        given = text if text is not None else message or ""
        requests = _one(
            from_text(
                given,
                agent_id=agent,
                model=model,
                priority=priority,
                timeout_s=timeout_s,
                conversation_id=conversation,
                max_tokens=max_tokens,
            )
        )

    from ops.cli.plain import one_line

    def show(answer: "Incoming") -> None:
        if as_json:
            print_json_line(answer.value)
        elif text == "-":
            say(
                f"{one_line(answer.request_id)}  {one_line(answer.status)}  {' '.join(answer.text().split())}",
                flush=True,
            )
        else:
            well = answer.status == "ok"
            say(answer.text() if well else f"{answer.status}: {answer.text()}", file=sys.stdout if well else sys.stderr)

    sent = run(send_all(loaded, requests, wait_s, show, tenant or ""))
    if not _is_well(sent, wait, waited=not no_wait) or lines.refused:
        raise typer.Exit(FOUND_WRONG)


def _is_well(sent: "Sent", wait: str, *, waited: bool) -> bool:
    if not waited:
        say(f"sent {sent.sent}", file=sys.stderr)
        return True
    if sent.missing:
        shown = ", ".join(sent.missing[:3]) + (", …" if len(sent.missing) > 3 else "")
        say(
            f"headrace: no answer to {len(sent.missing)} of {sent.sent} within {wait} ({shown}): does a worker run? "
            "--wait waits longer",
            file=sys.stderr,
        )
    return sent.ok == sent.sent


async def _one(request: "Outgoing") -> AsyncIterator["Outgoing"]:
    yield request


class _Lines:
    """Requests from lines of JSON; a line that is none is named on stderr and passed over."""

    def __init__(self, source: TextIO, agent: str, priority: Literal["high", "normal", "low"]) -> None:
        self.refused = 0
        self._source = source
        self._agent = agent
        self._priority: Literal["high", "normal", "low"] = priority

    async def read(self) -> AsyncIterator["Outgoing"]:
        from ops.admin.send import LineError, from_line

        number = 0
        # On a thread: whoever types slowly, or a pipe that stays open, must not hold up the answers.
        while line := await asyncio.to_thread(self._source.readline):
            number += 1
            if not line.strip():
                continue
            try:
                yield from_line(line, agent_id=self._agent, priority=self._priority)
            except LineError as error:
                self.refused += 1
                say(f"headrace: line {number}: {error}", file=sys.stderr)
