"""Readiness: what KB5062557 taught. Looked at before a roll-out, not after."""

from dashboards.sql.parts import AT_SITE, END, FLEET, cases, nodes, revision, running, told
from dashboards.sql.query import named

_STRATUM = f"""
    concat(branch, ' · ', role,
        if(cluster != '', ' · clustered', ''),
        if({told("csv_bitlocker")} = 'yes', ' · BitLocker on CSV', ''),
        if({told("s2d")} = 'yes', ' · S2D', ''))"""

_DAY_S = 86_400
_BACKUP_AGE_S = f"dateDiff('second', backup_ms, {END})"


def _ringed(fleet: str) -> str:
    """``ringed``: nodes with their stratum, and ``first_ring``, the ring that goes first."""
    return f"""
{nodes(fleet)},
(SELECT min(ring) FROM nodes WHERE ring != '') AS first_ring,
ringed AS (SELECT *, {_STRATUM} AS stratum FROM nodes WHERE {AT_SITE})"""


@named("missing", "strata", "nodes")
def uncovered(fleet: str = FLEET) -> str:
    """How many kinds of nodes the first ring lacks although later rings have them, and how many
    nodes are of such kinds: a fault that only they have shows when it is too late for a canary.
    """
    return f"""
        WITH {_ringed(fleet)},
        kinds AS
        (
            SELECT stratum, countIf(ring = first_ring) AS canaries, count() AS nodes
            FROM ringed GROUP BY stratum
        )
        SELECT countIf(canaries = 0) AS missing, count() AS strata,
            sumIf(nodes, canaries = 0) AS nodes
        FROM kinds"""


@named("stratum", "canaries", "nodes", "rings", "covered")
def strata(fleet: str = FLEET) -> str:
    """Kinds of nodes (branch, role, clustered, BitLocker on CSV, S2D), those without a canary in
    the first ring first.
    """
    return f"""
        WITH {_ringed(fleet)}
        SELECT stratum, countIf(ring = first_ring) AS canaries, count() AS nodes,
            arrayStringConcat(arraySort(groupUniqArray(ring)), ' ') AS rings,
            if(canaries > 0, 'yes', 'no canary') AS covered
        FROM ringed
        GROUP BY stratum
        ORDER BY canaries > 0, nodes DESC, stratum"""


@named("cluster", "branch", "site", "nodes", "canaries", "first_ring_of_it", "covered")
def bitlocker_clusters(fleet: str = FLEET) -> str:
    """The clusters with BitLocker on Cluster Shared Volumes, and whether one of their own nodes
    goes first: those without a canary were where KB5062557 hit.
    """
    return f"""
        WITH {_ringed(fleet)}
        SELECT cluster, any(ringed.branch) AS branch, any(ringed.site) AS site, count() AS nodes,
            countIf(ring = first_ring) AS canaries, min(ring) AS first_ring_of_it,
            if(canaries > 0, 'yes', 'no canary') AS covered
        FROM ringed
        WHERE cluster != '' AND {told("csv_bitlocker")} = 'yes'
        GROUP BY cluster
        ORDER BY canaries > 0, nodes DESC, cluster"""


@named("role", "last_day", "last_week", "older", "not_told", "oldest_s", "share")
def backups(fleet: str = FLEET) -> str:
    """How old the nodes' newest backups are, by role; the share is of those that have one of the
    last seven days. *Not told* is not *none*: a backup that Windows Server Backup did not make is
    unknown.
    """
    return f"""
        WITH {nodes(fleet)}
        SELECT role, countIf(age_s < {_DAY_S}) AS last_day,
            countIf(age_s >= {_DAY_S} AND age_s < 7 * {_DAY_S}) AS last_week,
            countIf(age_s >= 7 * {_DAY_S}) AS older, countIf(age_s IS NULL) AS not_told,
            max(age_s) AS oldest_s, (last_day + last_week) / count() AS share
        FROM (SELECT role, {_BACKUP_AGE_S} AS age_s FROM nodes WHERE {AT_SITE})
        GROUP BY role
        ORDER BY share, role"""


@named("node", "role", "cluster", "site", "ring", "backup_ms", "age_s")
def oldest_backups(fleet: str = FLEET) -> str:
    """What the nodes would go back to: the newest backup of each, the oldest first."""
    return f"""
        WITH {nodes(fleet)}
        SELECT node, role, cluster, site, ring, backup_ms, {_BACKUP_AGE_S} AS age_s
        FROM nodes
        WHERE backup_ms IS NOT NULL AND {AT_SITE}
        ORDER BY age_s DESC, node
        LIMIT 1000"""


@named("node", "cluster", "site", "ring", "escrow")
def keys_at_risk(fleet: str = FLEET) -> str:
    """Nodes with BitLocker of which it is not known that their recovery key is kept elsewhere
    (``recovery_key_escrow``): an update that asks for the key locks them out.
    """
    return f"""
        WITH {nodes(fleet)}
        SELECT node, cluster, site, ring, {told("recovery_key_escrow")} AS escrow
        FROM nodes
        WHERE ({told("bitlocker_os")} = 'yes' OR {told("csv_bitlocker")} = 'yes')
            AND escrow != 'yes' AND {AT_SITE}
        ORDER BY escrow, ring, node
        LIMIT 1000"""


@named("encrypted", "kept", "not_known")
def keys(fleet: str = FLEET) -> str:
    """Nodes with BitLocker, and of how many the recovery key is known to be kept elsewhere."""
    return f"""
        WITH {nodes(fleet)}
        SELECT count() AS encrypted, countIf({told("recovery_key_escrow")} = 'yes') AS kept,
            encrypted - kept AS not_known
        FROM nodes
        WHERE ({told("bitlocker_os")} = 'yes' OR {told("csv_bitlocker")} = 'yes') AND {AT_SITE}"""


@named("kb", "branch", "ring", "nodes", "hold_out", "share")
def hold_out(fleet: str = FLEET) -> str:
    """Nodes by ring that do not run the newest KB with a case yet: without them nothing is left
    to compare with, and no harm can be shown any more.
    """
    return f"""
        WITH {nodes(fleet)}, {running(fleet)}, {cases(fleet)},
        newest AS
        (
            SELECT branch, argMax(kb, started_ms) AS kb,
                argMax({revision("build")}, started_ms) AS needed
            FROM cases WHERE build != '' GROUP BY branch
        )
        SELECT any(newest.kb) AS kb, branch, ring, count() AS nodes,
            countIf(running.revision < newest.needed) AS hold_out, hold_out / nodes AS share
        FROM nodes INNER JOIN newest USING (branch) LEFT JOIN running USING (node)
        WHERE {AT_SITE}
        GROUP BY branch, ring
        ORDER BY branch, ring"""


@named("ring", "nodes", "sites", "branches", "clusters", "bitlocker_csv")
def rings(fleet: str = FLEET) -> str:
    """What each ring is made of: a first ring at one site tells nothing of the others."""
    return f"""
        WITH {_ringed(fleet)}
        SELECT if(ring = '', 'none', ring) AS ring, count() AS nodes, uniqExact(site) AS sites,
            uniqExact(branch) AS branches, uniqExactIf(cluster, cluster != '') AS clusters,
            countIf({told("csv_bitlocker")} = 'yes') AS bitlocker_csv
        FROM ringed
        GROUP BY ring
        ORDER BY ring"""
