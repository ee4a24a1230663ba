"""The sink: every topic into the store, and the named queries for everybody else."""

import gc
import time

import structlog

from schemas import log
from schemas.clickhouse.cluster import altered
from schemas.clickhouse.migrate import migrate
from schemas.clickhouse.opening import open_store
from schemas.clickhouse.retention import OtherTtl, in_words, keep, others
from schemas.clickhouse.socket_store import QueryServer
from schemas.clickhouse.store import Store, StoreBusyError
from schemas.settings import Settings, StoreSettings
from streams.faust_app import make_app, run_worker
from streams.sink.agents import add_agents

_log = structlog.get_logger(__name__)

_BUSY_PATIENCE_S = 10.0
# A batch is some 100,000 records that live and die together. By default Python would look through
# them for cycles hundreds of times while they are made, which takes as long as decoding them.
_OBJECTS_BETWEEN_COLLECTIONS = 200_000


def run(settings: Settings) -> int:
    """Run the sink until SIGINT or SIGTERM; returns the exit code.

    Raises KbwatchError when the store can't be opened or migrated, when its socket is taken, and
    as ``run_worker`` does.
    """
    log.configure(settings.log_level, settings.log_format)
    app = make_app(settings, "sink")
    store = _open_store(settings.store)
    try:
        bring_up(store, settings)
        server = QueryServer(settings.store.socket, store)
        try:
            names, topics = add_agents(app, settings, store)
            gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
            return run_worker(app, settings, names, topics)
        finally:
            server.close()
    finally:
        store.close()


def bring_up(store: Store, settings: Settings) -> None:
    """Make tables and TTLs those of the settings; tell where there was another TTL before.

    Nothing is told of tables that are made here. Raises as ``migrate`` does.
    """
    cluster = settings.store.cluster
    for other in others(store, settings.retention, cluster):
        _log.warning(
            "a table kept rows otherwise than the settings say",
            table=other.table,
            found=other.ttl if other.days is None else in_words(other.days),
            wanted=in_words(other.wanted),
            do=_advice(other, cluster),
        )
    migrate(store, cluster=cluster)
    keep(store, settings.retention, cluster)


def _advice(other: OtherTtl, cluster: str) -> str:
    if other.days is None:
        return (
            "left alone, because kbwatch did not write this TTL; if it is not meant, run "
            f"{altered(other.table, 'REMOVE TTL', cluster)}, then `kbwatch store migrate`"
        )
    shorter = other.wanted and (other.wanted < other.days or not other.days)
    deletes = ", so older rows leave at the next merges" if shorter else ""
    return (
        f"set to what the settings say, as `kbwatch store migrate` does{deletes}; if the database "
        f"was right, set retention.{other.table}_days = {other.days} and start again"
    )


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
