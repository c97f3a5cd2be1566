"""`headrace cache`: what is cached, and how to clear it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.console import CANNOT_START, FOUND_WRONG, JsonOption, fail, load, print_json, say, settings_option

if TYPE_CHECKING:
    from ops.admin.cache import StoreView
    from streams.settings import Settings

_EXAMPLES = """
Examples:

    headrace cache stats                               the stores on this machine

    headrace cache stats --worker 127.0.0.1:9464       and a running worker's hits and misses

    headrace cache get request.json                    is this request's answer cached?

    headrace cache purge --yes                         forget everything, on all workers
"""

app = typer.Typer(help="Look into the answer cache and clear it.", no_args_is_help=True, epilog=_EXAMPLES)


@app.callback()
def group() -> None:
    """Look into the answer cache and clear it."""


@app.command()
def stats(
    worker: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="Also the figures of a running worker, from its /metrics. Repeatable."),
    ] = None,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Show the stores below cache.disk.path, in use or not. Exit 1 if one cannot be read."""
    from ops.admin.cache import views, worker_figures
    from ops.cli.running import run

    loaded = load(settings)
    stores = views(loaded.cache.disk.path)
    try:
        workers = {address: run(worker_figures(address)) for address in worker or []}
    except OSError as error:
        fail(str(error))
    if as_json:
        print_json({"stores": stores, "workers": workers})
    else:
        for store in stores:
            say(_line(store))
        if not stores:
            say(f"no stores below {loaded.cache.disk.path}")
        for address, figures in workers.items():
            say(f"worker {address}")
            for name, value in sorted(figures.items()):
                say(f"  {name:28}{value:>16,.0f}")
    if any(store.error for store in stores):
        raise typer.Exit(FOUND_WRONG)


@app.command()
def get(
    what: Annotated[str, typer.Argument(metavar="KEY|FILE|-", help="A key (32 hex digits), or a request as JSON.")],
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Print the entry under a key, or the cached answer to a request. Exit 1 if there is none."""
    import time

    import orjson

    from ops.admin.cache import find_entry

    loaded = load(settings)
    key = _key(what, loaded)
    found = find_entry(loaded.cache.disk.path, key)
    if found is None:
        fail(f"not cached here: {key.hex()}", FOUND_WRONG)
    details = {"key": key.hex(), **found.details(time.time())}
    if as_json:
        print_json(details)
    else:
        for name in ("key", "store", "bytes", "expires_in_s"):
            say(f"{name + ':':15}{details[name]}")
        say(orjson.dumps(details["entry"], option=orjson.OPT_INDENT_2).decode())
    if details["expired"]:
        fail("the entry is expired: a worker does not serve it", FOUND_WRONG)


@app.command()
def purge(
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY|FILE]...", help="These only; else all.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really delete; without it, say what would be deleted.")] = False,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Delete entries from every worker's memory and disk, now, through the topic; stopped workers read it when they start."""
    from ops.cli.running import run

    loaded = load(settings)
    chosen = {_key(each, loaded) for each in keys or []}
    count = run(_purge(loaded, chosen, really=yes))
    if yes:
        from ops.cli.pause import note_in_audit

        keys_told = sorted(key.hex() for key in chosen) if 0 < len(chosen) <= 100 else None
        note_in_audit(loaded, "purge", f"{count} entries deleted", count, keys=keys_told)
    if as_json:
        print_json({"dry_run": not yes, "entries": count})
    else:
        say(
            f"{count} {'entry' if count == 1 else 'entries'} "
            + ("deleted" if yes else "would be deleted; --yes deletes")
        )


@app.command()
def compact(as_json: JsonOption = False, settings: settings_option = None) -> None:
    """Drop what is too old from the stores of stopped workers and give the room back; running workers do it by themselves."""
    from ops.admin.cache import compact as compact_stores
    from ops.admin.cache import table_options
    from ops.cli.running import run

    loaded = load(settings)
    came = run(compact_stores(loaded.cache.disk.path, table_options(loaded)))
    _report(came, loaded, as_json=as_json)


@app.command()
def rebuild(
    yes: Annotated[bool, typer.Option("--yes", help="Really delete; without it, say what would be deleted.")] = False,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Delete the stores of stopped workers, damaged ones too; workers fill them again from the topic when they start."""
    from ops.cli.running import run
    from streams.cache.lock import lock_owner
    from streams.cache.store_dirs import rebuild as delete_stores
    from streams.cache.store_dirs import store_dirs

    loaded = load(settings)
    root = loaded.cache.disk.path
    owners = {path: lock_owner(path) for path in store_dirs(root)}
    try:
        deleted = run(delete_stores(root)) if yes else [path for path, owner in owners.items() if owner is None]
    except OSError as error:
        fail(f"a store cannot be deleted: {error}")
    done = "deleted" if yes else "would be deleted; --yes deletes"
    came = {str(path): done if path in deleted else f"left alone: open in {owner}" for path, owner in owners.items()}
    _report(came, loaded, as_json=as_json)


async def _purge(settings: "Settings", chosen: set[bytes], *, really: bool) -> int:
    from ops.admin.cache import delete_keys, live_keys

    client_options, topic = settings.kafka.client_options(), settings.topics.names.cache_entries
    keys = await live_keys(client_options, topic, chosen)
    if really:
        await delete_keys(client_options, topic, keys)
    return len(keys)


def _key(what: str, settings: "Settings") -> bytes:
    """A key as given, or that of the request in a file; or the end of the command."""
    import sys

    from pydantic import ValidationError

    from ops.admin.cache import request_key
    from schemas.errors import explain

    if re.fullmatch(r"[0-9a-fA-F]{32}", what):
        return bytes.fromhex(what)
    try:
        value = sys.stdin.buffer.read() if what == "-" else Path(what).read_bytes()
    except OSError as error:
        fail(f"{what} is no key (32 hex digits) and no file: {error.strerror}", CANNOT_START)
    try:
        return request_key(value, settings.cache.namespace)
    except ValueError as error:
        fail(f"{what}: {explain(error) if isinstance(error, ValidationError) else error}")


def _report(came: dict[str, str], settings: "Settings", *, as_json: bool) -> None:
    if as_json:
        print_json({"stores": came})
        return
    for path, what in came.items():
        say(f"{path}  {what}")
    if not came:
        say(f"no stores below {settings.cache.disk.path}")


def _line(store: "StoreView") -> str:
    if store.error is not None:
        return f"{store.path}  cannot be read: {store.error}"
    cells: dict[str, Any] = {
        "entries": f"about {store.entries:,}",
        "disk": f"{store.disk_bytes / 1e6:,.1f} MB",
        "files": store.files,
        "read up to": " ".join(f"{partition}:{offset}" for partition, offset in store.positions.items()) or "nothing",
    }
    return f"{store.path}  ({store.open_in or 'free'})  " + ", ".join(
        f"{name} {value}" for name, value in cells.items()
    )
