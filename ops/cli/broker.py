"""`headrace broker`: a local Kafka broker in the foreground."""

import signal
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import fail, load, settings_option

app = typer.Typer(help="Run a Kafka broker on this machine.", no_args_is_help=True)

_LOOK_EVERY_S = 0.5
_DEFAULT_PORT = 9092


class Kind(StrEnum):
    EMBEDDED = "embedded"
    APACHE = "apache"


@app.callback()
def group() -> None:
    """Run a Kafka broker on this machine."""


@app.command()
def run(
    kind: Annotated[Kind, typer.Option(help="apache: Apache Kafka, needs Java 17 and Maven; embedded: for demos.")],
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="On 127.0.0.1; 0 chooses a free one; else the port in the settings.",
            show_default=False,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where its data stays; else a temporary directory, removed at the end.")
    ] = None,
    settings_file: settings_option = None,
) -> None:
    """Run a broker in the foreground; prints its address when it serves, Ctrl-C stops it."""
    from ops.brokers import start_broker

    if port is None:
        port = _port_of(load(settings_file).kafka.bootstrap_servers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: an exception, which ends what was started
    try:
        started = start_broker(
            kind.value, port=port, data_dir=data_dir, progress=lambda line: print(line, file=sys.stderr, flush=True)
        )
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with started:
        print(started.bootstrap_servers, flush=True)
        while not stop.wait(_LOOK_EVERY_S):
            if not started.alive():
                fail(f"the {started.kind} broker ended by itself", code=1)


def _port_of(bootstrap_servers: str) -> int:
    """The port of the first address: the broker runs where clients with the same settings look for it."""
    last = bootstrap_servers.split(",")[0].rsplit(":", 1)[-1]
    return int(last) if last.isdigit() else _DEFAULT_PORT
