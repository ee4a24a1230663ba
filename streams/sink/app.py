"""The sink: every topic into the store, and the named queries for everybody else."""

import time

import structlog

from schemas.clickhouse.migrate import migrate
from schemas.clickhouse.socket_store import QueryServer
from schemas.clickhouse.store import Store, StoreBusyError
from schemas.settings import Settings, StoreSettings
from streams.faust_app import make_app, run_worker
from streams.sink.agents import add_agents

_log = structlog.get_logger(__name__)

_BUSY_PATIENCE_S = 10.0


def run(settings: Settings) -> int:
    """Run the sink until SIGINT or SIGTERM; returns the exit code.

    Raises KbwatchError when the store can't be opened or migrated, when its socket is taken, and
    as ``run_worker`` does.
    """
    app = make_app(settings, "sink")
    store = _open_store(settings.store)
    try:
        migrate(store)
        server = QueryServer(settings.store.socket, store)
        try:
            names, topics = add_agents(app, settings, store)
            return run_worker(app, settings, names, topics)
        finally:
            server.close()
    finally:
        store.close()


def _open_store(settings: StoreSettings) -> Store:
    """The embedded store; a command that has it for a moment is waited for."""
    from schemas.clickhouse.chdb_store import ChdbStore

    deadline = time.monotonic() + _BUSY_PATIENCE_S
    while True:
        try:
            return ChdbStore(settings.path)
        except StoreBusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
