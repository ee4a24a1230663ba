"""/metrics and /healthz on loopback.

Written by hand on the standard library: a node on which nobody asks for metrics shall not carry a
library for them, and the text is a dozen lines.
"""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from collectors.runtime.status import Status
from schemas.errors import KbwatchError

_HOST = "127.0.0.1"
_CLIENT_TIMEOUT_S = 5.0
_PREFIX = "kbwatch_collector_"

_METRICS: dict[str, tuple[str, str]] = {
    "healthy": ("gauge", "1 when /healthz says 200."),
    "uptime_seconds": ("gauge", "Seconds since the start."),
    "records_total": ("counter", "Records taken from the sources."),
    "reports_spooled_total": ("counter", "Reports written to the spool."),
    "reports_acked_total": ("counter", "Reports that Kafka has acknowledged."),
    "dropped_total": ("counter", "Records that the full spool has dropped, in its life."),
    "refused_total": ("counter", "Records that no reader or Kafka would take."),
    "spool_lost_total": ("counter", "Records of the spool that the disk has lost, in its life."),
    "spool_depth": ("gauge", "Records that Kafka has not acknowledged."),
    "spool_bytes": ("gauge", "Size of the spool on disk."),
    "spool_writable": ("gauge", "0 while the spool can't be written and reading stands still."),
    "waiting_seconds": ("gauge", "How long the spool has waited for an answer of Kafka."),
    "settings_in_effect": ("gauge", "0 while the settings file has an error."),
    "source_up": ("gauge", "1 when the source delivers."),
    "source_items_total": ("counter", "Items read from the source."),
    "source_lost_total": ("counter", "Records that the log lost before they could be read."),
    "channel_lag_seconds": ("gauge", "Age of the newest record read, behind the channel's head."),
    "channel_newest_record_id": ("gauge", "Newest record read of the channel."),
}


class HttpServer:
    """Serves in a thread of its own until ``close``."""

    def __init__(self, port: int, status: Callable[[], Status]) -> None:
        """Listen on 127.0.0.1. Raises KbwatchError when the port is taken."""
        handler = type("Handler", (_Handler,), {"status": staticmethod(status)})
        try:
            self._server = ThreadingHTTPServer((_HOST, port), handler)
        except OSError as error:
            raise KbwatchError(
                f"http_port {port}: {error.strerror}; choose another port, or 0 for none"
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    status: Callable[[], Status]
    timeout = _CLIENT_TIMEOUT_S
    server_version = "kbwatch-collector"
    sys_version = ""

    def do_GET(self) -> None:  # the name that http.server asks for
        path = self.path.partition("?")[0]
        if path == "/healthz":
            status = self.status()
            problems = status.problems()
            body = {"problems": problems, "hints": status.hints(), "status": status}
            self._answer(503 if problems else 200, "application/json", msgspec.json.encode(body))
        elif path == "/metrics":
            text = exposition(self.status())
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", text.encode())
        else:
            self._answer(404, "text/plain; charset=utf-8", b"/metrics and /healthz\n")

    def log_message(self, format: str, *args: object) -> None:  # the signature of http.server
        """Requests are not logged."""

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def exposition(status: Status) -> str:
    """The status in Prometheus' text format, version 0.0.4."""
    values: dict[str, list[tuple[str, float]]] = {name: [] for name in _METRICS}
    for name, labels, value in _samples(status):
        values[name].append((labels, value))
    lines = []
    for name, (kind, meaning) in _METRICS.items():
        lines += [f"# HELP {_PREFIX}{name} {meaning}", f"# TYPE {_PREFIX}{name} {kind}"]
        lines += [f"{_PREFIX}{name}{labels} {value:.15g}" for labels, value in values[name]]
    return "\n".join(lines) + "\n"


def _samples(status: Status) -> Iterator[tuple[str, str, float]]:
    yield "healthy", "", not status.problems()
    yield "uptime_seconds", "", status.uptime_s
    yield "records_total", "", status.records
    yield "reports_spooled_total", "", status.reports_spooled
    yield "reports_acked_total", "", status.reports_acked
    yield "dropped_total", "", status.dropped
    yield "refused_total", "", status.refused
    yield "spool_lost_total", "", status.spool_lost
    yield "spool_depth", "", status.spool_depth
    yield "spool_bytes", "", status.spool_bytes
    yield "spool_writable", "", not status.spool_trouble
    yield "waiting_seconds", "", status.waiting_s
    yield "settings_in_effect", "", not status.settings_trouble
    for name, source in status.sources.items():
        labels = _labels(source=name)
        yield "source_up", labels, not source.trouble
        yield "source_items_total", labels, source.items
        yield "source_lost_total", labels, source.lost
        for channel, health in source.channels.items():
            both = _labels(source=name, channel=channel)
            yield "channel_lag_seconds", both, health.lag_s
            yield "channel_newest_record_id", both, health.newest_record_id


def _labels(**labels: str) -> str:
    quoted = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{','.join(quoted)}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
