"""One logger set-up for every worker and the NOC page's server: structlog, on standard error."""

import logging
import sys
import time

import structlog

_SAME_MESSAGE_EVERY_S = 10.0
_OURS = ("dashboards", "schemas", "streams")


class _Flood(logging.Filter):
    """Lets one message of a call site through per ten seconds.

    While a broker is away, aiokafka and Faust log thousands of the same errors a minute.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(_OURS):
            return True
        site = (record.pathname, record.lineno)
        now = time.monotonic()
        if now < self._next.get(site, 0.0):
            return False
        self._next[site] = now + _SAME_MESSAGE_EVERY_S
        return True


def configure(level: str, form: str) -> None:
    """Send our own and the libraries' log to standard error, as ``console`` text or ``json``."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_Flood())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for ours in _OURS:
        logging.getLogger(ours).setLevel(level.upper())
