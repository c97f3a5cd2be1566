"""`headrace scaling`: what was decided and why, what would have been decided, and what a load would lead to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.console import JsonOption, fail, load, print_json, say, settings_option

if TYPE_CHECKING:
    from ops.admin.scaling_recent import Told

_EXAMPLES = """
Examples:

    headrace scaling explain

    headrace scaling explain -n 50 --all --json

    headrace tail metrics.windows --from-beginning --no-follow --json > windows.jsonl

    headrace scaling replay windows.jsonl

    HEADRACE_SCALING__TRIGGERS__QUEUE__LENGTH=200 headrace scaling replay windows.jsonl

    headrace scaling simulate --per-worker 6 --svg day.svg
"""

app = typer.Typer(help="Explain, replay and simulate scaling decisions.", no_args_is_help=True, epilog=_EXAMPLES)

_RECORDS_A_LINE = 200
"""Records read for each decision that is shown: most of them say the same as the one before."""


@app.callback()
def group() -> None:
    """Explain, replay and simulate scaling decisions."""


@app.command()
def explain(
    count: Annotated[int, typer.Option("-n", "--last", min=1, max=1000, help="The newest so many.")] = 10,
    every: Annotated[bool, typer.Option("--all", help="Also those that say the same as the one before.")] = False,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Tell the last decisions in sentences, the newest last: why the fleet was changed, or was not, and what came of it."""
    from ops.admin.scaling_recent import in_short, recent
    from ops.cli.running import run

    most_records = count if every else min(count * _RECORDS_A_LINE, 20_000)
    loaded = load(settings)
    found = run(recent(loaded.kafka.client_options(), loaded.topics.names, most_records))
    shown = (found if every else in_short(found))[-count:]
    if as_json:
        print_json({"decisions": [_document(each) for each in shown]})
        return
    for each in shown:
        say(_sentence(each))
    if not shown:
        say("no decisions yet: does a control process run? `headrace control` or `headrace up` starts one")


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Windows, a line of JSON each; - for stdin.")],
    every: Annotated[bool, typer.Option("--all", help="Also windows at which nothing would have changed.")] = False,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Run the policy of the settings over recorded windows, and tell what it would have decided at each."""
    import sys
    from datetime import UTC, datetime

    from ops.admin.scaling_explain import tell
    from ops.simulation.scaling_recorded import RecordingError, read_windows
    from ops.simulation.scaling_recorded import replay as replayed
    from streams.scaling.policy import Policy

    policy = Policy.of(load(settings))
    try:
        if str(file) == "-":
            windows = read_windows(sys.stdin)
        else:
            with file.open(encoding="utf-8", errors="replace") as lines:
                windows = read_windows(lines)
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except RecordingError as error:
        fail(f"{file}: {error}")
    if not windows:
        fail(f"{file} has no window of the fleet: `headrace tail metrics.windows --json` gives them")
    decisions = list(replayed(windows, policy))
    shown = [each for each in decisions if every or each.action != "hold"]
    if as_json:
        print_json({"windows": len(windows), "decisions": [each.model_dump(mode="json") for each in shown]})
        return
    for each in shown:
        say(tell(each))
    first, last = (datetime.fromtimestamp(each.end_s, UTC).isoformat() for each in (windows[0], windows[-1]))
    steps = sum(each.action != "hold" for each in decisions)
    say(f"{len(windows)} windows from {first} to {last}: {steps} steps would have been made")


@app.command()
def simulate(
    curve: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CSV]", help="Columns t_seconds, requests_per_second; else the shipped day of a real service."
        ),
    ] = None,
    per_worker: Annotated[float, typer.Option(min=0.001, help="Requests a second that one worker can do.")] = 6.0,
    cpu: Annotated[float, typer.Option(min=0, max=1, help="CPU use of a worker that does all it can, 0 to 1.")] = 1.0,
    start: Annotated[float, typer.Option(min=0, help="Seconds until a new worker works.")] = 30.0,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw load, capacity, workers and waiting.")] = None,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Put a load on a fleet on paper and let the policy of the settings scale it: a day in less than a second."""
    from dataclasses import asdict

    from ops.simulation import scaling_day as day
    from ops.simulation.scaling_model import Site
    from streams.scaling.policy import Policy

    policy = Policy.of(load(settings))
    path = curve or day.SHIPPED_DAY
    try:
        found = day.read_curve(path)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except ValueError as error:
        fail(str(error))
    site = Site(per_worker_per_s=per_worker, cpu_when_full=cpu, start_s=start)
    minutes = day.simulate(found, site, policy, found.lasts_s + policy.window_s)
    total = day.summary(minutes, policy)
    if svg is not None:
        note = (
            f"Load: {path.stem}; a worker does {per_worker:g} requests a second and works {start:g} s after its start."
        )
        try:
            svg.write_text(day.picture(minutes, site, "A day on paper: load, fleet, and what waits", note))
        except OSError as error:
            fail(f"--svg {svg}: {error.strerror}")
    if as_json:
        print_json(asdict(total))
        return
    say(f"{total.windows} windows: {total.steps_out} steps out, {total.steps_in} in, at most {total.largest} workers")
    say(
        f"expired {total.expired_share:.3%} of the requests; the longest wait was {total.longest_wait_s:.1f} s; "
        f"{total.worker_hours:.0f} worker hours, {total.worker_hours_at_peak_size:.0f} with as many as at the peak all the time"
    )


def _sentence(told: "Told") -> str:
    from ops.admin.scaling_explain import tell

    times = f" ({told.alike} decisions in a row.)" if told.alike > 1 else ""
    return tell(told.decision, told.events) + times


def _document(told: "Told") -> dict[str, Any]:
    return {
        "text": _sentence(told),
        "alike": told.alike,
        "decision": told.decision.model_dump(mode="json"),
        "events": [each.model_dump(mode="json") for each in told.events],
    }
