"""The rules themselves: what each asks, when it pages, what it does without an answer."""

from typing import Literal

from msgspec import Struct

from dashboards.sql import Query
from dashboards.sql import alerts as ask

NoData = Literal["OK", "Alerting", "NoData", "KeepLast"]
Failed = Literal["OK", "Alerting", "Error", "KeepLast"]


class Alert(Struct, frozen=True):
    """One rule: when it fires, what it says, and what it does without an answer."""

    uid: str
    title: str
    query: Query
    above: float
    hold: str
    """How long it must be so before somebody is paged."""
    severity: Literal["critical", "warning", "none"]
    summary: str
    action: str
    no_data: NoData
    failed: Failed
    why: str
    """Why these two states are as they are."""
    panel: tuple[str, str]
    """The board and the title of the panel that shows the same."""


ALERTS = (
    Alert(
        "kbwatch-halt-proposed",
        "Halt proposed",
        ask.halt_proposed(),
        above=0,
        hold="0s",
        severity="critical",
        summary="{{ $labels.case }} in fleet {{ $labels.fleet }} waits for a decision: "
        "{{ $values.B }} victims",
        action="Read the KB drill-down, then approve or deny the halt.",
        no_data="OK",
        failed="KeepLast",
        why="No row means that nothing is proposed. A store that does not answer must not resolve "
        "a proposal.",
        panel=("kbwatch-halts", "Halts as they stand"),
    ),
    Alert(
        "kbwatch-halt-unconfirmed",
        "Halt not confirmed",
        ask.halt_unconfirmed(),
        above=0,
        hold="0s",
        severity="critical",
        summary="{{ $labels.case }} is halted, and {{ $values.B }} targets have not taken it after "
        "five minutes",
        action="Stop the roll-out at the lever by hand, then look at the webhook.",
        no_data="OK",
        failed="KeepLast",
        why="No row means that every halt is confirmed. A store that does not answer proves "
        "nothing.",
        panel=("kbwatch-halts", "Webhooks"),
    ),
    Alert(
        "kbwatch-leak",
        "Halt leaks",
        ask.leak(),
        above=0,
        hold="0s",
        severity="critical",
        summary="{{ $labels.case }} came into effect on {{ $values.B }} nodes although it is "
        "halted",
        action="Look which rings and sites leak: their lever does not hold, or they were staged.",
        no_data="OK",
        failed="KeepLast",
        why="No row means that nothing leaks. A store that does not answer must not resolve a "
        "leak.",
        panel=("kbwatch-halts", "Leaks: in effect in spite of the halt"),
    ),
    Alert(
        "kbwatch-dead-letters",
        "Dead letters above 1 %",
        ask.dead_letter_share(),
        above=0.01,
        hold="5m",
        severity="warning",
        summary="{{ humanizePercentage $values.B.Value }} of the messages of ten minutes could not "
        "be used",
        action="Look at the reasons: an upgrade of collectors, a shipper's format, or an intruder.",
        no_data="KeepLast",
        failed="KeepLast",
        why="The query always answers; no answer is the store's trouble, which lag pages.",
        panel=("kbwatch-pipeline", "Why they could not be used"),
    ),
    Alert(
        "kbwatch-lag",
        "Nothing arrives in the store",
        ask.lag(),
        above=300,
        hold="2m",
        severity="critical",
        summary="Nothing has arrived for {{ humanizeDuration $values.B.Value }}, or the store does "
        "not answer",
        action="Look at the broker, at `kbwatch run sink` and at the store. The boards show the "
        "past until then; the NOC page does not need the store.",
        no_data="Alerting",
        failed="Alerting",
        why="The one rule that must page when there is no answer: then every other is blind.",
        panel=("kbwatch-pipeline", "The newest of each kind"),
    ),
    Alert(
        "kbwatch-telemetry",
        "Telemetry has died",
        ask.telemetry(),
        above=0,
        hold="5m",
        severity="critical",
        summary="{{ $values.B }} nodes of fleet {{ $labels.fleet }} are silent",
        action="One page for all of them: look which site or cluster they share. Silence after a "
        "patch's reboot may be the patch.",
        no_data="OK",
        failed="KeepLast",
        why="No row means that no node ever sent a heartbeat. It looks back from the newest "
        "arrival, so a store that stands still is lag alone.",
        panel=("kbwatch-fleet", "Not heard of for longest"),
    ),
    Alert(
        "kbwatch-watchdog",
        "Watchdog: kbwatch is alive",
        ask.watchdog(),
        above=0,
        hold="0s",
        severity="none",
        summary="This fires while kbwatch is alive. Route it to a service outside that pages when "
        "it stops.",
        action="Nothing while it fires. When it stops: Grafana, the store, the sink or the broker "
        "is down.",
        no_data="OK",
        failed="OK",
        why="It must fall silent when there is no answer: silence is what pages.",
        panel=("kbwatch-pipeline", "Records arrived, by kind"),
    ),
)  # fmt: skip
