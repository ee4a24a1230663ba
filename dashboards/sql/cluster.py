"""Cluster view: the nodes of one failover cluster, its quarantines and its shared volumes."""

from dashboards.sql.parts import (
    AT_SITE,
    CLUSTER,
    END,
    FLEET,
    cases,
    heard,
    nodes,
    revision,
    running,
    told,
)
from dashboards.sql.query import named

QUARANTINE_S = 7_200
"""How long Windows keeps a node out unless it is told otherwise (Get-Cluster's
QuarantineDuration); taken where the event does not say until when.
"""


def _of(fleet: str, cluster: str) -> str:
    """Whether a node has ever been in the cluster: so the store reads no other nodes' rows."""
    return f"node IN (SELECT node FROM node_facts WHERE fleet = {fleet} AND cluster = {cluster})"


def _events(fleet: str, cluster: str) -> str:
    """``events``: the cluster's own events, each once; ``whom`` they are about."""
    return f"""
events AS
(
    SELECT node, if(about = '', node, about) AS whom, t_ms, id, data
    FROM node_events
    WHERE fleet = {fleet} AND t_ms <= {END} AND t_ms >= $__fromTime_ms
        AND {_of(fleet, cluster)}
        AND provider = 'Microsoft-Windows-FailoverClustering'
    LIMIT 1 BY node, channel, t_ms, record_id, id
)"""


_STAYS = f"""
    coalesce(toDateTime64(parseDateTimeBestEffortOrNull(data['Until'], 'UTC'), 3, 'UTC'),
        t_ms + INTERVAL {QUARANTINE_S} SECOND)"""


@named("node", "state", "until_ms", "quarantines", "removals", "build", "since_ms", "heard_ms")
def members(fleet: str = FLEET, cluster: str = CLUSTER) -> str:
    """Each node of the cluster: up, silent or in quarantine; how often it was thrown out."""
    of = _of(fleet, cluster)
    return f"""
        WITH {nodes(fleet, of)}, {running(fleet, of)}, {heard(fleet, of)},
        {_events(fleet, cluster)},
        trouble AS
        (
            SELECT whom AS node, maxIf({_STAYS}, id IN (1672, 1675, 1676)) AS until_ms,
                uniqIf(toStartOfFiveMinutes(t_ms), id = 1676) AS quarantines,
                uniqIf(toStartOfMinute(t_ms), id = 1135) AS removals
            FROM events GROUP BY whom
        )
        SELECT node,
            multiIf(trouble.until_ms > {END}, 'quarantined', heard.silent, 'silent', 'up')
                AS state,
            if(trouble.quarantines > 0, trouble.until_ms, NULL) AS until_ms,
            trouble.quarantines AS quarantines, trouble.removals AS removals,
            running.build AS build, running.since_ms AS since_ms, heard.heard_ms AS heard_ms
        FROM nodes
        LEFT JOIN running USING (node)
        LEFT JOIN heard USING (node)
        LEFT JOIN trouble USING (node)
        WHERE nodes.cluster = {cluster}
        ORDER BY node"""


@named("members", "up", "quarantined", "builds", "csv_bitlocker", "s2d")
def standing(fleet: str = FLEET, cluster: str = CLUSTER) -> str:
    """The cluster in numbers: more than one build means that its patching is under way."""
    of = _of(fleet, cluster)
    return f"""
        WITH {nodes(fleet, of)}, {running(fleet, of)}, {heard(fleet, of)},
        {_events(fleet, cluster)},
        kept_out AS
        (
            SELECT whom AS node, max({_STAYS}) AS until_ms
            FROM events WHERE id IN (1672, 1675, 1676) GROUP BY whom
        )
        SELECT count() AS members,
            countIf(NOT heard.silent AND NOT kept_out.until_ms > {END}) AS up,
            countIf(kept_out.until_ms > {END}) AS quarantined,
            uniqExact(running.build) AS builds, any({told("csv_bitlocker")}) AS csv_bitlocker,
            any({told("s2d")}) AS s2d
        FROM nodes
        LEFT JOIN running USING (node)
        LEFT JOIN heard USING (node)
        LEFT JOIN kept_out USING (node)
        WHERE nodes.cluster = {cluster}"""


@named("from_ms", "node", "until_ms", "by", "failures")
def quarantines(fleet: str = FLEET, cluster: str = CLUSTER) -> str:
    """Each quarantine in the time range: since when, until when, and who asked for it."""
    return f"""
        WITH {_events(fleet, cluster)},
        each AS
        (
            SELECT whom AS node, t_ms, {_STAYS} AS stays_ms,
                if(id = 1676, data['QuarantinedBy'], node) AS asked,
                toUInt32OrNull(data['Failures']) AS failed
            FROM events WHERE id IN (1672, 1676)
        )
        SELECT min(t_ms) AS from_ms, node, stays_ms AS until_ms, anyIf(asked, asked != '') AS by,
            max(failed) AS failures
        FROM each
        GROUP BY node, stays_ms
        ORDER BY from_ms DESC, node"""


@named("volume", "state", "paused", "gone", "newest_ms", "status")
def volumes(fleet: str = FLEET, cluster: str = CLUSTER) -> str:
    """The Cluster Shared Volumes that had trouble in the time range: paused (5120) or gone
    (5142), how often, and what was said last. A volume without trouble writes nothing.
    """
    return f"""
        WITH {_events(fleet, cluster)},
        said AS
        (
            SELECT if(data['VolumeName'] = '', data['param1'], data['VolumeName']) AS volume,
                t_ms, id, if(data['Status'] = '', data['ErrorCode'], data['Status']) AS status
            FROM events WHERE id IN (5120, 5142)
        )
        SELECT if(volume = '', 'none in trouble', volume) AS volume,
            multiIf(count() = 0, 'no event', argMax(id, t_ms) = 5142, 'gone', 'paused') AS state,
            countIf(id = 5120) AS paused, countIf(id = 5142) AS gone, max(t_ms) AS newest_ms,
            argMax(status, t_ms) AS status
        FROM said
        GROUP BY GROUPING SETS ((volume), ())
        HAVING grouping(volume) = 0 OR count() = 0
        ORDER BY newest_ms DESC, volume"""


@named("time", "signature", "onsets")
def trouble(fleet: str = FLEET, cluster: str = CLUSTER) -> str:
    """What failed in the cluster, by quarter of an hour and signature."""
    return f"""
        SELECT toStartOfFifteenMinutes(first_ms) AS time, signature, uniq(node, first_ms) AS onsets
        FROM onsets
        WHERE fleet = {fleet} AND domain = {cluster} AND impact != 'none'
            AND $__timeFilter_ms(first_ms)
        GROUP BY time, signature
        ORDER BY time, signature"""


@named("cluster", "site", "role", "nodes", "exposed", "failed", "silent", "csv_bitlocker")
def overview(fleet: str = FLEET) -> str:
    """All clusters at the chosen sites: how far the newest KB with a case came, and how many of
    their nodes had a failure of the cluster, its storage or its service in the time range.
    """
    return f"""
        WITH {nodes(fleet)}, {running(fleet)}, {heard(fleet)}, {cases(fleet)},
        newest AS
        (
            SELECT branch, argMax({revision("build")}, started_ms) AS needed
            FROM cases WHERE build != '' GROUP BY branch
        ),
        hit AS
        (
            SELECT DISTINCT node FROM onsets
            WHERE fleet = {fleet} AND $__timeFilter_ms(first_ms)
                AND (cls IN ('cluster', 'storage') OR signature LIKE 'scm/%/clussvc')
        )
        SELECT cluster, any(nodes.site) AS site, any(nodes.role) AS role, count() AS nodes,
            countIf(running.revision >= newest.needed AND newest.needed > 0) AS exposed,
            countIf(node IN (SELECT node FROM hit)) AS failed, countIf(heard.silent) AS silent,
            any({told("csv_bitlocker")}) AS csv_bitlocker
        FROM nodes
        LEFT JOIN running USING (node)
        LEFT JOIN heard USING (node)
        LEFT JOIN newest USING (branch)
        WHERE cluster != '' AND {AT_SITE}
        GROUP BY cluster
        ORDER BY failed DESC, cluster"""
