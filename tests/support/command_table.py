"""Every `headrace` command with a right, a wrong and a missing input, and what becomes of it; a test fails without a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from tests.support.forked_imports import PROGRAM

Stops = Literal["in order", "interrupted", "elsewhere", "at once"]


@dataclass(frozen=True, slots=True)
class Row:
    """One command. Arguments are without its name.

    `right`: on a broker with the contract's topics and no fleet it ends with `code`. `wrong`: arguments that are refused, with
    2. `missing`: with these alone it says what is missing, with 2. `asks`: whether it asks a broker. `stops`: what Ctrl-C does:
    a process ends in order (0), a wait is interrupted (130), it ends by itself at once, or another test holds it, that starts
    what it needs.
    """

    right: str = ""
    code: int = 0
    wrong: str = "--no-such-option"
    missing: str | None = None
    asks: bool = True
    stops: Stops = "at once"
    reads_settings: bool = True


LONG = Row(asks=False, stops="elsewhere")

ROWS: Final[dict[str, Row]] = {
    "up": Row(wrong="--workers 0", stops="elsewhere"),
    "worker": Row(stops="in order"),
    "control": Row(stops="in order"),
    "front": Row(stops="in order"),
    "ui": Row(stops="in order"),
    "keys create": Row("team-a --json", wrong="team-a --expires soon", missing=""),
    "keys list": Row("--json"),
    "keys revoke": Row("no-such-key", code=1, missing=""),
    "tenants list": Row("--json", asks=False),
    "tenants apply": Row("--dry-run", code=2),
    "status": Row(code=1),
    "send": Row("hi --wait 1s", code=1, wrong="hi --wait soon", missing="--json", stops="interrupted"),
    "cost": Row("--since 1h", wrong="--since yesterday"),
    "cost reconcile": Row("no-such-export.csv", code=2, wrong="a.csv --tolerance much", missing="", asks=False),
    "budget list": Row(),
    "budget set": Row("none 5", code=2, wrong="none much", missing=""),
    "cancel": Row("no-such-id --agent a --within 1s", code=2, missing="", stops="elsewhere"),
    "pause": Row("low --dry-run", wrong="lowest", missing=""),
    "resume": Row("low --within 1s", code=1, wrong="lowest"),
    "tail": Row("agent.responses --no-follow", wrong="agent.responses -n few", missing="", stops="interrupted"),
    "drain": Row("no-such --dry-run", missing=""),
    "audit": Row("--json", wrong="-n 0"),
    "trace": Row("no-such-id", code=1, wrong="an-id --since tomorrow", missing=""),
    "request show": Row("no-such-id", code=1, wrong="an-id --since tomorrow", missing=""),
    "forget": Row("--agent a --dry-run", wrong="--agent a --before never", missing=""),
    "top": Row("--once", wrong="--every often"),
    "redrive": Row("--since 1h", wrong="--since tomorrow"),
    "dlq list": Row(wrong="--since yesterday"),
    "dlq show": Row("0:0", code=1, wrong="first", missing=""),
    "dlq replay": Row("--since 1h", wrong="--since yesterday"),
    "agents top": Row("--once", code=2, wrong="--every often", stops="elsewhere"),
    "providers list": Row(code=2),
    "providers check": Row(code=1, asks=False),
    "providers drain": Row("no-such --dry-run", missing=""),
    "providers undrain": Row("main --within 1s", code=1, missing=""),
    "cache stats": Row(asks=False),
    "cache get": Row("no-such-key", code=2, missing="", asks=False),
    "cache purge": Row("no-such-key", code=2, missing="--yes"),
    "cache compact": Row(asks=False),
    "cache rebuild": Row(asks=False),
    "scaling explain": Row(wrong="-n 0"),
    "scaling replay": Row("decisions.jsonl", code=2, wrong="no-such-file", missing="", asks=False),
    "scaling simulate": Row(wrong="--per-worker 0", asks=False),
    "metrics names": Row(asks=False, reads_settings=False),
    "config show": Row(asks=False),
    "config check": Row("--connect", wrong="--settings no-such-file"),
    "config diff": Row(code=1, wrong="no-such-file", asks=False),
    "config reference": Row(asks=False, reads_settings=False),
    "topics apply": Row("--json"),
    "topics check": Row(),
    "topics list": Row(),
    "acls": Row("", asks=False),
    "schemas export": Row("--dir exported", asks=False, reads_settings=False),
    "dev": Row(wrong="--workers 0", asks=False, stops="elsewhere"),
    "demo": Row(wrong="--seconds 0", asks=False, stops="elsewhere"),
    "broker run": Row("--kind embedded --port 0", wrong="--kind none", asks=False, stops="in order", reads_settings=False),
    "provider-sim": Row("--port 0", wrong="--latency fast", asks=False, stops="in order"),
    **{f"bench {name}": LONG for name in ("index", "pipeline", "latency", "provider", "front", "memory", "scale")},
    "soak": Row(wrong="--rate 0", asks=False, stops="elsewhere"),
    "simulate flow": Row("--seconds 1", wrong="--mix 1/2/3", asks=False),
    "replay": Row("--rate 4 --seconds 1 --wait 1s", code=1, wrong="no-such-file", stops="interrupted"),
}  # fmt: skip


def commands() -> Iterator[str]:
    """Every command there is, found by walking the program."""
    yield from _below(PROGRAM, "")


def _below(command: Any, path: str) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if not below or (path and command.invoke_without_command):
        yield path
    if not below:
        return
    for name, each in below.items():
        real = command.load(name) if hasattr(command, "entries") else each
        yield from _below(real, f"{path} {name}".strip())
