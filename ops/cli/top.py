"""`headrace top`: the fleet on a whole terminal."""

from typing import Annotated

import typer

from ops.cli.console import load, print_json, settings_option

app = typer.Typer(help="See the fleet live: rate, latency, errors, who waits for what, what limits it now.")

_EXAMPLES = """
Examples:

    headrace top                      every 2 s; tab: the other view, p: hold, q: end

    headrace top --once > now.txt     one look as text; also where there is no terminal

    headrace top --json | jq .verdict.sentence

The figures are those of the control room's Overview and Queues. Exit code 2 if the broker does not answer.
"""


@app.command(epilog=_EXAMPLES)
def top(
    once: Annotated[bool, typer.Option("--once", help="Look once, print plain text and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Look once and print JSON.")] = False,
    every: Annotated[str, typer.Option(metavar="DURATION", help="Time between looks.")] = "2s",
    settings: settings_option = None,
) -> None:
    """Watch the whole fleet. Nothing is asked of it but what it does; no worker's address is needed."""
    import logging

    import structlog

    from ops.cli.running import run, seconds
    from ops.top import watch

    # Whatever a reader logs would stand in the middle of the picture; the picture says what cannot be read.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    every_s, loaded = max(0.2, seconds("--every", every)), load(settings)
    if as_json:
        print_json(run(watch.once(loaded)))
    elif once or not _is_terminal():
        _print(run(watch.once(loaded)))
    else:
        run(watch.watch(loaded, every_s))


def _is_terminal() -> bool:
    from ops.top.terminal import is_there

    return is_there()


def _print(picture: object) -> None:
    import shutil

    from ops.top.lines import LEAST_COLUMNS, snapshot
    from ops.top.picture import Picture

    assert isinstance(picture, Picture)
    columns = max(LEAST_COLUMNS, shutil.get_terminal_size((100, 24)).columns)
    for line in snapshot(picture, columns):
        print(line.text.rstrip())
