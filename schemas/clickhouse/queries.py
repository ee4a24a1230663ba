"""Named queries: everything that may be asked of a store from outside. All of them only read."""

from collections.abc import Mapping

from schemas.clickhouse.named_query import NamedQuery, Param
from schemas.clickhouse.queries_about_store import ABOUT_STORE
from schemas.clickhouse.store import Result, Store
from schemas.clickhouse.tables import RECORD_TABLES
from schemas.errors import KbwatchError

_TEXT = Param("String")
_FLEET = Param("String", "default")
_SINCE = Param("Int64", 0)
_UNTIL = Param("Int64", 4_102_444_800_000)
_LIMIT = Param("UInt32", 1000)

_DECLARED = (
    NamedQuery(
        name="record_counts",
        doc="Distinct stored records by table: events, patch states, boots, facts, heartbeats.",
        params={},
        columns=("table", "records"),
        sql="\nUNION ALL\n".join(
            f"SELECT '{table}' AS table, count() AS records FROM {table} FINAL"  # noqa: S608 - our names
            for table in RECORD_TABLES
        ),
    ),
    NamedQuery(
        name="dead_letter_count",
        doc="Distinct dead-lettered messages by topic and reason.",
        params={},
        columns=("topic", "reason", "messages"),
        sql="""
SELECT origin_topic AS topic, reason, count() AS messages
FROM dead_letters FINAL
GROUP BY topic, reason
ORDER BY topic, reason""",
    ),
    NamedQuery(
        name="node_timeline",
        doc="What one node said between two instants, oldest first, without its heartbeats.",
        params={
            "fleet": _FLEET,
            "node": _TEXT,
            "since_ms": _SINCE,
            "until_ms": _UNTIL,
            "limit": _LIMIT,
        },
        columns=("t_ms", "kind", "what", "detail", "record_id"),
        sql="""
SELECT t_ms, kind, what, detail, record_id
FROM
(
    SELECT t_ms, 'event' AS kind, concat(provider, ' ', toString(id)) AS what,
        toJSONString(data) AS detail, record_id, fleet, node
    FROM node_events FINAL
    UNION ALL
    SELECT t_ms, 'boot' AS kind, build AS what,
        multiIf(clean IS NULL, '', clean, 'clean', 'unclean') AS detail, record_id, fleet, node
    FROM boots FINAL
    UNION ALL
    SELECT t_ms, 'patch' AS kind, concat(kb, ' ', state) AS what, source AS detail,
        record_id, fleet, node
    FROM patch_states FINAL
    UNION ALL
    SELECT t_ms, 'facts' AS kind, role AS what, toJSONString(covariates) AS detail,
        toUInt64(0) AS record_id, fleet, node
    FROM node_facts FINAL
)
WHERE fleet = {fleet:String} AND node = {node:String}
  AND t_ms >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND t_ms < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
ORDER BY t_ms, record_id, kind, what
LIMIT {limit:UInt32}""",
    ),
    NamedQuery(
        name="record_ids",
        doc="How many distinct records of one node's event logs are stored, as whatever they are.",
        params={"fleet": _FLEET, "node": _TEXT},
        columns=("records",),
        sql="""
SELECT uniqExact(record_id) AS records
FROM
(
    SELECT record_id, fleet, node FROM node_events
    UNION ALL
    SELECT record_id, fleet, node FROM boots
    UNION ALL
    SELECT record_id, fleet, node FROM patch_states
)
WHERE fleet = {fleet:String} AND node = {node:String} AND record_id > 0""",
    ),
    NamedQuery(
        name="boots_of",
        doc="The boots of one node and the build each ran on, oldest first.",
        params={"fleet": _FLEET, "node": _TEXT},
        columns=("t_ms", "build", "clean", "record_id"),
        sql="""
SELECT t_ms, build, clean, record_id
FROM boots FINAL
WHERE fleet = {fleet:String} AND node = {node:String}
ORDER BY t_ms, record_id""",
    ),
    NamedQuery(
        name="patches_of",
        doc="Every step of every KB on one node, oldest first.",
        params={"fleet": _FLEET, "node": _TEXT},
        columns=("t_ms", "kb", "state", "build", "source", "record_id"),
        sql="""
SELECT t_ms, kb, state, build, source, record_id
FROM patch_states FINAL
WHERE fleet = {fleet:String} AND node = {node:String}
ORDER BY t_ms, kb, record_id""",
    ),
    NamedQuery(
        name="node_sources",
        doc="What arrives from each node of a fleet: records and the newest, by kind and channel.",
        params={"fleet": _FLEET, "since_ms": _SINCE},
        columns=("node", "domain", "site", "kind", "channel", "records", "newest_ms", "promise_s"),
        sql="""
SELECT node, argMax(domain, at) AS domain, argMax(site, at) AS site, kind, channel,
    uniq(t_ms, record_id) AS records, max(t_ms) AS newest_ms, argMax(promise_s, at) AS promise_s
FROM
(
    SELECT node, domain, site, 'event' AS kind, channel, t_ms, record_id, _received_ms AS at,
        toUInt32(0) AS promise_s, fleet
    FROM node_events
    UNION ALL
    SELECT node, domain, site, 'boot' AS kind, '' AS channel, t_ms, record_id, _received_ms AS at,
        toUInt32(0) AS promise_s, fleet
    FROM boots
    UNION ALL
    SELECT node, domain, site, 'patch' AS kind, '' AS channel, t_ms, record_id,
        _received_ms AS at, toUInt32(0) AS promise_s, fleet
    FROM patch_states
    UNION ALL
    SELECT node, domain, site, 'facts' AS kind, '' AS channel, t_ms, toUInt64(0) AS record_id,
        _received_ms AS at, toUInt32(0) AS promise_s, fleet
    FROM node_facts
    UNION ALL
    SELECT node, domain, site, 'heartbeat' AS kind, '' AS channel, t_ms,
        toUInt64(0) AS record_id, _received_ms AS at, heartbeat_s AS promise_s, fleet
    FROM heartbeats
)
WHERE fleet = {fleet:String} AND at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
GROUP BY node, kind, channel
ORDER BY node, kind, channel""",
    ),
    NamedQuery(
        name="branch_onsets",
        doc="Counted onsets on one branch between two instants, oldest first.",
        params={
            "fleet": _FLEET,
            "branch": _TEXT,
            "since_ms": _SINCE,
            "until_ms": _UNTIL,
            "limit": _LIMIT,
        },
        columns=("t_ms", "node", "domain", "site", "signature", "cls", "impact", "last_ms"),
        sql="""
SELECT first_ms AS t_ms, node, domain, site, signature, cls, impact, last_ms
FROM onsets FINAL
WHERE fleet = {fleet:String} AND branch = {branch:String}
  AND t_ms >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND t_ms < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
ORDER BY t_ms, node, signature
LIMIT {limit:UInt32}""",
    ),
    NamedQuery(
        name="verdict_history",
        doc="How the verdict of one case changed, oldest first.",
        params={"fleet": _FLEET, "case": _TEXT, "limit": _LIMIT},
        columns=(
            "asof_ms",
            "state",
            "victims",
            "exposed",
            "controls",
            "log_e",
            "sentence",
            "log_c",
            "log_h",
            "log_e_warn",
        ),
        sql="""
SELECT asof_ms, state, victims, exposed, controls, log_e, sentence, log_c, log_h, log_e_warn
FROM verdicts FINAL
WHERE fleet = {fleet:String} AND case_id = {case:String}
ORDER BY asof_ms, _received_ms
LIMIT {limit:UInt32}""",
    ),
    NamedQuery(
        name="halt_history",
        doc="Every transition of every halt of a fleet, oldest first.",
        params={"fleet": _FLEET},
        columns=("at_ms", "case", "state", "mode", "who", "why", "victims", "exposed"),
        sql="""
SELECT at_ms, case_id AS `case`, state, mode, who, why, victims, exposed
FROM halts FINAL
WHERE fleet = {fleet:String}
ORDER BY at_ms, case_id""",
    ),
    NamedQuery(
        name="deliveries",
        doc="The webhooks of a fleet and how far each came, oldest first.",
        params={"fleet": _FLEET},
        columns=(
            "created_ms",
            "case",
            "target",
            "transition",
            "state",
            "attempts",
            "last_status",
            "last_error",
            "delivered_ms",
        ),
        sql="""
SELECT created_ms, case_id AS `case`, target, transition, state, attempts, last_status,
    last_error, delivered_ms
FROM halt_deliveries FINAL
WHERE fleet = {fleet:String}
ORDER BY created_ms, webhook_id""",
    ),
    *ABOUT_STORE,
)

QUERIES = {query.name: query for query in _DECLARED}


def run_query(store: Store, name: str, params: Mapping[str, object]) -> Result:
    """Run a named query. Raises KbwatchError for an unknown name or a wrong parameter."""
    query = QUERIES.get(name)
    if query is None:
        raise KbwatchError(f"no query {name!r}; there are: {', '.join(QUERIES)}")
    return store.query(query.sql, query.bind(params))
