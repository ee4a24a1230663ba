"""The webhook that the documentation and the golden messages show is the one that is sent."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import schemas
from schemas.codec import decode
from schemas.halts import Delivery, Halt
from schemas.verdicts import Blast, Verdict
from streams.halts.decide import decide
from streams.halts.deliveries import plan
from streams.halts.policy import Policy
from tests.fixtures.halts import a_verdict

_ROOT = Path(schemas.__file__).parents[1]
_EXAMPLES = _ROOT / "schemas" / "examples"
_RULE = ("clustered", "csv_bitlocker")


def shown() -> list[dict[str, Any]]:
    """The webhook of docs/operations.md, and what it says a halt for the rule has instead."""
    section = (_ROOT / "docs" / "operations.md").read_text().partition("\n## Webhooks\n")[2]
    whole, narrow = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    message: dict[str, Any] = json.loads(whole)
    return [message["data"], {**message["data"], **json.loads(f"{{{narrow}}}")}]


def sent(verdict: Verdict, policy: Policy) -> dict[str, Any]:
    halt = decide(verdict, None, policy, 1_752_105_450_100)
    assert halt is not None
    (delivery,) = plan(halt, ["pipeline"], ())
    data: dict[str, Any] = json.loads(delivery.body)["data"]
    return data


@pytest.mark.parametrize("scope", ["branch", "rule"])
def test_the_webhook_that_is_shown_has_the_fields_that_are_sent(scope: str) -> None:
    data = next(data for data in shown() if data["scope_by"] == scope)
    verdict = a_verdict(rule=_RULE, blast=Blast(nodes=44, staged=4))
    real = sent(verdict, Policy(mode="auto", scope="rule" if scope == "rule" else "branch"))

    assert data.keys() == real.keys()
    for part in ("held", "left", "blast", "to_do"):
        assert data[part].keys() == real[part].keys(), part
    assert data["scope"] == real["scope"]
    assert (data["held"]["scope_by"], data["left"]["scope_by"]) == (scope, "branch")


def test_the_counts_that_are_shown_agree_with_one_another() -> None:
    by_branch, by_rule = shown()
    left, blast = by_branch["left"], by_branch["blast"]

    assert by_branch["held"]["nodes"] == left["untouched"] + left["offered"] + left["staged"]
    assert by_branch["held"]["staged"] == left["staged"]
    assert by_rule["held"] == {"scope_by": "rule", **blast}
    assert by_rule["left"] == left


def test_the_golden_delivery_is_that_of_the_golden_halt() -> None:
    halt = decode((_EXAMPLES / "kbw-halts.approved.json").read_bytes(), Halt)
    golden = decode((_EXAMPLES / "kbw-halt-deliveries.pending.json").read_bytes(), Delivery)

    (planned,) = plan(halt, [golden.target], ())

    assert golden.body == planned.body
    assert golden.webhook_id == planned.webhook_id
    assert golden.created_ms == planned.created_ms
