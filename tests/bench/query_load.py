"""A large fleet's rows, made by the engine itself, and every question of the boards asked of them.

10,000 nodes in 2,500 failover clusters for 60 days, each node heard of every five minutes in the
last seven; a KB on every node in the last week, 60 cases with 300 verdicts each.
"""

# ruff: noqa: S608 - the statements are made of this file's constants

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from dashboards.macros import Window, expand
from dashboards.sql import catalogue
from schemas.clickhouse.store import Store

NODES = 10_000
_DAY_MS = 86_400_000
_EXAMPLE = Path("schemas/examples/kbw-verdicts.halt.json")
_WINDOWS_S = {"cluster": 86_400, "pipeline": 21_600}
_WINDOW_S = 7 * 86_400
"""What the boards show at first; the default of those that are not named above."""
_CHOSEN = {
    "fleet": "default",
    "branch": "17763",
    "kb": "KB5062557",
    "node": "HV-C0007-N2",
    "cluster": "HV-C0007",
    "site": "$__all",
    "ring": "$__all",
}
# {n}: a number of a node; four nodes a cluster, 125 clusters a site.
_NODE = "concat('HV-C', leftPad(toString({n} % 2500), 4, '0'), '-N', toString(intDiv({n}, 2500)))"
_DOMAIN = "concat('HV-C', leftPad(toString({n} % 2500), 4, '0'))"
_SITE = "concat('S', toString({n} % 20))"
_NAMED = ("fleet, node, domain, site", f"'default', {_NODE}, {_DOMAIN}, {_SITE}")


def fill(store: Store, events: int, now_ms: int) -> None:
    """Put the fleet's rows into a migrated, empty store."""
    for statement in _statements(events, now_ms):
        store.query(statement, {})


def _statements(events: int, now_ms: int) -> list[str]:
    per_node = events // NODES
    gap_ms = 60 * _DAY_MS // per_node

    def rows(table: str, count: int, each: str, at: str, columns: dict[str, str]) -> str:
        """``at`` is Unix ms; ``{n}`` in a column is the node's number, ``number`` the row's."""
        names, values = _NAMED
        names += ", t_ms, _received_ms, _topic_partition, _offset, " + ", ".join(columns)
        time_of = f"fromUnixTimestamp64Milli(toInt64({at}), 'UTC')"
        made = f"{values}, {time_of}, {time_of} + INTERVAL 2 SECOND, "
        made += "concat('kbw-node-reports-', toString({n} % 4)), intDiv(number, 50), "
        made += ", ".join(columns.values())
        return (
            f"INSERT INTO {table} ({names}) SELECT {made.replace('{n}', each)} "
            f"FROM numbers({count}) SETTINGS max_insert_threads = 2, optimize_on_insert = 0"
        )

    by_time = f"number % {NODES}", f"intDiv(number, {NODES})"
    started_ms = now_ms - 60 * _DAY_MS
    statements = [
        rows(
            "node_events",
            events,
            by_time[0],
            f"{started_ms} + {by_time[1]} * {gap_ms} + number % {gap_ms}",
            {
                "channel": "'System'",
                "provider": "['Service Control Manager', 'Microsoft-Windows-FailoverClustering', "
                "'Microsoft-Windows-WindowsUpdateClient', 'EventLog'][1 + rand(1) % 4]",
                "id": "[7036, 7031, 1135, 19, 6013, 1672, 5120][1 + rand(2) % 7]",
                "level": "1 + rand(3) % 4",
                "record_id": by_time[1],
                "data": "map('param1', ['Cluster Service', 'BITS', 'Spooler'][1 + rand(4) % 3], "
                "'param2', toString(rand(5) % 1000000))",
            },
        ),
        rows(
            "heartbeats",
            NODES * 7 * 288,
            by_time[0],
            f"{now_ms - 7 * _DAY_MS} + {by_time[1]} * 300000 + {by_time[0]} * 30",
            {
                "sent_ms": f"{now_ms - 7 * _DAY_MS} + {by_time[1]} * 300000",
                "heartbeat_s": "300",
                "collector": "'kbwatch 0.1'",
                "newest_record_ids": "map('System', number)",
                "lags_s": "map('System', number % 5)",
            },
        ),
        rows(
            "node_facts",
            NODES * 60,
            by_time[0],
            f"{started_ms} + {by_time[1]} * {_DAY_MS} + {by_time[0]}",
            {
                "role": "'hyperv'",
                "branch": "'17763'",
                "cluster": _DOMAIN,
                "ring": "concat('ring', toString({n} % 4))",
                "covariates": "map('csv_bitlocker', toString({n} % 3 = 0), 's2d', 'true', "
                "'backup_age_h', '7', 'bitlocker_key_escrow', 'true')",
            },
        ),
        rows(
            "boots",
            NODES * 12,
            by_time[0],
            f"{started_ms} + {by_time[1]} * 5 * {_DAY_MS} + {by_time[0]} * 1000",
            {"build": "concat('17763.', toString(7000 + intDiv(number, 40000)))", "record_id": "1"},
        ),
        rows(
            "patch_states",
            NODES * 24,
            by_time[0],
            f"{started_ms} + {by_time[1]} * 2 * {_DAY_MS} + {by_time[0]} * 1000",
            {
                "kb": "concat('KB50625', toString(57 - intDiv(number, 80000)))",
                "state": f"['staged', 'installing', 'offered', 'effective'][1 + {by_time[1]} % 4]",
                "source": "'wuclient/19'",
                "build": "'17763.7003'",
                "record_id": "number",
            },
        ),
        "INSERT INTO onsets (fleet, branch, domain, site, role, node, signature, cls, impact, "
        "first_ms, last_ms, record_id, _received_ms) "
        f"SELECT 'default', '17763', {_DOMAIN}, {_SITE}, 'hyperv', {_NODE}, "
        "concat('scm/', toString(number % 90)), 'service', ['outage', 'none'][1 + number % 2], "
        f"fromUnixTimestamp64Milli({started_ms} + number * 20000, 'UTC') AS at, at, number, at "
        "FROM numbers(250000)",
    ]
    return [text.replace("{n}", by_time[0]) for text in statements] + _history(now_ms)


def _history(now_ms: int) -> list[str]:
    """60 cases with 300 verdicts each, ten of them halted."""
    body = _EXAMPLE.read_text().replace("'", "")
    example = json.loads(body)
    case = "if(number % 60 = 0, 'KB5062557@17763', concat('KB', toString(5062000 + number % 60), "
    case += "'@17763'))"
    at = f"fromUnixTimestamp64Milli(toInt64({now_ms} - 6 * {_DAY_MS} "
    at += "+ intDiv(number, 60) * 1700000), 'UTC')"
    shared = f"'default', {case} AS one, splitByChar('@', one)[1], '17763', '17763.7558'"
    victims = [f"HV-C{number:04d}-N1" for number in range(40)]
    return [
        "INSERT INTO verdicts (fleet, case_id, kb, branch, build, state, sentence, started_ms, "
        "asof_ms, exposed, controls, victims, signature, log_e, log_c, log_h, log_threshold, "
        "left_untouched, left_staged, victim_nodes, reasons, digest, body, _received_ms) "
        f"SELECT {shared}, if(number % 6 = 0, 'halt', 'quiet'), 'it breaks ClusSvc', "
        f"{now_ms - 7 * _DAY_MS}, {at} AS at, number, 9000, number % 50, 'scm/clussvc', 6, 4, 2, "
        f"{example['log_threshold']}, 37, 5, {victims}, ['one'], toString(number), '{body}', at "
        "FROM numbers(18000)",
        "INSERT INTO halts (fleet, case_id, kb, branch, build, halt_id, state, mode, sentence, "
        "at_ms, who, crossed_ms, victims, digest, body, _received_ms) "
        f"SELECT {shared}, toString(number % 60), 'active', 'auto', 'it breaks ClusSvc', "
        f"{at} AS at, 'policy', at, 4, toString(number), '{{}}', at "
        "FROM numbers(60) WHERE number % 6 = 0",
        "INSERT INTO dead_letters (origin_topic, origin_partition, origin_offset, reason, digest, "
        "_received_ms) SELECT 'kbw-node-reports', number % 4, number, 'malformed', "
        f"toString(number), fromUnixTimestamp64Milli(toInt64({now_ms} - number * 60000), 'UTC') "
        "FROM numbers(5000)",
    ]


def query_p95_ms(
    store: Store, now_ms: int, rounds: int, told: Callable[[str, float], None]
) -> dict[str, float]:
    """The 95th percentile (of few rounds: the slowest) of each question of the boards, ms."""
    found = {}
    for name, query in catalogue().items():
        window_s = _WINDOWS_S.get(name.partition("_")[0], _WINDOW_S)
        sql = expand(query.sql, Window(now_ms - window_s * 1000, now_ms, window_s // 600), _CHOSEN)
        took = []
        for _ in range(rounds):
            begin = time.perf_counter()
            store.query(sql, {})
            took.append((time.perf_counter() - begin) * 1000)
        found[name] = round(statistics.quantiles(took, n=20, method="inclusive")[-1], 1)
        told(name, found[name])
    return found
