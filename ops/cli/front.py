"""`headrace front`: HTTP clients with an OpenAI SDK."""

import typer

from ops.cli.console import load, settings_option

app = typer.Typer(help="Serve HTTP clients with an OpenAI SDK until SIGTERM.")

_EXAMPLES = """
Examples:

  headrace front --settings headrace.toml

  curl http://127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model": "small", "messages": [{"role": "user", "content": "hi"}]}'

  OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=none python my_agent.py

Any number of fronts may run beside each other. After SIGTERM or Ctrl-C one takes nothing new, and those who wait still get their
answers; an answer that came later is found by its id on any front.
"""


@app.command(epilog=_EXAMPLES)
def front(settings: settings_option = None) -> None:
    """Take requests over HTTP, put them on Kafka, and answer when the fleet has. Logs go to stderr."""
    from functools import partial

    from ops.cli.process import run_process
    from ops.processes.front import run_front
    from ops.processes.settings_file import SettingsFile

    file = SettingsFile.of(settings)
    run_process(partial(run_front, file=file), load(settings), listens="front.listen", secrets_missing_too=False)
