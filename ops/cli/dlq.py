"""`headrace dlq`: dead letters."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ops.cli.console import FOUND_WRONG, JsonOption, fail, load, print_json, say, settings_option

if TYPE_CHECKING:
    from ops.admin.dead_letters import Found, Selection
    from streams.settings import Settings

_MESSAGE_CHARS = 160

_EXAMPLES = """
Examples:

    headrace dlq list --reason exhausted --since 1h

    headrace dlq show 3:17

    headrace dlq replay --reason exhausted --since 1h           says what it would send

    headrace dlq replay --reason exhausted --since 1h --yes     sends it

    headrace dlq replay 3:17 5:2 --yes
"""

app = typer.Typer(help="List, show and replay dead letters.", no_args_is_help=True, epilog=_EXAMPLES)

Reason = Annotated[
    Literal["poison", "exhausted", "too_large", "undeliverable"] | None,
    typer.Option(help="Only those given up for this reason."),
]
Topic = Annotated[str | None, typer.Option(help="Only those from this topic.")]
ErrorType = Annotated[str | None, typer.Option("--type", help="Only those with this error type.")]
Tenant = Annotated[str, typer.Option(help="Of this tenant's dead letters; else of the common ones.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Only those of the last 30s, 10m, 1h, 7d.")]


@app.callback()
def group() -> None:
    """List, show and replay dead letters."""


@app.command(name="list")
def list_letters(
    count: Annotated[int, typer.Option("-n", "--last", min=1, max=10_000, help="The newest so many.")] = 20,
    reason: Reason = None,
    topic: Topic = None,
    error_type: ErrorType = None,
    since: Since = None,
    tenant: Tenant = "",
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Show the newest dead letters, one line each, the newest first."""
    from ops.admin.dead_letters import newest
    from ops.cli.running import run

    loaded = load(settings)
    wanted = _selection([], reason, topic, error_type, since, tenant)
    found = run(newest(loaded.kafka.client_options(), loaded.topics.names, wanted, count))
    if as_json:
        print_json({"dead_letters": [each.summary() for each in found]})
        return
    for each in found:
        say(_line(each))
    if not found:
        say("no dead letters")


@app.command()
def show(
    position: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="As `list` shows it.")],
    tenant: Tenant = "",
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Print one dead letter: why it died, its headers, its value."""
    from ops.admin.tail import printable
    from ops.cli.plain import one_line
    from ops.cli.running import run

    found = run(_collect(load(settings), _selection([position], None, None, None, None, tenant)))
    if not found:
        fail(f"there is no dead letter at {position}", FOUND_WRONG)
    (letter,) = found
    if as_json:
        print_json(letter.details())
        return
    for name, value in letter.summary().items():
        say(f"{name + ':':15}{'-' if value is None else one_line(str(value))}")
    say("headers:")
    for name, raw in letter.headers:
        say(f"  {one_line(name)}: {printable(raw, 2000)}")
    say("value:")
    say("(no value)" if letter.value is None else _value_text(letter.value))


@app.command()
def replay(
    positions: Annotated[
        list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET]...", help="These; else all that fit the filters.")
    ] = None,
    reason: Reason = None,
    topic: Topic = None,
    error_type: ErrorType = None,
    since: Since = None,
    tenant: Tenant = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="No more than this many.")] = 100,
    yes: Annotated[bool, typer.Option("--yes", help="Really send; without it, say what would be sent.")] = False,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Send originals again: to the topic they came from, with their key, value and headers."""
    from ops.cli.running import run

    selection = _selection(positions or [], reason, topic, error_type, since, tenant)
    outcome = run(_replay(load(settings), selection, limit, really=yes, quiet=as_json))
    if as_json:
        print_json(outcome)
    if outcome["not_sent"] or outcome["not_found"]:
        raise typer.Exit(FOUND_WRONG)


def _selection(
    positions: list[str],
    reason: str | None,
    topic: str | None,
    error_type: str | None,
    since: str | None,
    tenant: str,
) -> "Selection":
    import time

    from ops.admin.dead_letters import Selection
    from ops.cli.running import seconds

    if positions and (reason or topic or error_type or since):
        fail("give positions or filters, not both")
    chosen = []
    for position in positions:
        match = re.fullmatch(r"(\d{1,6}):(\d{1,18})", position, re.ASCII)
        if match is None:
            fail(f"{position!r} is no PARTITION:OFFSET, such as 3:17")
        chosen.append((int(match[1]), int(match[2])))
    since_ms = round((time.time() - seconds("--since", since)) * 1000) if since is not None else None
    return Selection(frozenset(chosen), reason, topic, error_type, since_ms, tenant)


async def _collect(settings: "Settings", selection: "Selection") -> "list[Found]":
    from ops.admin.dead_letters import find

    return [each async for each in find(settings.kafka.client_options(), settings.topics.names, selection)]


async def _replay(
    settings: "Settings", selection: "Selection", limit: int, *, really: bool, quiet: bool
) -> dict[str, Any]:
    from contextlib import AsyncExitStack, aclosing

    from ops.admin.dead_letters import find, open_sender, why_not

    options, names = settings.kafka.client_options(), settings.topics.names
    sent: list[dict[str, str | None]] = []
    not_sent: list[dict[str, str]] = []
    missing = {f"{partition}:{offset}" for partition, offset in selection.positions}
    more = False

    def tell(line: str) -> None:
        if not quiet:
            say(line, flush=True)

    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(open_sender(options, names)) if really else None
        async for each in await stack.enter_async_context(aclosing(find(options, names, selection))):
            missing.discard(each.position)
            if len(sent) == limit:
                more = True
                break
            refused = why_not(each, names)
            if refused is not None or each.letter is None:
                not_sent.append({"position": each.position, "why": refused or ""})
                tell(f"{each.position}  not sent: {refused}")
                continue
            became = await sender.send(each) if sender is not None else None
            sent.append({"position": each.position, "topic": each.letter.dlq_topic, "became": became})
            why = f"{each.letter.dlq_reason}: {each.letter.dlq_error_type}"
            to = f"sent to {became}" if sender is not None else f"would go to {each.letter.dlq_topic}"
            tell(f"{each.position}  {to}  ({why}; from {each.origin})")
    for position in sorted(missing):
        tell(f"{position}  not sent: there is no dead letter here")
    done = "sent" if really else "would be sent; --yes sends them"
    tell(f"{len(sent)} {done}" + (f"; there are more than --limit {limit}" if more else ""))
    return {
        "dry_run": not really,
        "sent": sent,
        "not_sent": not_sent,
        "not_found": sorted(missing),
        "limit_reached": more,
    }


def _value_text(value: bytes) -> str:
    """A value on as many lines as it needs: JSON indented, anything else as text that cannot steer a terminal."""
    import orjson

    from ops.admin.tail import printable

    try:
        return orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return printable(value, len(value) * 4)


def _line(letter: "Found") -> str:
    from ops.admin.tail import printable
    from ops.cli.plain import one_line

    row = letter.summary()
    message = printable((row["error_message"] or "").encode(), _MESSAGE_CHARS)
    cells = (row["position"], row["died_at"], row["reason"], row["error_type"], f"from {row['origin']}", message)
    return "  ".join(one_line(cell) if cell else "?" for cell in cells)
