"""Every metric of the stream processors, in one place."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from schemas.errors import KbwatchError

DEAD_LETTERS = Counter(
    "kbwatch_dead_letters_total", "Messages put into a dead-letter topic.", ["topic", "reason"]
)
STALLED = Gauge(
    "kbwatch_stalled_partitions", "Partitions with work waiting of which nothing is committed."
)
REPORTS = Counter("kbwatch_reports_total", "Node reports taken by the detector.")
EVIDENCE = Counter("kbwatch_evidence_published_total", "Evidence messages published.")
FOLD_SECONDS = Histogram("kbwatch_fold_seconds", "Time to fold the cases of one branch.")
CASES = Gauge("kbwatch_open_cases", "Cases that the judge holds.")
ROWS = Counter("kbwatch_rows_total", "Rows inserted by the sink.", ["table"])
INGESTED = Counter("kbwatch_ingested_events_total", "Events taken from shippers.", ["format"])
INGEST_REPORTS = Counter("kbwatch_ingest_reports_total", "Node reports made of shippers' events.")
INGEST_LEFT_OUT = Counter(
    "kbwatch_ingest_left_out_total", "Events of nodes that have a collector of their own."
)
INGEST_NODES = Gauge("kbwatch_ingest_nodes", "Nodes whose state the ingest worker holds.")
INGEST_EVICTED = Counter(
    "kbwatch_ingest_evicted_nodes_total", "Nodes forgotten because there were too many."
)
INVENTORY_NODES = Gauge("kbwatch_inventory_nodes", "Nodes of the inventory as ingest knows it.")
DELIVERIES = Counter("kbwatch_deliveries_total", "Webhook attempts by outcome.", ["outcome"])


def serve(port: int) -> None:
    """Serve the metrics on ``port`` of the loopback interface; 0 serves none.

    Raises KbwatchError when the port is taken.
    """
    if not port:
        return
    try:
        start_http_server(port, addr="127.0.0.1")
    except OSError as error:
        raise KbwatchError(
            f"metrics_port {port}: {error.strerror}; choose another port, or 0 for none"
        ) from None
