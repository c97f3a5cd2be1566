"""What `headrace dev` prints once it answers: addresses, and lines that work as they stand. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Running:
    """What runs, by its addresses (HOST:PORT)."""

    broker: str
    front: str
    ui: str
    simulator: str
    settings: Path
    logs: Path
    took_s: float
    command: str = "headrace"
    """How the reader's shell calls it."""


def told(running: Running) -> str:
    """The text, no line of which needs anything that is not said in it."""
    base = f"http://{running.front}/v1"
    return f"""\
ready after {running.took_s:.0f} s

  API           {base}
  control room  http://{running.ui}
  broker        {running.broker}
  provider      {running.simulator} (simulated)
  settings      {running.settings} (read again when it changes)
  logs          {running.logs}

ask it:

{curl(base)}

{sdk(base)}      (pip install openai)

look at it:

{running.command} status --settings {running.settings}
{running.command} tail agent.responses --settings {running.settings}

Ctrl-C ends everything
"""


def curl(base: str) -> str:
    """One request by curl, for a shell."""
    body = '{"model": "small", "messages": [{"role": "user", "content": "hi"}]}'
    return f"curl {base}/chat/completions -H 'content-type: application/json' -d '{body}'"


def sdk(base: str) -> str:
    """One request by OpenAI's Python SDK, for a shell."""
    call = (
        "from openai import OpenAI; "
        f"print(OpenAI(base_url='{base}', api_key='none').chat.completions.create("
        "model='small', messages=[{'role': 'user', 'content': 'hi'}]).choices[0].message.content)"
    )
    return f'python -c "{call}"'
