"""Node timeline: patches, boots, incidents and heartbeats of one node."""

from dashboards.sql.parts import END, FLEET, NODE, heard, nodes, running, told
from dashboards.sql.query import named, stored

_FROM = "toUnixTimestamp64Milli($__fromTime_ms)"
_TO = "toUnixTimestamp64Milli($__toTime_ms)"


@named("node", "role", "site", "ring", "cluster", "build", "since_ms", "heard_ms", "silent_s")
def facts(fleet: str = FLEET, node: str = NODE) -> str:
    """What the node is, what it runs, and when it was last heard of."""
    of = f"node = {node}"
    return f"""
        WITH {nodes(fleet, of)}, {running(fleet, of)}, {heard(fleet, of)}
        SELECT node, role, site, ring, cluster, running.build AS build,
            running.since_ms AS since_ms, heard.heard_ms AS heard_ms, heard.silent_s AS silent_s
        FROM nodes LEFT JOIN running USING (node) LEFT JOIN heard USING (node)
        WHERE node = {node}"""


@named("time", "build")
def boots(fleet: str = FLEET, node: str = NODE) -> str:
    """The build from boot to boot: the last one before the time range says what it began with."""
    return f"""
        SELECT greatest(t_ms, $__fromTime_ms) AS time, build
        FROM boots
        WHERE fleet = {fleet} AND node = {node} AND t_ms <= {END}
            AND t_ms >= (SELECT max(t_ms) FROM boots
                WHERE fleet = {fleet} AND node = {node} AND t_ms <= $__fromTime_ms)
        ORDER BY boots.t_ms
        LIMIT 1 BY boots.t_ms"""


@named("time", "patch")
def patches(fleet: str = FLEET, node: str = NODE) -> str:
    """Where the newest KB stands, step by step."""
    return f"""
        SELECT t_ms AS time, concat(kb, ' ', state) AS patch
        FROM patch_states
        WHERE fleet = {fleet} AND node = {node} AND $__timeFilter_ms(t_ms)
        ORDER BY t_ms, indexOf(['offered', 'installing', 'staged', 'effective', 'confirmed'], state)
        LIMIT 1 BY t_ms, kb, state"""


@named("time", "incident")
def incidents(fleet: str = FLEET, node: str = NODE) -> str:
    """What failed on the node and until when; the end of a run is a row without a name."""
    return f"""
        WITH runs AS
        (
            SELECT first_ms, signature, max(last_ms) AS last_ms
            FROM onsets
            WHERE fleet = {fleet} AND node = {node} AND impact != 'none'
                AND $__timeFilter_ms(first_ms)
            GROUP BY first_ms, signature
        )
        SELECT turn.1 AS time, turn.2 AS incident
        FROM runs
        ARRAY JOIN [(first_ms, signature::Nullable(String)),
            (greatest(last_ms, first_ms + INTERVAL 1 MINUTE), NULL)] AS turn
        ORDER BY time, incident IS NULL DESC"""


@named("time", "gap_s", "promised_s")
def heartbeat_gaps(fleet: str = FLEET, node: str = NODE) -> str:
    """Seconds between one heartbeat and the next, against what the node promises."""
    return f"""
        SELECT t_ms AS time,
            dateDiff('second', lagInFrame(t_ms, 1, t_ms) OVER beats, t_ms) AS gap_s,
            heartbeat_s AS promised_s
        FROM
        (
            SELECT t_ms, any(heartbeats.heartbeat_s) AS heartbeat_s
            FROM heartbeats
            WHERE fleet = {fleet} AND node = {node} AND $__timeFilter_ms(t_ms)
            GROUP BY t_ms
        )
        WINDOW beats AS (ORDER BY t_ms ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
        ORDER BY time"""


@named("t_ms", "kind", "what", "detail", "record_id")
def said(fleet: str = FLEET, node: str = NODE) -> str:
    """Everything the node said in the time range, heartbeats apart, oldest first."""
    return stored("node_timeline", fleet=fleet, node=node, since_ms=_FROM, until_ms=_TO)


@named("channel", "newest_record_id", "lag_s", "lost", "dropped", "spool_depth", "collector")
def channels(fleet: str = FLEET, node: str = NODE) -> str:
    """How far the collector has read each channel by its newest heartbeat, and what it lost."""
    return f"""
        SELECT channel, newest_record_ids[channel] AS newest_record_id, lags_s[channel] AS lag_s,
            lost, dropped, spool_depth, collector
        FROM
        (
            SELECT newest_record_ids, lags_s, lost, dropped, spool_depth, collector
            FROM heartbeats
            WHERE fleet = {fleet} AND node = {node} AND t_ms <= {END}
            ORDER BY t_ms DESC
            LIMIT 1
        )
        ARRAY JOIN mapKeys(newest_record_ids) AS channel
        ORDER BY channel"""


@named("covariate", "value")
def covariates(fleet: str = FLEET, node: str = NODE) -> str:
    """What the node says of itself beyond its role: what a rule may be made of."""
    return f"""
        WITH {nodes(fleet, f"node = {node}")}
        SELECT covariate, covariates[covariate] AS value
        FROM nodes
        ARRAY JOIN mapKeys(covariates) AS covariate
        WHERE node = {node}
        UNION ALL
        SELECT 'newest backup', ifNull(formatDateTime(backup_ms, '%F %T UTC', 'UTC'), 'not told')
        FROM nodes WHERE node = {node}
        UNION ALL
        SELECT 'recovery key kept elsewhere', {told("recovery_key_escrow")}
        FROM nodes WHERE node = {node}"""
