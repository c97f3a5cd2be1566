"""The `headrace` command.

Each command is one module of this package, named as the command, imported only when it runs, and listed in `COMMANDS` below
with its help line. What they share:

    lazy        how a command is found and imported; begin here and with `main` below
    console     --settings, one-line failures, output; plain: strangers' text on a terminal; result: what came of a load
    running     commands that talk to a broker, on an event loop
    process     worker, control, front and up: how a process begins and ends
    config_text settings as text

One rule holds for all commands: the module has `app = typer.Typer(help=…)`. With a single `@app.command()` the command
stands alone (`headrace worker --settings FILE`); with several, or with an `@app.callback()`, it is a group (`headrace
topics apply`). Every command takes `--settings FILE` (`ops.cli.console.settings_option`) and imports what is heavy
inside its function. A `HeadraceError` that leaves a command becomes one line and its exit code, here and nowhere else.

Exit codes: 0, done; 1, done, and something is wrong with what was found; 2, could not start, with one line on stderr
that says what to do; 130, interrupted.
"""

import os
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, ClassVar, Final, NoReturn

import typer

from ops.cli.lazy import Entry, LazyGroup

_RUN, _USE, _SET_UP, _TRY = "Run", "Use and watch", "Set up", "Try out and measure"

_ALL: Final[Mapping[str, Entry]] = {
    "up": Entry("ops.cli.up", "Run a fleet on this machine: control, and as many workers as it takes.", _RUN),
    "worker": Entry("ops.cli.worker", "Run one worker until SIGTERM.", _RUN),
    "control": Entry("ops.cli.control", "Run the fleet's control: windows and scaling decisions.", _RUN),
    "front": Entry("ops.cli.front", "Serve HTTP clients with an OpenAI SDK.", _RUN),
    "ui": Entry("ops.cli.ui", "Serve the control room: every request, and what the fleet does.", _RUN),
    "keys": Entry("ops.cli.keys", "Make, list and revoke keys of the front.", _SET_UP),
    "tenants": Entry("ops.cli.tenants", "List tenants, and make their topics, ACLs and quotas.", _SET_UP),
    "status": Entry("ops.cli.status", "Say whether the fleet is well; the exit code is for scripts.", _USE),
    "top": Entry("ops.cli.top", "See the fleet live: rate, latency, errors, who waits for what.", _USE),
    "send": Entry("ops.cli.send", "Send requests and wait for their answers.", _USE),
    "cost": Entry("ops.cli.cost", "What requests cost, by tenant, key, agent, model or provider.", _USE),
    "budget": Entry("ops.cli.budget", "What was spent of each budget, and another amount.", _USE),
    "cancel": Entry("ops.cli.cancel", "End a request that nobody wants any more.", _USE),
    "pause": Entry("ops.cli.pause", "Dispatch no request of a class, in the whole fleet.", _USE),
    "resume": Entry("ops.cli.resume", "Dispatch a paused class again.", _USE),
    "tail": Entry("ops.cli.tail", "Follow a topic, one line a record.", _USE),
    "drain": Entry("ops.cli.drain", "Give an endpoint no new calls, in the whole fleet.", _USE),
    "audit": Entry("ops.cli.audit", "See what operators asked of the fleet, and what came of it.", _USE),
    "trace": Entry("ops.cli.trace", "Tell what became of a request.", _USE),
    "request": Entry("ops.cli.request", "Show one request: where it is, why it waits, what came of it.", _USE),
    "redrive": Entry("ops.cli.redrive", "Send dead letters again, by filter, at a rate.", _USE),
    "dlq": Entry("ops.cli.dlq", "List, show and replay dead letters.", _USE),
    "agents": Entry("ops.cli.agents", "See which agents use a worker most.", _USE),
    "providers": Entry("ops.cli.providers", "List, check and drain the endpoints of providers.", _USE),
    "cache": Entry("ops.cli.cache", "Look into the answer cache and clear it.", _USE),
    "scaling": Entry("ops.cli.scaling", "Explain, replay and simulate scaling decisions.", _USE),
    "forget": Entry("ops.cli.forget", "Delete what an agent's requests left.", _USE),
    "metrics": Entry("ops.cli.metrics", "List the metrics that processes show.", _USE),
    "config": Entry("ops.cli.config", "Show and check the settings.", _SET_UP),
    "topics": Entry("ops.cli.topics", "Make, list and compare the topics on a broker.", _SET_UP),
    "acls": Entry("ops.cli.acls", "Print the least ACLs of each role.", _SET_UP),
    "schemas": Entry("ops.cli.schemas", "Export the message contract as JSON Schema and AsyncAPI.", _SET_UP),
    "dev": Entry(
        "ops.cli.dev", "Run everything here until Ctrl-C: broker, provider, fleet, front, control room.", _TRY
    ),
    "demo": Entry("ops.cli.demo", "Replay a real trace through workers on this machine.", _TRY),
    "broker": Entry("ops.cli.broker", "Run a local Kafka broker, embedded or Apache.", _TRY),
    "provider-sim": Entry("ops.cli.provider_sim", "Run a simulated LLM provider.", _TRY),
    "bench": Entry("ops.cli.bench", "Measure the pipeline on this machine, beside peers.", _TRY),
    "soak": Entry("ops.cli.soak", "Run a fleet for hours while its cluster breaks.", _TRY),
    "simulate": Entry("ops.cli.simulate", "See what flow would do with a load, on a virtual clock.", _TRY),
    "replay": Entry("ops.cli.replay", "Replay a request trace against a running fleet.", _TRY),
}
_OF_THE_CHECKOUT: Final = "bench"
"""Not in the wheel: it needs the peers' lock files and sources, and measures a working tree."""

COMMANDS: Final[Mapping[str, Entry]] = {
    name: entry
    for name, entry in _ALL.items()
    if name != _OF_THE_CHECKOUT or Path(__file__).with_name("bench.py").exists()
}

EXAMPLES: Final = """
[bold]Examples[/bold]

  headrace demo                           everything at once, here

  headrace config check                   are the settings right?

  headrace topics apply                   make the topics

  headrace worker --settings prod.toml    run a worker

  headrace tail agent.responses           watch the answers
"""


class Commands(LazyGroup):
    """The commands of `headrace`."""

    entries: ClassVar[Mapping[str, Entry]] = COMMANDS


app = typer.Typer(
    cls=Commands,
    help="A Kafka-native request pipeline for AI agents.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"headrace {version('headrace')}")
        raise typer.Exit


@app.callback()
def _program(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A Kafka-native request pipeline for AI agents."""


_KEPT_RUNNING: Final = frozenset(
    {"worker", "control", "front", "ui", "up", "demo", "dev", "broker", "provider-sim", "soak"}
)
"""Commands that a SIGHUP does not end: it is sent by closed terminals and by whoever wants settings read again."""


def main() -> None:
    """The console entry: run the command that was asked for, and end without a traceback for what a user can mend."""
    if len(sys.argv) > 1 and sys.argv[1] in _KEPT_RUNNING and hasattr(signal, "SIGHUP"):
        signal.signal(
            signal.SIGHUP, signal.SIG_IGN
        )  # until the process has a handler of its own (ops/processes/reload.py)
    try:
        try:
            code = app(prog_name="headrace", standalone_mode=False)
        finally:
            sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _leave_pipe()
    except typer.TyperException as error:
        _refuse_usage(error)
    except typer.Abort:
        sys.exit(1)
    except Exception as error:
        from streams.errors import HeadraceError

        if not isinstance(error, HeadraceError):
            raise
        from ops.cli.console import fail

        fail(str(error), error.exit_code)


def _refuse_usage(error: typer.TyperException) -> NoReturn:
    """A command line that is wrong: one line, and where its help is. Of a group without a command, help was shown already."""
    message = error.format_message()
    if not message.strip():
        sys.exit(error.exit_code)
    from ops.cli.plain import one_line

    context = getattr(error, "ctx", None)
    path = "headrace" if context is None else context.command_path
    print(f"headrace: {one_line(message).rstrip('.')} ({path} --help)", file=sys.stderr)
    sys.exit(error.exit_code)


def _leave_pipe() -> NoReturn:
    """The reader of stdout is gone, as in `headrace tail … | head`: end without a word, with Python's code for it."""
    # What is still buffered must go somewhere, or the interpreter complains about it at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
