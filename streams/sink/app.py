"""The sink: every topic into the store, and the named queries for everybody else."""

import gc
import time

from schemas.clickhouse.migrate import migrate
from schemas.clickhouse.opening import open_store
from schemas.clickhouse.retention import keep
from schemas.clickhouse.socket_store import QueryServer
from schemas.clickhouse.store import Store, StoreBusyError
from schemas.settings import Settings, StoreSettings
from streams.faust_app import make_app, run_worker
from streams.sink.agents import add_agents

_BUSY_PATIENCE_S = 10.0
# A batch is some 100,000 records that live and die together. By default Python would look through
# them for cycles hundreds of times while they are made, which takes as long as decoding them.
_OBJECTS_BETWEEN_COLLECTIONS = 200_000


def run(settings: Settings) -> int:
    """Run the sink until SIGINT or SIGTERM; returns the exit code.

    Raises KbwatchError when the store can't be opened or migrated, when its socket is taken, and
    as ``run_worker`` does.
    """
    app = make_app(settings, "sink")
    store = _open_store(settings.store)
    try:
        migrate(store, cluster=settings.store.cluster)
        keep(store, settings.retention, settings.store.cluster)
        server = QueryServer(settings.store.socket, store)
        try:
            names, topics = add_agents(app, settings, store)
            gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
            return run_worker(app, settings, names, topics)
        finally:
            server.close()
    finally:
        store.close()


def _open_store(settings: StoreSettings) -> Store:
    """The store; a command that has the embedded one for a moment is waited for."""
    deadline = time.monotonic() + _BUSY_PATIENCE_S
    while True:
        try:
            return open_store(settings)
        except StoreBusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
