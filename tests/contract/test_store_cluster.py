"""The tables on a cluster: read by the engine here, never run on a cluster."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.cluster import rendered
from schemas.clickhouse.migrate import migrations, script
from schemas.clickhouse.queries import QUERIES
from schemas.clickhouse.store import Result
from schemas.clickhouse.tables import TABLES
from schemas.clickhouse.verify import differences
from schemas.errors import KbwatchError
from schemas.settings import RetentionSettings

_USERS = Path(__file__).parents[2] / "deploy" / "clickhouse" / "users.sql"


class TestTablesOfACluster:
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[ChdbStore]:
        engine = ChdbStore(tmp_path / "store")
        yield engine
        engine.close()

    def test_every_statement_can_be_read_by_the_engine(self, engine: ChdbStore) -> None:
        made = [part for part in script("kbw").split(";\n\n") if part.strip()]
        for statement in made:
            engine.query("SELECT formatQuery({text:String})", {"text": statement})
        assert len(made) == 1 + 2 * sum(len(step.statements) for step in migrations())

    def test_the_users_of_a_server_can_be_read_by_the_engine(self, engine: ChdbStore) -> None:
        made = [part for part in _USERS.read_text().split(";\n") if part.strip()]
        for statement in made:
            engine.query("SELECT formatQuery({text:String})", {"text": statement})
        assert len(made) > 5

    def test_each_table_is_distributed_over_replicated_ones_by_its_identity(self) -> None:
        text = script("kbw")
        assert text.count("ReplicatedReplacingMergeTree(") == 1 + len(TABLES)
        for table in TABLES.values():
            spread = re.search(
                rf"CREATE TABLE IF NOT EXISTS {table.name} ON CLUSTER 'kbw' AS {table.name}_local\n"
                rf"ENGINE = Distributed\('kbw', currentDatabase\(\), '{table.name}_local', "
                r"cityHash64\((.*)\)\)",
                text,
            )
            assert spread, table.name
            # Copies of a row must meet on one shard, or FINAL can't make them one.
            assert set(spread[1].split(", ")) <= set(table.identity), table.name

    def test_without_a_cluster_nothing_is_replicated(self) -> None:
        assert "Replicated" not in script("")
        assert "ON CLUSTER" not in script("")

    def test_a_column_is_added_where_the_rows_are_before_it_is_asked_for(self) -> None:
        change = "ADD COLUMN IF NOT EXISTS flag Bool DEFAULT a"
        assert rendered(f"-- Why.\n\nALTER TABLE boots {change}", "kbw") == [
            f"ALTER TABLE boots_local ON CLUSTER 'kbw' {change}",
            f"ALTER TABLE boots ON CLUSTER 'kbw' {change}",
        ]

    def test_a_statement_without_a_form_for_clusters_is_refused(self) -> None:
        with pytest.raises(KbwatchError, match="no form for a cluster: RENAME TABLE a TO b"):
            rendered("RENAME TABLE a TO b", "kbw")

    def test_its_tables_are_compared_too(self) -> None:
        told = differences(self.answers, RetentionSettings(), "kbw")
        assert told == []

    def answers(self, name: str, _: Mapping[str, str | int]) -> Result:
        """What a server of a cluster answers after `kbwatch store migrate --cluster kbw`."""
        days = RetentionSettings().days
        if name == "store_migrations":
            rows: list[tuple[Any, ...]] = [
                (step.number, step.name, step.checksum, 0) for step in migrations()
            ]
        elif name == "store_tables":
            rows = [("kbw_migrations", "ReplicatedReplacingMergeTree", "number", "", "")]
            for one in TABLES.values():
                ttl = f"x TTL toDateTime(_received_ms) + toIntervalDay({days(one.name)}) SETTINGS y"
                key = ", ".join(one.identity)
                engine = "ReplicatedReplacingMergeTree"
                rows += [
                    (f"{one.name}_local", engine, key, "toYYYYMM(_received_ms)", ttl),
                    (one.name, "Distributed", "", "", "Distributed('kbw')"),
                ]
        else:
            rows = [
                (f"{one.name}{suffix}", column.name, column.type)
                for one in TABLES.values()
                for suffix in ("", "_local")
                for column in one.columns
            ]
        return Result(QUERIES[name].columns, tuple(rows))
