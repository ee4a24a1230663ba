"""Fleet overview: where the roll-out stands, what is open, who is silent."""

from dashboards.sql.parts import CHOSEN, FLEET, cases, heard, nodes, revision, running
from dashboards.sql.query import named


@named("nodes", "silent", "branches", "sites")
def counts(fleet: str = FLEET, chosen: str = CHOSEN) -> str:
    """How many nodes are known, and how many of them keep silent."""
    return f"""
        WITH {nodes(fleet)}, {heard(fleet)}
        SELECT count() AS nodes, countIf(heard.silent) AS silent,
            uniqExact(nodes.branch) AS branches, uniqExact(nodes.site) AS sites
        FROM nodes LEFT JOIN heard USING (node)
        WHERE {chosen}"""


@named("halted", "warned", "noticed", "open", "newest_ms")
def case_counts(fleet: str = FLEET) -> str:
    """Open cases by the state of their newest verdict."""
    return f"""
        WITH {cases(fleet)}
        SELECT countIf(state = 'halt') AS halted, countIf(state = 'warn') AS warned,
            countIf(state = 'notice') AS noticed, count() AS open, max(asof_ms) AS newest_ms
        FROM cases"""


@named(
    "state", "kb", "branch", "sentence", "victims", "exposed", "controls", "share", "staged",
    "asof_ms",
)  # fmt: skip
def open_cases(fleet: str = FLEET) -> str:
    """The newest verdict of each case, the worst first; ``share`` is how far it is rolled out."""
    return f"""
        WITH {cases(fleet)}
        SELECT state, kb, branch, sentence, victims, exposed, controls,
            exposed / greatest(exposed + controls, 1) AS share, left_staged AS staged, asof_ms
        FROM cases
        WHERE $__conditionalAll(branch IN (${{branch:singlequote}}), $branch)
        ORDER BY indexOf(['halt', 'warn', 'notice', 'inconclusive', 'quiet'], state), log_e DESC"""


@named("ring", "branch", "kb", "nodes", "exposed", "share", "silent")
def rings(fleet: str = FLEET, chosen: str = CHOSEN) -> str:
    """How much of each ring runs the newest KB that has a case on its branch."""
    return f"""
        WITH {nodes(fleet)}, {running(fleet)}, {heard(fleet)}, {cases(fleet)},
        newest AS
        (
            SELECT branch, argMax(kb, started_ms) AS kb,
                argMax({revision("build")}, started_ms) AS needed
            FROM cases WHERE build != '' GROUP BY branch
        )
        SELECT ring, branch, any(newest.kb) AS kb, count() AS nodes,
            countIf(running.revision >= newest.needed) AS exposed,
            exposed / nodes AS share, countIf(heard.silent) AS silent
        FROM nodes
        INNER JOIN newest USING (branch)
        LEFT JOIN running USING (node)
        LEFT JOIN heard USING (node)
        WHERE {chosen}
        GROUP BY ring, branch
        ORDER BY ring, branch"""


@named("build", "kb", "nodes")
def builds(fleet: str = FLEET, chosen: str = CHOSEN) -> str:
    """How many nodes run which build, and the KB that brought it where a case names it."""
    return f"""
        WITH {nodes(fleet)}, {running(fleet)}, {cases(fleet)},
        names AS (SELECT build, any(kb) AS kb FROM cases WHERE build != '' GROUP BY build)
        SELECT running.build AS build, any(names.kb) AS kb, count() AS nodes
        FROM nodes INNER JOIN running USING (node)
        LEFT JOIN names ON names.build = running.build
        WHERE {chosen}
        GROUP BY build
        ORDER BY build"""


@named("time", "case", "share")
def exposed_share(fleet: str = FLEET) -> str:
    """How far each case's KB was rolled out on its branch, verdict by verdict."""
    return f"""
        SELECT asof_ms AS time, case_id AS `case`,
            max(exposed) / greatest(max(exposed) + min(controls), 1) AS share
        FROM verdicts
        WHERE fleet = {fleet} AND $__timeFilter_ms(asof_ms)
            AND $__conditionalAll(branch IN (${{branch:singlequote}}), $branch)
        GROUP BY time, `case`
        ORDER BY time, `case`"""


@named("node", "silent", "heard_ms", "silent_s", "cluster", "site", "ring", "role", "build")
def longest_silent(fleet: str = FLEET, chosen: str = CHOSEN) -> str:
    """The nodes that were not heard of for longest; ``silent`` once three promised heartbeats are
    missing. A node that keeps silent after its reboot is what no event tells.
    """
    return f"""
        WITH {nodes(fleet)}, {running(fleet)}, {heard(fleet)}
        SELECT node, heard.silent AS silent, heard_ms, silent_s, cluster, site, ring, role,
            running.build AS build
        FROM nodes INNER JOIN heard USING (node) LEFT JOIN running USING (node)
        WHERE {chosen}
        ORDER BY silent DESC, silent_s DESC, node
        LIMIT 200"""


@named("time", "nodes")
def nodes_heard(fleet: str = FLEET) -> str:
    """How many nodes were heard of, by interval: a step down is telemetry that died. It reads every
    heartbeat of the time range, so it is slow over weeks.
    """
    return f"""
        SELECT toStartOfInterval(t_ms, toIntervalSecond(greatest($__interval_s, 1800))) AS time,
            uniq(node) AS nodes
        FROM heartbeats
        WHERE fleet = {fleet} AND $__timeFilter_ms(t_ms)
        GROUP BY time
        ORDER BY time"""
