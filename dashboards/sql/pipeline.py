"""Pipeline health: is what we see the whole of it, and how old is it? By the broker's clock."""

from dashboards.sql.parts import AT_SITE, END, FLEET, heard, nodes
from dashboards.sql.query import named
from schemas.clickhouse.tables import RECORD_TABLES

_FED = (*RECORD_TABLES, "onsets", "verdicts", "halts")
_SEEN = "$__timeFilter_ms(_received_ms)"
_EVERY = "toStartOfInterval(_received_ms, toIntervalSecond(greatest($__interval_s, 60)))"


def arrivals(fleet: str, tables: tuple[str, ...] = RECORD_TABLES) -> str:
    """The rows of several tables: which, and when the broker got them."""
    return "\nUNION ALL\n".join(
        f"SELECT '{table}' AS what, _received_ms, _topic_partition, _offset, _index\n"
        f"FROM {table} WHERE fleet = {fleet} AND {_SEEN}"
        for table in tables
    )


@named("time", "what", "rows")
def rates(fleet: str = FLEET) -> str:
    """Records that arrived at the broker, by interval and kind. What a collector sent twice arrived
    twice; what the sink stored twice is counted once. It reads every record of the time range, so
    it is slow over months.
    """
    return f"""
        SELECT {_EVERY} AS time, what, uniq(_topic_partition, _offset, _index) AS rows
        FROM ({arrivals(fleet)})
        GROUP BY time, what
        ORDER BY time, what"""


@named("what", "newest_ms", "age_s")
def newest(fleet: str = FLEET) -> str:
    """When the newest row of each kind arrived; its age at the end of the time range."""
    each = "\nUNION ALL\n".join(
        f"SELECT '{table}' AS what, max(_received_ms) AS newest_ms "
        f"FROM {table} WHERE fleet = {fleet} AND _received_ms <= {END}"
        for table in _FED
    )
    return f"""
        SELECT what, newest_ms, dateDiff('second', newest_ms, {END}) AS age_s
        FROM ({each})
        WHERE newest_ms > toDateTime64(0, 3)
        ORDER BY what"""


@named("time", "half", "one in twenty is later")
def lag(fleet: str = FLEET) -> str:
    """Seconds from the sending of a report to its arrival at the broker, by heartbeats: the
    median, and what one in twenty exceeds. A clock that is ahead counts as none.
    """
    return f"""
        SELECT {_EVERY} AS time,
            quantile(0.5)(greatest(dateDiff('second', t_ms, _received_ms), 0)) AS half,
            quantile(0.95)(greatest(dateDiff('second', t_ms, _received_ms), 0))
                AS `one in twenty is later`
        FROM heartbeats
        WHERE fleet = {fleet} AND {_SEEN}
        GROUP BY time
        ORDER BY time"""


@named("refused", "arrived", "share")
def dead_letter_share(fleet: str = FLEET) -> str:
    """Messages that could not be used, against reports that could, in the time range. Dead
    letters belong to no fleet. It reads every record of the time range, so it is slow over months.
    """
    return f"""
        WITH
            (SELECT uniq(origin_topic, origin_partition, origin_offset, digest)
             FROM dead_letters WHERE {_SEEN}) AS refused,
            (SELECT uniq(_topic_partition, _offset) FROM ({arrivals(fleet)})) AS arrived
        SELECT refused, arrived, refused / greatest(refused + arrived, 1) AS share"""


@named("time", "reason", "messages")
def dead_letters() -> str:
    """Messages that could not be used, by interval and reason."""
    return f"""
        SELECT {_EVERY} AS time, reason,
            uniq(origin_topic, origin_partition, origin_offset, digest) AS messages
        FROM dead_letters
        WHERE {_SEEN}
        GROUP BY time, reason
        ORDER BY time, reason"""


@named("topic", "reason", "messages", "newest_ms", "example")
def dead_letter_reasons() -> str:
    """What could not be used, by topic and reason, with one detail to begin from."""
    return f"""
        SELECT origin_topic AS topic, reason,
            uniq(origin_partition, origin_offset, digest) AS messages,
            max(_received_ms) AS newest_ms, argMax(detail, _received_ms) AS example
        FROM dead_letters
        WHERE {_SEEN}
        GROUP BY topic, reason
        ORDER BY messages DESC, topic, reason"""


@named("node", "site", "collector", "lost", "dropped", "spool_depth", "slowest", "lag_s", "silent")
def collectors(fleet: str = FLEET) -> str:
    """What each collector says of itself, the worst first: events lost before it read them,
    dropped because its disk was full, waiting to be sent, and its slowest channel. Heartbeats are
    stored node by node, so the channels of a whole week are read: slow with 10,000 nodes.
    """
    return f"""
        WITH {nodes(fleet)}, {heard(fleet)},
        lost AS
        (
            SELECT node, max(heartbeats.lost) AS lost, max(heartbeats.dropped) AS dropped
            FROM heartbeats
            WHERE fleet = {fleet} AND $__timeFilter_ms(t_ms)
            GROUP BY node
        )
        SELECT node, site, heard.collector AS collector, lost.lost AS lost,
            lost.dropped AS dropped, heard.spool_depth AS spool_depth,
            mapKeys(lags_s)[indexOf(mapValues(lags_s), lag_s)] AS slowest,
            arrayMax(mapValues(lags_s)) AS lag_s, heard.silent AS silent
        FROM nodes INNER JOIN heard USING (node) LEFT JOIN lost USING (node)
        WHERE {AT_SITE}
        ORDER BY lost + dropped DESC, lag_s DESC, spool_depth DESC, node
        LIMIT 200"""


@named("collector", "nodes")
def versions(fleet: str = FLEET) -> str:
    """How many nodes run which version of the collector."""
    return f"""
        WITH {heard(fleet)}
        SELECT collector, count() AS nodes
        FROM heard
        GROUP BY collector
        ORDER BY nodes DESC, collector"""
