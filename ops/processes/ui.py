"""The process around the control room: checks before the start, the readers, the pages, the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import structlog

from ops.admin.actions import write
from ops.processes.health import serve_health
from ops.processes.log_file import reopening
from ops.processes.reload import Reload
from ops.processes.service import CannotStartError, Stop, check_start, unless
from ops.processes.settings_file import NO_FILE, SettingsFile
from ops.ui.access import Access
from ops.ui.app import ui_app
from ops.ui.fleet import FleetView
from ops.ui.fleet_reader import FleetReader
from ops.ui.index.forgetting import Forgetting
from ops.ui.index.reader import IndexReader
from ops.ui.index.retention import RetentionSweeper, kept_by_tenant
from ops.ui.index.store import IndexStore
from ops.ui.records import RecordFinder
from ops.ui.room import Room
from ops.ui.sessions import Role, Sessions
from streams.actions.audit import AdminView
from streams.actions.reader import AdminReader
from streams.actions.wire import Noted
from streams.front.guards import Bounds, most_connections
from streams.front.listener import listening
from streams.hosts import is_loopback
from streams.limits.build import limit_amounts, shared_budgets
from streams.limits.worker.shared_budget import SharedBudget
from streams.settings import Effective, Settings
from streams.supervise import end, supervised
from streams.unhandled import Unhandled
from topics.access import READ, READ_WRITE, WRITE
from topics.plan import Needs

log = structlog.get_logger("headrace.ui")

_CONNECTIONS: Final = 1_000
_BOUNDS: Final = partial(Bounds, head_s=10.0, body_s=10.0, idle_s=75.0)
_LAST_ANSWERS_S: Final = 3.0


def topics_of_ui(settings: Settings, *, may_act: bool) -> Needs:
    """What the control room reads, and writes where somebody may act."""
    names = settings.topics.names
    acting = {names.admin: READ_WRITE, names.cancels: WRITE} if may_act else {names.admin: READ}
    read = (
        *names.requests,
        *names.all_responses,
        names.front_responses,
        *names.all_dead_letters,
        names.leases,
        names.metric_samples,
        names.metric_windows,
        names.cost_windows,
        *((names.budget_ledger, names.budget_state) if settings.budgets else ()),
        names.scaling_decisions,
        names.scaling_events,
    )
    return {**dict.fromkeys(read, READ), **acting}


async def run_ui(effective: Effective, file: SettingsFile = NO_FILE) -> None:
    """Run until SIGTERM or SIGINT. Raises CannotStartError, IndexOpenError, SettingsError, OSError where the address is taken."""
    settings, unhandled, stop = effective.settings, Unhandled.watch(), Stop.on_signals()
    host, _, port = settings.ui.listen.rpartition(":")
    host = host.strip("[]")
    access = Access(settings.ui, Sessions(_tokens(settings)))
    if access.open_to_all and not is_loopback(host):
        raise CannotStartError(
            f"ui.listen = {settings.ui.listen!r}: pages without a login serve this machine alone, 127.0.0.1 or [::1]; set "
            "ui.viewer_token_env or ui.operator_token_env, or ui.proxy"
        )
    await check_start(settings, topics_of_ui(settings, may_act=access.may_act))
    options, names = settings.kafka.client_options(), settings.topics.names
    async with AsyncExitStack() as stack:
        store = IndexStore(settings.ui.path, keep=settings.ui.keep, disk_bytes=settings.ui.disk)
        stack.callback(store.close)
        reader = IndexReader(options, names, store)
        stack.push_async_callback(reader.stop)
        reader.start()
        sweeper = RetentionSweeper(store, reader.places, kept_by_tenant(settings))
        stack.push_async_callback(partial(end, [supervised("ui_retention", sweeper.run)]))
        books = _books(settings)
        fleet = fleet_view(settings, books)
        reload = Reload(file, settings, "ui", [partial(_prepare, books)], [reopening()])
        stack.push_async_callback(reload.stop)
        reload.start()
        fleet_reader = FleetReader(options, fleet)
        stack.push_async_callback(fleet_reader.stop)
        fleet_reader.start()
        admin = AdminView()
        forgetting = Forgetting(store, reader.caught_up, partial(write, settings) if access.may_act else None)
        stack.push_async_callback(forgetting.stop)

        def note(noted: Noted) -> None:
            admin.note(noted)
            forgetting.take(noted, is_new=actions.caught_up.is_set())

        actions = AdminReader(options, names.admin, note, committed=True, on_anew=admin.clear)
        stack.push_async_callback(actions.stop)
        actions.begin()
        finder = RecordFinder(options)
        stack.push_async_callback(finder.stop)
        room = Room(effective, store, reader, fleet, fleet_reader, finder, access, admin)

        def ready() -> bool:
            return reader.caught_up.is_set() and actions.caught_up.is_set() and not unhandled.happened

        health = await stack.enter_async_context(
            serve_health(settings.http.listen, ready, private={"/settings": reload.document})
        )
        app = ui_app(room, ready)
        address = await stack.enter_async_context(
            listening(app, host, int(port), _BOUNDS(most_connections(_CONNECTIONS)), last_answers_s=_LAST_ANSWERS_S)
        )
        stack.callback(room.stopping.set)
        log.info("ready", http=health, listen=address, requests=store.total)
        broken = asyncio.create_task(unhandled.wait())
        stack.callback(broken.cancel)
        await unless(stop.asked, broken)


def fleet_view(settings: Settings, books: SharedBudget | None = None) -> FleetView:
    """A view of a fleet with these settings, before anything was read."""
    books = books or _books(settings)
    return FleetView(settings.topics.names, round(settings.metrics.interval * 1000), books.grantor)


def _books(settings: Settings) -> SharedBudget:
    return shared_budgets(settings, "ui", waiting=dict, alive=lambda: False)


def _prepare(books: SharedBudget, settings: Settings) -> Callable[[], None]:
    """The limits' page shows how much of the limits in force is used."""
    amounts = limit_amounts(settings)
    return lambda: books.change_limits({name: amounts[name] for name in amounts.keys() & books.limits.keys()})


def _tokens(settings: Settings) -> dict[Role, str]:
    roles: tuple[Role, ...] = ("viewer", "operator")
    return {role: token for role in roles if (token := settings.ui.token(role)) is not None}
