"""Bring a store's tables up to date: numbered SQL files, each run once, in order.

A migration is ``migrations/NNNN_verb_noun.sql``: statements that end with ``;`` at the end of a
line, written so that running them again does no harm (a run may be cut off in the middle).
``kbw_migrations`` lists what ran.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from importlib import resources

from msgspec import Struct

from schemas.clickhouse.cluster import MIGRATION_LIST, rendered
from schemas.clickhouse.store import Store
from schemas.errors import KbwatchError

_NAME = re.compile(r"^(\d{4})_[a-z0-9]+(?:_[a-z0-9]+)+\.sql$")
_STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)

_CREATE_LIST = f"""
CREATE TABLE IF NOT EXISTS {MIGRATION_LIST}
(
    number UInt32,
    name String,
    checksum String,
    applied_ms DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(applied_ms)
ORDER BY number
"""


class Migration(Struct, frozen=True):
    """One numbered file of SQL statements."""

    number: int
    name: str
    sql: str

    @property
    def statements(self) -> list[str]:
        """The statements, without the ``;`` that ends each."""
        return [part.strip() for part in _STATEMENT_END.split(self.sql) if part.strip()]

    @property
    def checksum(self) -> str:
        """Tells whether an applied migration was changed afterwards."""
        return hashlib.sha256(self.sql.encode()).hexdigest()[:16]


def migrations() -> list[Migration]:
    """Every migration of this version of kbwatch, in order."""
    folder = resources.files("schemas.clickhouse").joinpath("migrations")
    found = []
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        match = _NAME.match(file.name)
        if match:
            found.append(Migration(int(match[1]), file.name.removesuffix(".sql"), file.read_text()))
    return found


def migrate(store: Store, steps: Sequence[Migration] | None = None, cluster: str = "") -> list[str]:
    """Run what has not run yet and return its names; nothing to do returns nothing.

    With ``cluster`` the tables are made on all its servers. Raises KbwatchError when the store is
    newer than this kbwatch, or when an applied migration was changed afterwards.
    """
    for statement in statements(_CREATE_LIST, cluster):
        store.query(statement, {})
    applied = []
    for step in _missing(store, migrations() if steps is None else steps):
        for part in step.statements:
            for statement in statements(part, cluster):
                store.query(statement, {})
        store.query(
            "INSERT INTO kbw_migrations SELECT {number:UInt32}, {name:String}, {checksum:String}, "
            "fromUnixTimestamp64Milli({now_ms:Int64}, 'UTC')",
            {
                "number": step.number,
                "name": step.name,
                "checksum": step.checksum,
                "now_ms": int(time.time() * 1000),
            },
        )
        applied.append(step.name)
    return applied


def statements(statement: str, cluster: str) -> list[str]:
    """What a migration's statement is on ``cluster``; without one, itself."""
    return rendered(statement, cluster) if cluster else [statement]


def script(cluster: str) -> str:
    """All that ``migrate`` would run on an empty store, to be read or run by hand."""
    parts = [_CREATE_LIST, *(part for step in migrations() for part in step.statements)]
    return "".join(
        f"{statement.strip()};\n\n" for part in parts for statement in statements(part, cluster)
    )


def pending(store: Store) -> list[str]:
    """Names of migrations that ``migrate`` would run; changes nothing. Raises as migrate does."""
    if not store.query("EXISTS TABLE kbw_migrations", {}).rows[0][0]:
        return [step.name for step in migrations()]
    return [step.name for step in _missing(store, migrations())]


def _missing(store: Store, steps: Sequence[Migration]) -> list[Migration]:
    rows = store.query("SELECT number, name, checksum FROM kbw_migrations FINAL", {}).rows
    done = {number: (name, checksum) for number, name, checksum in rows}
    known = {step.number: step for step in steps}
    for number, (name, checksum) in sorted(done.items()):
        if number not in known:
            raise KbwatchError(
                f"the store has migration {name}, which this kbwatch does not know: "
                "upgrade kbwatch, or choose another store.path"
            )
        if checksum != known[number].checksum:
            raise KbwatchError(
                f"migration {name} was changed after it ran on this store: "
                "put the file back and add a new migration instead"
            )
    return [step for step in steps if step.number not in done]
