"""``build/demo/summary.json``: what the demo came to, for programs."""

import json
from pathlib import Path

from msgspec import Struct

from schemas.halts import Delivery
from schemas.verdicts import Verdict
from streams.regbench.scenarios.kb5062557 import Truth


class Records(Struct, frozen=True):
    """Elements of reports (events, patches, boots, facts, heartbeats); a malformed report is one.

    Law when all went well: produced = stored + duplicates + dead_lettered.
    """

    produced: int
    stored: int
    duplicates: int
    dead_lettered: int

    @property
    def balanced(self) -> bool:
        """Whether every produced element is accounted for."""
        return self.produced == self.stored + self.duplicates + self.dead_lettered


class Webhook(Struct, frozen=True):
    """What became of the halt's webhook."""

    delivered: bool
    signature_verified: bool
    detect_to_delivery_ms: int | None
    """From the verdict's arrival in Kafka to the receiver."""


class Real(Struct, frozen=True):
    """The real Windows log, sent through the same pipeline."""

    file: str
    records: int
    stored: int
    case: str
    effective_ms: int
    verdict: str


class Summary(Struct, frozen=True):
    """The whole."""

    broker: str
    store: str
    wall_s: float
    case: str
    halted: bool
    crossed_ms: int | None
    first_victim_ms: int | None
    victims_at_halt: int | None
    """Nodes that the defect had broken when the threshold was crossed, by the scenario's truth."""
    exposed_at_halt: int | None
    nodes_total: int
    applicable_unpatched_at_halt: int | None
    signature: str
    false_halts: tuple[str, ...]
    notices: tuple[str, ...]
    records: Records
    webhook: Webhook
    real: Real | None

    def failures(self, harmful: bool) -> list[str]:
        """Why the demo does not exit with 0; empty when all is as it should be."""
        out = []
        if harmful and not self.halted:
            out.append(f"{self.case} was not halted")
        if harmful and not (self.webhook.delivered and self.webhook.signature_verified):
            out.append("the webhook was not delivered with a valid signature")
        if self.false_halts:
            out.append(f"halted without a cause: {', '.join(self.false_halts)}")
        if not self.records.balanced:
            r = self.records
            missing = r.produced - r.stored - r.duplicates - r.dead_lettered
            out.append(f"{missing} of {r.produced} produced elements are not accounted for")
        if self.real and self.real.records != self.real.stored:
            out.append(f"{self.real.file}: {self.real.stored} of {self.real.records} stored")
        if self.real and self.real.verdict == "halt":
            out.append(f"{self.real.case} was halted on one node's log")
        return out


def victims_at(truth: Truth, verdict: Verdict | None) -> int | None:
    """Nodes broken by the defect up to and including the crossing."""
    if verdict is None or verdict.halt is None:
        return None
    return sum(t_ms <= verdict.halt.t_ms for t_ms in truth.victims.values())


def webhook(
    deliveries: list[Delivery], receipts: Path, case: str, published_ms: int | None
) -> Webhook:
    """What the receiver wrote down of the case's webhooks (``receipts``: its JSON lines)."""
    ids = {d.webhook_id for d in deliveries if d.case == case and d.state == "delivered"}
    lines = [json.loads(text) for text in receipts.read_text().splitlines()] if ids else []
    mine = [line for line in lines if line["webhook_id"] in ids]
    received_ms = min((line["received_ms"] for line in mine if line["verified"]), default=None)
    took = None
    if received_ms is not None and published_ms is not None:
        took = max(received_ms - published_ms, 0)
    return Webhook(bool(ids), bool(mine) and all(line["verified"] for line in mine), took)
