"""Halts: what is proposed, what is in force, who was told, and what leaks through."""

from dashboards.sql.parts import FLEET, nodes, revision, running, standing
from dashboards.sql.query import named, stored
from schemas.windows.fixes import fixed_cases

_NO_FIX = 4_294_967_295


def _unfixed(case: str, at: str) -> str:
    """Whether revision ``at`` still has the fault of ``case``: older than the known fix, if any."""
    known = fixed_cases()
    names = ", ".join(f"'{name}'" for name in known)
    revisions = ", ".join(build.partition(".")[2] for build in known.values())
    return f"{at} < transform({case}, [{names}], [{revisions}], {_NO_FIX})"


# Empty where every node of the branch is meant.
_RULE = """
    if(JSONExtractString(body, 'scope_by') = 'rule',
        JSONExtract(body, 'rule', 'Array(String)'), [])"""


def _said(facts: str) -> str:
    """What a rule may say of a node: as ``streams.detection.rule.literals`` has it."""
    return f"""
    arrayConcat(
        [concat('role=', {facts}.role)],
        if({facts}.domain != {facts}.node, ['clustered'], []),
        arrayMap(one -> if(one.2 = 'true', one.1, concat(one.1, '=', one.2)),
            arrayFilter(one -> one.2 != 'false',
                {facts}.covariates::Array(Tuple(String, String)))))"""


def leaking(fleet: str) -> str:
    """``leaking``: nodes on which an active halt's KB came into effect although it was halted.

    After the case had crossed, by the node's time, and told after the halt was active, by the
    broker's: so neither late reports of earlier boots nor replayed history count.
    """
    return f"""
{standing(fleet)},
active AS
(
    SELECT fleet, case_id, any(kb) AS kb, any(branch) AS branch,
        any({revision("build")}) AS needed, min(crossed_ms) AS crossed_ms,
        min(_received_ms) AS active_ms, any({_RULE}) AS rule
    FROM halts
    WHERE fleet = {fleet} AND state = 'active'
        AND (fleet, case_id) IN (SELECT fleet, case_id FROM standing WHERE state = 'active')
    GROUP BY fleet, case_id
),
effects AS
(
    SELECT fleet, node, splitByChar('.', build)[1] AS branch, {revision("build")} AS revision,
        t_ms, _received_ms
    FROM boots WHERE fleet = {fleet}
    UNION ALL
    SELECT fleet, node, splitByChar('.', build)[1] AS branch, {revision("build")} AS revision,
        t_ms, _received_ms
    FROM patch_states WHERE fleet = {fleet} AND state = 'effective' AND build != ''
),
through AS
(
    SELECT fleet, case_id, any(active.kb) AS kb, any(active.branch) AS branch, node,
        min(t_ms) AS effective_ms, any(active.rule) AS rule
    FROM effects INNER JOIN active USING (fleet, branch)
    WHERE revision >= needed AND {_unfixed("case_id", "revision")}
    GROUP BY fleet, case_id, node
    HAVING min(t_ms) > any(active.crossed_ms)
        AND argMin(_received_ms, (t_ms, _received_ms)) > any(active.active_ms)
),
facts AS
(
    SELECT fleet, node, argMax(of.domain, of.t_ms) AS domain, argMax(of.role, of.t_ms) AS role,
        argMax(of.covariates, of.t_ms) AS covariates
    FROM node_facts AS of
    WHERE fleet = {fleet} AND node IN (SELECT node FROM through WHERE notEmpty(rule))
    GROUP BY fleet, node
),
leaking AS
(
    SELECT fleet, case_id, kb, branch, node, effective_ms
    FROM through LEFT JOIN facts USING (fleet, node)
    WHERE empty(rule) OR hasAll({_said("facts")}, rule)
)"""


@named("active", "proposed", "leaks", "undelivered")
def counts(fleet: str = FLEET) -> str:
    """Halts in force, proposals that wait, nodes that leaked, webhooks that nobody took."""
    return f"""
        WITH {leaking(fleet)}
        SELECT countIf(state = 'active') AS active, countIf(state = 'proposed') AS proposed,
            (SELECT uniqExact(case_id, node) FROM leaking) AS leaks,
            (SELECT count() FROM
                (SELECT * FROM halt_deliveries WHERE fleet = {fleet}
                 ORDER BY _received_ms DESC, _offset DESC LIMIT 1 BY webhook_id)
             WHERE state != 'delivered') AS undelivered
        FROM standing"""


@named(
    "kb", "branch", "state", "sentence", "victims", "exposed", "at_ms", "mode", "who", "why",
    "told", "waiting", "leaks", "newest_leak_ms", "scope",
)  # fmt: skip
def current(fleet: str = FLEET) -> str:
    """Every halt as it stands, whatever the time range: it is latched until a person lifts it."""
    return f"""
        WITH {leaking(fleet)},
        leaks AS
        (
            SELECT case_id, count() AS nodes, max(effective_ms) AS newest_ms
            FROM leaking GROUP BY case_id
        ),
        hooks AS
        (
            SELECT case_id, countIf(state = 'delivered') AS told,
                countIf(state != 'delivered') AS waiting
            FROM (SELECT * FROM halt_deliveries WHERE fleet = {fleet}
                  ORDER BY _received_ms DESC, _offset DESC LIMIT 1 BY webhook_id)
            GROUP BY case_id
        )
        SELECT kb, branch, state, sentence, victims, exposed, at_ms, mode, who, why,
            hooks.told AS told, hooks.waiting AS waiting, leaks.nodes AS leaks,
            if(leaks.nodes > 0, leaks.newest_ms, NULL) AS newest_leak_ms, scope
        FROM standing
        LEFT JOIN leaks USING (case_id)
        LEFT JOIN hooks USING (case_id)
        ORDER BY state = 'active' DESC, state = 'proposed' DESC, at_ms DESC"""


@named("at_ms", "case", "state", "mode", "who", "why", "victims", "exposed")
def history(fleet: str = FLEET) -> str:
    """Every transition of every halt, oldest first."""
    return stored("halt_history", fleet=fleet)


@named(
    "created_ms", "case", "target", "transition", "state", "attempts", "last_status", "last_error",
    "delivered_ms",
)  # fmt: skip
def deliveries(fleet: str = FLEET) -> str:
    """The webhooks and how far each came: an active halt is confirmed only where one arrived."""
    return stored("deliveries", fleet=fleet)


@named("kb", "branch", "node", "effective_ms", "cluster", "site", "ring")
def leaks(fleet: str = FLEET) -> str:
    """The nodes that leaked, the newest first: the lever of their ring or site does not hold."""
    return f"""
        WITH {leaking(fleet)}, {nodes(fleet)}
        SELECT leaking.kb AS kb, leaking.branch AS branch, leaking.node AS node, effective_ms,
            nodes.cluster AS cluster, nodes.site AS site, nodes.ring AS ring
        FROM leaking LEFT JOIN nodes ON nodes.node = leaking.node
        ORDER BY effective_ms DESC, node
        LIMIT 1000"""


def _affected(fleet: str) -> str:
    """``affected``: nodes that run what a halt in force or proposed is about, in its scope."""
    return f"""
{standing(fleet)}, {nodes(fleet)}, {running(fleet)},
affected AS
(
    SELECT standing.case_id AS case_id, standing.kb AS kb, nodes.branch AS branch,
        nodes.node AS node, nodes.cluster AS cluster, nodes.site AS site, nodes.ring AS ring,
        nodes.role AS role, running.since_ms AS since_ms
    FROM nodes
    INNER JOIN running USING (node)
    INNER JOIN standing USING (branch)
    WHERE standing.state IN ('active', 'proposed')
        AND running.revision >= {revision("standing.build")}
        AND {_unfixed("standing.case_id", "running.revision")}
        AND hasAll({_said("nodes")}, {_RULE})
)"""


@named("kb", "branch", "node", "cluster", "site", "ring", "role", "since_ms", "victim")
def still_on(fleet: str = FLEET) -> str:
    """Nodes that run what a halt in force or proposed is about, the victims first."""
    return f"""
        WITH {_affected(fleet)},
        hit AS
        (
            SELECT case_id, victim_nodes FROM verdicts WHERE fleet = {fleet}
            ORDER BY asof_ms DESC, _received_ms DESC LIMIT 1 BY case_id
        )
        SELECT kb, branch, node, cluster, site, ring, role, since_ms,
            has(hit.victim_nodes, node) AS victim
        FROM affected LEFT JOIN hit USING (case_id)
        ORDER BY victim DESC, since_ms, node
        LIMIT 2000"""


@named("nodes", "halts")
def still_on_count(fleet: str = FLEET) -> str:
    """How many nodes still run what a halt in force or proposed is about."""
    return f"""
        WITH {_affected(fleet)}
        SELECT uniqExact(node) AS nodes, uniqExact(case_id) AS halts
        FROM affected"""
