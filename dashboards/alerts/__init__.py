"""The alert rules: few, each a page that somebody must act on.

Three laws. One trouble pages once: a rule that another trouble would set off looks back from the
newest arrival instead of from now (``dashboards.sql.alerts``), and only ``lag`` turns a store that
does not answer into a page. No rule resolves because nobody could ask: on an error the last state
stays. The watchdog fires while kbwatch is alive; whoever listens to it, outside, pages when it
falls silent.
"""

from dashboards.alerts.rendering import FOLDER, FOLDER_UID, as_file, rules
from dashboards.alerts.rules import ALERTS, Alert

__all__ = ["ALERTS", "FOLDER", "FOLDER_UID", "Alert", "as_file", "rules"]
