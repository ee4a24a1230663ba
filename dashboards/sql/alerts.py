"""What the alert rules ask: a row per thing to page for, its number in ``value``.

Of all fleets at once, and by the clock: a rule has no variables, and the interval macros may be 0
in it. A question that another trouble would answer wrongly looks back from the newest arrival
instead of from now: while nothing arrives, only ``lag`` changes.
"""

from dashboards.sql.halts import leaking
from dashboards.sql.parts import SILENT_AFTER, standing
from dashboards.sql.query import named
from schemas.clickhouse.tables import RECORD_TABLES

EVERY_FLEET = "fleet"
"""Instead of a fleet's name: the column itself, so that ``fleet = fleet``."""

UNCONFIRMED_S = 300
"""How long an active halt may be without a webhook that arrived."""
DEAD_LETTER_MINUTES = 10
DEAD_LETTER_LEAST = 100
"""Fewer messages than this say nothing about a share."""
SILENT_LEAST = 3
SILENT_SHARE = 0.05
"""Telemetry is dead when so many nodes, and such a share of those heard of in a day, are silent."""
ALIVE_S = 300


@named("fleet", "case", "value")
def halt_proposed() -> str:
    """Halts that wait for a person. No row: none waits."""
    return f"""
        WITH {standing(EVERY_FLEET)}
        SELECT fleet, case_id AS `case`, toFloat64(victims) AS value
        FROM standing
        WHERE state = 'proposed'
        ORDER BY fleet, `case`"""


@named("fleet", "case", "value")
def halt_unconfirmed() -> str:
    """Active halts of which five minutes later no target, or not every target, was told; how many
    targets wait, at least one. By the newest arrival, because a delivery that the store does not
    have yet is the store's trouble.
    """
    return f"""
        WITH {standing(EVERY_FLEET)},
        (SELECT max(_received_ms) FROM heartbeats) AS newest_ms,
        hooks AS
        (
            SELECT halt_id, countIf(state = 'delivered') AS told,
                countIf(state != 'delivered') AS waiting
            FROM (SELECT * FROM halt_deliveries
                  ORDER BY _received_ms DESC, _offset DESC LIMIT 1 BY webhook_id)
            GROUP BY halt_id
        )
        SELECT fleet, case_id AS `case`, toFloat64(greatest(hooks.waiting, 1)) AS value
        FROM standing LEFT JOIN hooks USING (halt_id)
        WHERE state = 'active' AND (hooks.told = 0 OR hooks.waiting > 0)
            AND standing._received_ms < newest_ms - INTERVAL {UNCONFIRMED_S} SECOND
        ORDER BY fleet, `case`"""


@named("fleet", "case", "value")
def leak() -> str:
    """Nodes on which a halted KB came into effect although the halt is active. No row: none."""
    return f"""
        WITH {leaking(EVERY_FLEET)}
        SELECT fleet, case_id AS `case`, toFloat64(count()) AS value
        FROM leaking
        GROUP BY fleet, `case`
        ORDER BY fleet, `case`"""


@named("value")
def dead_letter_share() -> str:
    """The share of messages of the last ten minutes that could not be used; 0 for fewer than a
    hundred.
    """
    since = f"now64(3) - INTERVAL {DEAD_LETTER_MINUTES} MINUTE"
    arrived = "\nUNION ALL\n".join(
        f"SELECT _topic_partition, _offset FROM {table} WHERE _received_ms > {since}"
        for table in RECORD_TABLES
    )
    return f"""
        WITH
            (SELECT uniq(origin_topic, origin_partition, origin_offset, digest)
             FROM dead_letters WHERE _received_ms > {since}) AS refused,
            (SELECT uniq(_topic_partition, _offset) FROM ({arrived})) AS arrived
        SELECT if(refused + arrived < {DEAD_LETTER_LEAST}, 0, refused / (refused + arrived))
            AS value"""


@named("value")
def lag() -> str:
    """Seconds since anything arrived in the store. Nodes send heartbeats whatever happens, so a
    growing number means that Kafka, the sink or the store stands still.
    """
    return """
        SELECT toFloat64(dateDiff('second', max(_received_ms), now64(3))) AS value
        FROM heartbeats"""


@named("fleet", "value")
def telemetry() -> str:
    """How many nodes of a fleet are silent, where so many are that telemetry itself has died;
    0 where only some are. One row a fleet: one page with a count, not one a node. As of the newest
    arrival, so that a store that stands still is ``lag`` alone.
    """
    return f"""
        WITH (SELECT max(_received_ms) FROM heartbeats) AS newest_ms,
        beats AS
        (
            SELECT fleet, node, max(t_ms) AS heard_ms,
                argMax(heartbeats.heartbeat_s, t_ms) AS heartbeat_s
            FROM heartbeats
            WHERE _received_ms > newest_ms - INTERVAL 1 DAY
            GROUP BY fleet, node
        )
        SELECT fleet,
            toFloat64(if(countIf(quiet) >= {SILENT_LEAST}
                AND countIf(quiet) > {SILENT_SHARE} * count(), countIf(quiet), 0))
                AS value
        FROM
        (
            SELECT fleet, heartbeat_s > 0
                AND dateDiff('second', heard_ms, newest_ms) > {SILENT_AFTER} AS quiet
            FROM beats
        )
        GROUP BY fleet
        ORDER BY fleet"""


@named("value")
def watchdog() -> str:
    """1 while kbwatch is alive: something arrived within five minutes. The rule fires all the
    time; who listens pages when it falls silent.
    """
    return f"""
        SELECT toFloat64(max(_received_ms) > now64(3) - INTERVAL {ALIVE_S} SECOND) AS value
        FROM heartbeats"""
