"""`headrace bench`: how fast, how soon, how much memory, on this machine; beside peers where there are any."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import fail, load, settings_option

if TYPE_CHECKING:
    from rich.console import Console

    from ops.bench.figures import Report
    from ops.bench.ground import Ground

app = typer.Typer(
    help="Measure the pipeline on this machine, beside what others would write.",
    epilog="Each starts a broker of its own. Measure on a quiet machine; docs/performance.md says how to read the figures.",
    no_args_is_help=True,
)

_FILE_WIDTH = 120
"""Of tables that go into a file or a pipe, which have no width of their own."""

broker_option = Annotated[str, typer.Option(metavar="apache|embedded", help="Kind of broker to start.")]
json_option = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON; - for stdout.")
]


@app.command()
def index(
    requests: Annotated[int, typer.Option(min=1_000, max=20_000_000, help="Requests to fill it with.")] = 1_000_000,
) -> None:
    """The control room's index: requests a second into it on a core, bytes a request, and how long pages take. No broker."""
    import tempfile

    from ops.bench.index import run_index

    with tempfile.TemporaryDirectory(prefix="headrace-index-") as folder:
        for line in run_index(requests, Path(folder)):
            print(line, flush=True)


@app.command()
def pipeline(
    records: Annotated[int, typer.Option(min=5_000, help="Records of a run; slow peers take a part.")] = 300_000,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of everybody, one after the other.")] = 5,
    peers: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help="Of handler, aiokafka, aiokafka_batch, franz_go, quix, faststream, faststream_batch, faust; or none.",
        ),
    ] = "handler,aiokafka,aiokafka_batch,franz_go,quix,faststream,faststream_batch,faust",
    repeats: Annotated[
        int, typer.Option(min=0, max=100, help="Percent of payloads that come byte for byte as before.")
    ] = 5,
    chart: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Write a bar chart of the rates.")] = None,
    broker: broker_option = "apache",
    json_file: json_option = None,
    settings: settings_option = None,
) -> None:
    """Records a second, all hits, beside hand-written loops and other frameworks doing the same work.

    Peers that need libraries of their own get a virtual environment in .cache/bench, made at first use; the one in
    Go is built there, and left out where there is no Go.
    """
    from ops.bench.pipeline import PEERS, measure
    from ops.bench.work import Load

    names = [name.strip() for name in peers.split(",") if name.strip() not in ("", "none")]
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        fail(f"--peers {unknown[0]}: there are {', '.join(PEERS)}")
    _bench(
        lambda ground: measure(ground, names, Load(records, repeats=repeats), rounds),
        broker,
        json_file,
        settings,
        chart,
    )


@app.command()
def latency(
    rates: Annotated[str, typer.Option(metavar="N,…", help="Requests a second.")] = "100,500,1000,2000",
    seconds: Annotated[float, typer.Option(min=1, help="Time of each rate, after 5 s of warm-up.")] = 20,
    broker: broker_option = "apache",
    json_file: json_option = None,
    settings: settings_option = None,
) -> None:
    """Time from request to answer under open-loop load: hits, and misses on a 20 ms upstream."""
    from ops.bench.latency import measure

    try:
        numbers = [int(rate) for rate in rates.split(",")]
    except ValueError:
        fail(f"--rates {rates}: whole numbers, separated by commas")
    _bench(lambda ground: measure(ground, numbers, seconds), broker, json_file, settings)


@app.command()
def provider(
    seconds: Annotated[float, typer.Option(min=1, help="Time of each run, after 2 s of warm-up.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each, but of the proxy; medians are shown.")] = 3,
    litellm: Annotated[bool, typer.Option(help="Measure the LiteLLM proxy too.")] = True,
    broker: broker_option = "apache",
    json_file: json_option = None,
    settings: settings_option = None,
) -> None:
    """Provider calls a second and their cost over http and https, on a 20 ms upstream, beside the LiteLLM proxy and a bare
    aiohttp loop.
    """
    from ops.bench.provider import measure

    _bench(lambda ground: measure(ground, seconds, rounds, with_litellm=litellm), broker, json_file, settings)


@app.command()
def front(
    seconds: Annotated[float, typer.Option(min=1, help="Time of each run, after 5 s of warm-up.")] = 10,
    litellm: Annotated[bool, typer.Option(help="Measure the LiteLLM proxy too.")] = True,
    streams: Annotated[int, typer.Option(min=1, max=2000, help="Streams at a time, of 50 tokens/s each.")] = 200,
    held: Annotated[
        bool, typer.Option(help="Measure 1,000 open streams, 10,000 that wait, 500 that stopped, 200 that go away.")
    ] = True,
    broker: broker_option = "apache",
    json_file: json_option = None,
    settings: settings_option = None,
) -> None:
    """What the front adds to streams and answers, beside direct calls and the LiteLLM proxy; 1,000 open streams, 10,000
    requests that wait, 500 readers that stopped, 200 clients that go away.
    """
    from ops.bench.front import measure

    _bench(
        lambda ground: measure(ground, seconds, with_litellm=litellm, streams=streams, with_held=held),
        broker,
        json_file,
        settings,
        optimize=False,  # it is measured in its first minute, on the cores that the compiler would take
    )


@app.command()
def memory(
    records: Annotated[
        int, typer.Option(min=10_000, help="Records of the run; 5 million need 8 GB of disk.")
    ] = 5_000_000,
    broker: broker_option = "apache",
    json_file: json_option = None,
    settings: settings_option = None,
) -> None:
    """Resident memory of a worker over a long run of hits."""
    from ops.bench.memory import measure

    _bench(lambda ground: measure(ground, records), broker, json_file, settings)


@app.command()
def scale(
    records: Annotated[int, typer.Option(min=5_000, help="Records of a run.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each; medians are shown.")] = 3,
    broker: broker_option = "apache",
    json_file: json_option = None,
    settings: settings_option = None,
) -> None:
    """1, 2 and 4 workers; cost of a record as topic, number of agents and payload grow."""
    from ops.bench.scale import measure

    _bench(lambda ground: measure(ground, records, rounds), broker, json_file, settings)


def _bench(
    measure: "Callable[[Ground], Awaitable[Report]]",
    broker: str,
    json_file: Path | None,
    settings: Path | None,
    chart: Path | None = None,
    *,
    optimize: bool = True,
) -> None:
    """Stand up what it needs, measure, show. With `-` for the JSON, people have stderr."""
    import sys

    import orjson
    from rich.console import Console

    from ops.bench.ground import standing
    from ops.cli.running import run

    load(settings)  # benchmarks have settings of their own; checked, so that one --settings does for every command
    for file in (json_file, chart):
        if file is not None and not file.absolute().parent.is_dir():
            fail(f"{file}: there is no folder {file.absolute().parent}")
    to_stdout = json_file == Path("-")
    console = Console(stderr=to_stdout)
    if not console.is_terminal:
        console.width = _FILE_WIDTH

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    async def work() -> "Report":
        async with standing(broker, say, optimize=optimize) as ground:
            return await measure(ground)

    report = run(work())
    _show(report, console)
    if chart is not None:
        chart.write_text(_chart(report))
    if json_file is not None:
        text = orjson.dumps(report.values, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
        if to_stdout:
            sys.stdout.write(text)
        else:
            json_file.write_text(text)


def _show(report: "Report", console: "Console") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=report.title, title_justify="left", pad_edge=False)
    for place, column in enumerate(report.columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=True)
    for row in report.rows:
        table.add_row(*row)
    console.print(table)
    for line in (*report.notes, _machine(report)):
        console.print(line, highlight=False, soft_wrap=True)


def _machine(report: "Report") -> str:
    return ", ".join(f"{name} {value}" for name, value in report.values["machine"].items())


def _chart(report: "Report") -> str:
    from ops.bench.chart import bar_chart

    return bar_chart(report.title, report.bars, highlight="Headrace", unit="/s", note=_machine(report))
