"""Which store the settings mean: a ClickHouse server where they name one, else chDB."""

from schemas.clickhouse.store import Store
from schemas.errors import KbwatchError
from schemas.settings import StoreSettings


def open_store(settings: StoreSettings) -> Store:
    """Open it; to be closed by the caller.

    Raises StoreBusyError when chDB's folder belongs to another process, KbwatchError when the
    store can't be used, its server can't be reached or is too old, or its client is not installed.
    """
    if settings.cluster and not settings.host:
        raise KbwatchError("store.cluster needs a server: set store.host, chDB has no clusters")
    if settings.host:
        from schemas.clickhouse.server_store import ServerStore

        server = ServerStore(settings)
        try:
            server.check()
        except BaseException:
            server.close()
            raise
        return server
    from schemas.clickhouse.chdb_store import ChdbStore  # half a gigabyte: only when needed

    return ChdbStore(settings.path)
