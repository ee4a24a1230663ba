"""Pieces that several questions share: variables as SQL, and common table expressions.

All of them take the newest row per thing themselves instead of FINAL: a row that is stored twice
changes neither a newest value nor a count of distinct things, and only one column set is read.
"""

FLEET = "${fleet:singlequote}"
BRANCH = "${branch:singlequote}"
KB = "${kb:singlequote}"
CASE = f"concat({KB}, '@', {BRANCH})"
NODE = "${node:singlequote}"
CLUSTER = "${cluster:singlequote}"
END = "$__toTime_ms"
"""The instant that counts as now."""

SILENT_AFTER = "greatest(3 * heartbeat_s, 300)"
"""Seconds without a heartbeat after which a node counts as silent: three that it promised."""

CHOSEN = """
    $__conditionalAll(branch IN (${branch:singlequote}), $branch)
    AND $__conditionalAll(site IN (${site:singlequote}), $site)
    AND $__conditionalAll(ring IN (${ring:singlequote}), $ring)"""
"""Whether a node is among those that are chosen by branch, site and ring."""

AT_SITE = "$__conditionalAll(site IN (${site:singlequote}), $site)"


def nodes(fleet: str, among: str = "1") -> str:
    """``nodes``: what each node last said of itself, of those for which ``among`` holds. It says so
    daily: who has not for as long as detection looks back is gone.
    """
    columns = "domain site role branch cluster ring covariates backup_ms"
    return _newest("nodes", "node_facts", columns, fleet, among, ("2 DAY", "65 DAY"))


def running(fleet: str, among: str = "1") -> str:
    """``running``: the build each node runs and since when, by its boots and by what came into
    effect without one.
    """
    return f"""
builds AS
(
    SELECT node, t_ms, build FROM boots WHERE fleet = {fleet} AND t_ms <= {END} AND {among}
    UNION ALL
    SELECT node, t_ms, build FROM patch_states
    WHERE fleet = {fleet} AND t_ms <= {END} AND state = 'effective' AND build != '' AND {among}
),
running AS
(
    SELECT node, build, {revision("build")} AS revision, since_ms
    FROM
    (
        SELECT node, argMax(build, t_ms) AS build, max(t_ms) AS boot_ms
        FROM builds GROUP BY node
    ) AS newest
    INNER JOIN
    (
        SELECT node, build, min(t_ms) AS since_ms FROM builds GROUP BY node, build
    ) AS firsts USING (node, build)
)"""


def heard(fleet: str, among: str = "1") -> str:
    """``heard``: each node's newest heartbeat of the last week, and how long it is silent."""
    columns = "heartbeat_s collector spool_depth lags_s"
    newest = _newest("beats", "heartbeats", columns, fleet, among, ("1 HOUR", "7 DAY"))
    return f"""{newest},
heard AS
(
    SELECT *, t_ms AS heard_ms, dateDiff('second', t_ms, {END}) AS silent_s,
        heartbeat_s > 0 AND silent_s > {SILENT_AFTER} AS silent
    FROM beats
)"""


def _newest(
    name: str, table: str, columns: str, fleet: str, among: str, spans: tuple[str, str]
) -> str:
    """``name``: each node's newest row of a table within the longer of two spans before the end.

    Nearly all nodes have one within the shorter span. Only for the others is the rest looked at:
    by node, which is how the table is sorted.
    """
    short, long = spans
    newest = ", ".join(f"argMax(of.{column}, of.t_ms) AS {column}" for column in columns.split())
    taken = f"SELECT node, max(of.t_ms) AS t_ms, {newest} FROM {table} AS of"
    ours = f"fleet = {fleet} AND {among}"
    recent = f"{ours} AND of.t_ms > {END} - INTERVAL {short} AND of.t_ms <= {END}"
    return f"""
{name}_recent AS ({taken} WHERE {recent} GROUP BY node),
{name} AS
(
    SELECT * FROM {name}_recent
    UNION ALL
    {taken}
    WHERE {ours} AND of.t_ms > {END} - INTERVAL {long} AND of.t_ms <= {END} - INTERVAL {short}
        AND node IN
        (
            SELECT DISTINCT node FROM node_facts
            WHERE {ours} AND t_ms > {END} - INTERVAL 65 DAY
                AND node NOT IN (SELECT node FROM {name}_recent)
        )
    GROUP BY node
)"""


def cases(fleet: str) -> str:
    """``cases``: the newest verdict of each case."""
    return f"""
cases AS
(
    SELECT *
    FROM verdicts
    WHERE fleet = {fleet} AND asof_ms <= {END}
    ORDER BY asof_ms DESC, _received_ms DESC, _offset DESC
    LIMIT 1 BY case_id
)"""


def standing(fleet: str) -> str:
    """``standing``: the newest state of each halt, whatever the time range. ``fleet`` may be the
    column itself: then of all fleets.
    """
    return f"""
standing AS
(
    SELECT *
    FROM halts
    WHERE fleet = {fleet}
    ORDER BY at_ms DESC, _received_ms DESC, _offset DESC
    LIMIT 1 BY fleet, case_id
)"""


def revision(build: str) -> str:
    """The revision of a build: 7558 of ``17763.7558``."""
    return f"toUInt32OrZero(splitByChar('.', {build})[2])"


def told(covariate: str) -> str:
    """What a node says of a covariate: ``yes``, ``no``, or ``not told``."""
    return (
        f"multiIf(NOT mapContains(covariates, '{covariate}'), 'not told', "
        f"covariates['{covariate}'] IN ('false', 'no', ''), 'no', 'yes')"
    )
