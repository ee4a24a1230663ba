"""KB drill-down: one case. Every number here is the verdict's own."""

from dashboards.sql.parts import CASE, END, FLEET, nodes, running
from dashboards.sql.query import named


def _newest(fleet: str, case: str, end: str = END) -> str:
    """``newest``: the case's newest verdict."""
    return f"""
newest AS
(
    SELECT *
    FROM verdicts
    WHERE fleet = {fleet} AND case_id = {case} AND asof_ms <= {end}
    ORDER BY asof_ms DESC, _received_ms DESC, _offset DESC
    LIMIT 1
)"""


@named(
    "state", "sentence", "victims", "exposed", "controls", "e", "e_warn", "signature", "build",
    "halt_ms", "warn_ms", "first_victim_ms", "asof_ms",
)  # fmt: skip
def verdict(fleet: str = FLEET, case: str = CASE) -> str:
    """The newest verdict in short. Of incidents with impact E is the wealth that a HALT asks, E_w
    the one that a WARN asks.
    """
    return f"""
        WITH {_newest(fleet, case)}
        SELECT state, sentence, victims, exposed, controls, exp(least(log_e, 690)) AS e,
            exp(least(log_e_warn, 690)) AS e_warn, signature, build, halt_ms, warn_ms,
            first_victim_ms, asof_ms
        FROM newest"""


@named(
    "time", "E, for a HALT", "HALT", "E_w, for a WARN", "WARN", "patched against unpatched",
    "patched against their past",
)  # fmt: skip
def wealth(fleet: str = FLEET, case: str = CASE) -> str:
    """What decides, each by the dashed line of its colour: E by HALT, E_w by WARN. E_w believes
    the branch's past sooner. Thin: the two arms of E, which decide nothing alone.
    """
    return f"""
        SELECT asof_ms AS time, exp(least(log_e, 690)) AS `E, for a HALT`,
            exp(log_threshold) AS HALT, exp(least(log_e_warn, 690)) AS `E_w, for a WARN`,
            100 AS WARN, exp(least(log_c, 690)) AS `patched against unpatched`,
            exp(least(log_h, 690)) AS `patched against their past`
        FROM verdicts
        WHERE fleet = {fleet} AND case_id = {case} AND $__timeFilter_ms(asof_ms)
        ORDER BY asof_ms, _received_ms, _offset
        LIMIT 1 BY asof_ms, digest"""


@named("time", "exposed", "controls", "victims")
def spread(fleet: str = FLEET, case: str = CASE) -> str:
    """How many nodes were patched, how many not yet, and how many had failed, over time."""
    return f"""
        SELECT asof_ms AS time, exposed, controls, victims
        FROM verdicts
        WHERE fleet = {fleet} AND case_id = {case} AND $__timeFilter_ms(asof_ms)
        ORDER BY asof_ms, _received_ms, _offset
        LIMIT 1 BY asof_ms, digest"""


@named("nodes", "count", "failed", "share")
def comparison(fleet: str = FLEET, case: str = CASE) -> str:
    """Victims against controls as of the crossing that made the state; before any, as of now,
    when the failures of controls are not counted yet (0).
    """
    crossing = """
        multiIf(JSONHas(body, 'halt'), 'halt', JSONHas(body, 'warn'), 'warn',
            JSONHas(body, 'notice'), 'notice', '')"""
    return f"""
        WITH {_newest(fleet, case)},
        counted AS
        (
            SELECT {crossing} AS at,
                if(at = '', exposed, JSONExtractUInt(body, at, 'exposed')) AS patched,
                if(at = '', controls, JSONExtractUInt(body, at, 'controls')) AS unpatched,
                if(at = '', victims, JSONExtractUInt(body, at, 'victims')) AS hit,
                if(at = '', 0, JSONExtractUInt(body, at, 'control_victims')) AS hit_anyway
            FROM newest
        )
        SELECT row.1 AS nodes, row.2 AS count, row.3 AS failed,
            row.3 / greatest(row.2, 1) AS share
        FROM counted
        ARRAY JOIN [('patched', patched, hit), ('not patched', unpatched, hit_anyway)] AS row"""


@named("what", "said")
def reasons(fleet: str = FLEET, case: str = CASE) -> str:
    """What a sceptic asks: whom it hits, who would be next, how sure, what is missing."""
    rule = "JSONExtract(body, 'rule', 'Array(String)')"
    guarantee = "exp(-log_threshold)"
    return f"""
        WITH {_newest(fleet, case)}
        SELECT line.1 AS what, line.2 AS said
        FROM newest
        ARRAY JOIN arrayConcat(
            [
                ('whom it hits', if(empty({rule}), 'no rule stands out',
                    arrayStringConcat({rule}, ' and '))),
                ('would be hit next', if(JSONHas(body, 'blast'), concat(
                    toString(JSONExtractUInt(body, 'blast', 'nodes')), ' nodes, ',
                    toString(JSONExtractUInt(body, 'blast', 'staged')),
                    ' of them only need their reboot'), 'not looked at: nothing was crossed')),
                ('a halt while it is harmless', concat('happens with probability ',
                    toString(round({guarantee}, 4)))),
                ('could have shown', concat(toString(observed), ' nodes watched for 24 h: 5 % ',
                    'failing would have shown with probability ', toString(round(p_5pct, 2)))),
                ('calibration, trust', concat(calibration, ', ', trust))
            ],
            arrayMap(reason -> ('why not more', reason), reasons)
        ) AS line"""


@named("suspect", "probability")
def suspects(fleet: str = FLEET, case: str = CASE) -> str:
    """Who may have done it: KBs, and drivers, agents or firmware that came along. While nothing
    was crossed the verdict names nobody, and the case's own KB stands alone without a number.
    """
    return f"""
        WITH {_newest(fleet, case)}
        SELECT one.1 AS suspect, one.2 AS probability
        FROM newest
        ARRAY JOIN if(JSONHas(body, 'suspects'),
            JSONExtractKeysAndValues(body, 'suspects', 'Nullable(Float64)'),
            [(concat(kb, ', no more than any other'), NULL)]) AS one
        ORDER BY probability DESC, suspect"""


@named("t_ms", "node", "domain", "site", "signature", "minutes_after", "record_id")
def incidents(fleet: str = FLEET, case: str = CASE) -> str:
    """Typical incidents that a person can look up in the node's log, the earliest first."""
    fields = (
        "Tuple(node String, domain String, site String, signature String, t_ms Int64, "
        "minutes_after Int64, record_id UInt64)"
    )
    return f"""
        WITH {_newest(fleet, case)}
        SELECT fromUnixTimestamp64Milli(incident.t_ms, 'UTC') AS t_ms, incident.node AS node,
            incident.domain AS domain, incident.site AS site, incident.signature AS signature,
            incident.minutes_after AS minutes_after, incident.record_id AS record_id
        FROM newest
        ARRAY JOIN JSONExtract(body, 'incidents', 'Array({fields})') AS incident
        ORDER BY t_ms, node"""


@named("node", "cluster", "site", "ring", "role", "build", "since_ms")
def victims(fleet: str = FLEET, case: str = CASE) -> str:
    """The nodes that failed, with what they are and since when they run their build."""
    return f"""
        WITH {_newest(fleet, case)}, {nodes(fleet)}, {running(fleet)}
        SELECT node, nodes.cluster AS cluster, nodes.site AS site, nodes.ring AS ring,
            nodes.role AS role, running.build AS build, running.since_ms AS since_ms
        FROM (SELECT arrayJoin(victim_nodes) AS node FROM newest) AS hit
        LEFT JOIN nodes USING (node)
        LEFT JOIN running USING (node)
        ORDER BY since_ms, node"""


@named("group", "nodes", "next")
def left(fleet: str = FLEET, case: str = CASE) -> str:
    """What is left to protect, by where the KB stands, and what to do for each group."""
    return f"""
        WITH {_newest(fleet, case)}
        SELECT row.1 AS `group`, row.2 AS nodes, row.3 AS next
        FROM newest
        ARRAY JOIN [
            ('not offered', left_untouched, 'do not offer it'),
            ('offered', left_offered, 'withdraw it before it is installed'),
            ('staged', left_staged, 'hold the reboot'),
            ('in effect', left_effective, 'watch; roll back where it failed')
        ] AS row"""


@named("node", "next", "cluster", "site", "ring", "role")
def to_do(fleet: str = FLEET, case: str = CASE) -> str:
    """Every node of the branch and what to do with it next, by the verdict's own lists: a list to
    filter and to copy.
    """
    return f"""
        WITH {_newest(fleet, case)}, {nodes(fleet)}
        SELECT nodes.node AS node,
            multiIf(
                has(newest.victim_nodes, node), '1 failed: roll back, or switch the change off',
                has(JSONExtract(newest.body, 'left', 'staged_nodes', 'Array(String)'), node),
                    '2 staged: hold the reboot',
                has(JSONExtract(newest.body, 'left', 'untouched_nodes', 'Array(String)'), node),
                    '3 not patched: do not offer it',
                '4 patched or offered: watch') AS next,
            cluster, site, ring, role
        FROM nodes INNER JOIN newest USING (branch)
        ORDER BY next, ring, node"""


@named("time", "signature", "onsets")
def onsets(fleet: str = FLEET, case: str = CASE) -> str:
    """Failures with impact on the case's branch by hour and signature, patched or not: what
    happens beside the case's own signature. The eight most frequent.
    """
    branch = f"splitByChar('@', {case})[2]"
    return f"""
        WITH frequent AS
        (
            SELECT signature FROM onsets
            WHERE fleet = {fleet} AND branch = {branch} AND impact != 'none'
                AND $__timeFilter_ms(first_ms)
            GROUP BY signature ORDER BY uniq(node, first_ms) DESC, signature LIMIT 8
        )
        SELECT toStartOfHour(first_ms) AS time, signature, uniq(node, first_ms) AS onsets
        FROM onsets
        WHERE fleet = {fleet} AND branch = {branch} AND $__timeFilter_ms(first_ms)
            AND signature IN (SELECT signature FROM frequent)
        GROUP BY time, signature
        ORDER BY time, signature"""
