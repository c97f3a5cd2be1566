"""`headrace provider-sim`: the provider simulator in the foreground."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import fail, load, settings_option

if TYPE_CHECKING:
    from ops.provider_sim import SimSettings

app = typer.Typer(help="Run a simulated LLM provider.")

_EXAMPLES = """
Examples:

    headrace provider-sim --port 8080 --latency 200ms

    headrace provider-sim --ttft 300ms --per-token 20ms --jitter 0.3 --seed 7

    headrace provider-sim --limit token_bucket --limit-requests 3500 --limit-tokens 90000

    headrace provider-sim --error-share 0.05 --error-status 503 --rate-limited-share 0.02 --ledger calls.jsonl

    headrace provider-sim --tls-cert cert.pem --tls-key key.pem      HTTP/2
"""


@app.command(epilog=_EXAMPLES)
def run(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 chooses a free one.")] = 8080,
    latency: Annotated[str, typer.Option(metavar="TIME", help="Time of every answer, like 200ms.")] = "0ms",
    ttft: Annotated[str, typer.Option(metavar="TIME", help="Time to the first token, added to --latency.")] = "0ms",
    per_token: Annotated[str, typer.Option(metavar="TIME", help="Time for each completion token, added.")] = "0ms",  # noqa: S107
    jitter: Annotated[float, typer.Option(help="Sigma of the lognormal factor on the time; 0 is none.")] = 0,
    seed: Annotated[int, typer.Option(help="Of jitter and faults.")] = 0,
    limit: Annotated[str, typer.Option(help="How limits are enforced: none, token_bucket or sliding_window.")] = "none",
    limit_requests: Annotated[int, typer.Option(help="Requests a minute, for each model.")] = 3500,
    limit_tokens: Annotated[int, typer.Option(help="Tokens a minute, for each model.")] = 90_000,
    limit_charge: Annotated[
        str, typer.Option(help="Tokens that a call is charged: those `used`, or those `reserved` by max_tokens.")
    ] = "used",
    outage: Annotated[str, typer.Option(help="none, refuse, hang, error, reset or slow_drip: of every call.")] = "none",
    error_share: Annotated[float, typer.Option(help="Share of calls answered with --error-status.")] = 0,
    error_status: Annotated[int, typer.Option(help="Status of these errors.")] = 500,
    rate_limited_share: Annotated[float, typer.Option(help="Share of calls answered with 429 and Retry-After.")] = 0,
    retry_after: Annotated[str, typer.Option(metavar="TIME", help="Retry-After of these.")] = "1s",
    hang_share: Annotated[float, typer.Option(help="Share of calls never answered.")] = 0,
    reset_share: Annotated[float, typer.Option(help="Share of calls whose connection is reset.")] = 0,
    invalid_json_share: Annotated[float, typer.Option(help="Share of answers that are no JSON.")] = 0,
    truncated_share: Annotated[float, typer.Option(help="Share of answers that end in the middle.")] = 0,
    stall_share: Annotated[float, typer.Option(help="Share of answers that stop in the middle and stay open.")] = 0,
    slow_drip_share: Annotated[float, typer.Option(help="Share of answers that come a byte a second.")] = 0,
    answer_bytes: Annotated[int, typer.Option(help="At least this much text in every chat answer.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse messages that the Anthropic API refuses.")] = False,
    ledger: Annotated[Path | None, typer.Option(help="Append a JSON line for each call's arrival and end.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate (PEM): serve HTTPS and HTTP/2.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    settings_file: settings_option = None,
) -> None:
    """A provider in the OpenAI and Anthropic formats with a latency model, deterministic answers and faults; Ctrl-C stops it."""
    from pydantic import ValidationError

    from ops.provider_sim import SimSettings

    load(settings_file)  # nothing in it is for the simulator; checked, so that one --settings does for every command
    times_ms = {}
    for name, given in (("latency", latency), ("ttft", ttft), ("per-token", per_token), ("retry-after", retry_after)):
        times_ms[name] = _milliseconds(name, given)
    try:
        settings = SimSettings.model_validate(
            {
                "latency_ms": times_ms["latency"],
                "ttft_ms": times_ms["ttft"],
                "per_token_ms": times_ms["per-token"],
                "jitter": jitter,
                "seed": seed,
                "limit": limit,
                "limit_requests": limit_requests,
                "limit_tokens": limit_tokens,
                "limit_charge": limit_charge,
                "outage": outage,
                "error_share": error_share,
                "error_status": error_status,
                "rate_limited_share": rate_limited_share,
                "retry_after_s": times_ms["retry-after"] / 1000,
                "hang_share": hang_share,
                "reset_share": reset_share,
                "invalid_json_share": invalid_json_share,
                "truncated_share": truncated_share,
                "stall_share": stall_share,
                "slow_drip_share": slow_drip_share,
                "answer_bytes": answer_bytes,
                "strict": strict,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        fail(f"provider-sim: {where}{': ' if where else ''}{first['msg']}")
    if (tls_cert is None) != (tls_key is None):
        fail("provider-sim: --tls-cert and --tls-key belong together")
    try:
        if tls_cert is not None and tls_key is not None:
            asyncio.run(_serve_http2(settings, tls_cert, tls_key, host, port, ledger))
        else:
            asyncio.run(_serve(settings, host, port, ledger))
    except ImportError as error:
        fail(f"provider-sim: HTTP/2 needs the extra sim-http2 (pip install 'headrace[sim-http2]'): {error}")
    except OSError as error:
        fail(f"provider-sim cannot start: {error}")


def _milliseconds(name: str, given: str) -> float:
    from streams.settings.units import parse_duration

    try:
        return parse_duration(given) * 1000
    except ValueError as error:
        fail(f"--{name}: {error}")


async def _serve(settings: "SimSettings", host: str, port: int, ledger: Path | None) -> None:
    from ops.provider_sim import ProviderSim

    stop = _stop_on_signal()
    async with ProviderSim(settings, host=host, port=port, ledger=ledger) as simulator:
        print(f"provider simulator listens on {simulator.url}", flush=True)
        print(f"its switches, during outages too, are at {simulator.admin_url}", flush=True)
        await stop.wait()


async def _serve_http2(
    settings: "SimSettings", certificate: Path, key: Path, host: str, port: int, ledger: Path | None
) -> None:
    from ops.provider_sim.http2 import Http2ProviderSim

    stop = _stop_on_signal()
    async with Http2ProviderSim(certificate, key, settings, host=host, port=port, ledger=ledger) as simulator:
        print(f"provider simulator listens on {simulator.url}", flush=True)
        await stop.wait()


def _stop_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
