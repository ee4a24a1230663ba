"""What nodes say stays text: names, services, messages, reasons full of markup and script."""

import msgspec
import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from schemas.evidence import DomainEvidence
from schemas.halts import Halt
from schemas.health import Health
from schemas.topics import EVIDENCE, HEALTH, key
from schemas.verdicts import Incident, Verdict
from tests.fixtures.noc_rollout import FLEET, MINUTE_MS, Record, cluster, halted, judged, verdict
from tests.fixtures.noc_stage import Complaints, Stage, now_ms

pytestmark = pytest.mark.slow

HOSTILE = (
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "<svg/onload=window.pwned=1>",
    "\"><iframe srcdoc='<script>parent.pwned=1</script>'>",
    "' onmouseover='window.pwned=1' x='",
    "javascript:window.pwned=1",
    "{{constructor.constructor('window.pwned=1')()}}",
    "${window.pwned=1}",
    "</title><script>window.pwned=1</script>",
    "<style>*{display:none}</style>",
    "<a href=javascript:window.pwned=1>x</a>",
    "&lt;b&gt;&#x3c;script&#x3e;",
    "--><script>window.pwned=1</script><!--",
    "\u202egnp.exe\u202c\ufeff\u2028",
    "__proto__",
    "constructor",
)


@pytest.fixture(scope="module", autouse=True)
def _hostile_fleet(stage: Stage) -> None:
    stage.publish(hostile_records(now_ms()))
    stage.start()


def hostile_records(at_ms: int) -> list[Record]:
    """Every text field that a node or an operator can fill, filled with the corpus."""
    _, _, raw = cluster(
        HOSTILE[0], "v" * len(HOSTILE), site="site", now_ms=at_ms, names=HOSTILE, ring=HOSTILE[1]
    )
    evidence = msgspec.json.decode(raw or b"", type=DomainEvidence)
    nodes = tuple(
        replace(node, site=HOSTILE[number % 5], ring=HOSTILE[number % 7], role=HOSTILE[2])
        for number, node in enumerate(evidence.nodes)
    )
    evidence = replace(evidence, nodes=nodes)
    said: Verdict = verdict(
        "halt",
        now_ms=at_ms,
        victims=HOSTILE,
        sentence=" ".join(HOSTILE),
        signature=HOSTILE[1],
        rule=(HOSTILE[2], HOSTILE[3]),
        reasons=HOSTILE,
        suspects={name: 1 / len(HOSTILE) for name in HOSTILE},
        confirmed_against=HOSTILE,
        calibration=HOSTILE[4],
        trust=HOSTILE[5],
        build=HOSTILE[6],
        incidents=tuple(
            Incident(name, f"{name}d", HOSTILE[0], HOSTILE[1], at_ms, 20) for name in HOSTILE
        ),
    )
    assert said.halt is not None
    said = replace(said, halt=replace(said.halt, t_ms=at_ms - 180 * MINUTE_MS))
    topic, name, raw = halted(said, "active", now_ms=at_ms, why=HOSTILE[0])
    halt = msgspec.json.decode(raw or b"", type=Halt)
    last = replace(halt.history[0], who=HOSTILE[1], why=HOSTILE[2])
    halt = replace(halt, scope=HOSTILE[3], history=(last,))
    health = Health(1, HOSTILE[0], "stalled", "critical", HOSTILE[1], at_ms, HOSTILE[2])
    return [
        (EVIDENCE, key(FLEET, evidence.branch, evidence.domain), msgspec.json.encode(evidence)),
        judged(said),
        (topic, name, msgspec.json.encode(halt)),
        (HEALTH, key("x"), msgspec.json.encode(health)),
    ]


def test_no_text_becomes_markup(page: Page, stage: Stage) -> None:
    complaints = Complaints(page, stage.url)
    page.goto(stage.url)
    expect(page.locator(".now-head .badge")).to_have_text("HALT")
    for summary in page.locator("summary").all():
        summary.click()
    page.locator("#find-text").fill("<")
    expect(page.locator("#found li").first).to_be_visible()
    page.locator("#found button").first.click()
    page.locator("#scope button").last.click()
    page.locator("#matrix").hover()
    page.wait_for_timeout(500)
    made = page.evaluate(
        """() => [...document.querySelectorAll(
             "body script, body style, img, iframe, object, embed, a:not(.skip), [onerror], " +
             "[onload], [onmouseover], [style*=display]")].map((e) => e.outerHTML)"""
    )
    assert made == []
    assert page.evaluate("window.pwned ?? Object.prototype.pwned ?? null") is None
    assert complaints.errors == []
    assert complaints.foreign == []


def test_every_hostile_name_is_shown_as_it_is(page: Page, stage: Stage) -> None:
    page.goto(stage.url)
    page.locator('.step[data-kind="victims"] summary').click()
    names = page.locator('.step[data-kind="victims"] .names')
    expect(names).to_be_visible()
    assert sorted((names.text_content() or "").split("\n")) == sorted(HOSTILE)
    page.locator(".fold summary", has_text="Halt:").click()
    expect(page.locator(".now")).to_contain_text(HOSTILE[2])
    leaks = page.locator('.step[data-kind="leaked"] .names')
    assert sorted((leaks.text_content() or "").split("\n")) == sorted(HOSTILE)
    expect(page.locator(".stop")).to_contain_text(sorted(HOSTILE)[0])
    expect(page.locator("#health")).to_contain_text(HOSTILE[1])


def test_hostile_names_are_counted_like_others(page: Page, stage: Stage) -> None:
    page.goto(stage.url)
    expect(page.locator("#legend li").first).to_have_text(f"{len(HOSTILE)} victims")


def test_a_new_halt_with_a_hostile_name_is_told_as_text(page: Page, stage: Stage) -> None:
    page.goto(stage.url)
    expect(page.locator(".now-head .badge")).to_have_text("HALT")
    stage.publish([judged(verdict("halt", now_ms=now_ms(), kb=HOSTILE[1], branch=HOSTILE[0]))])
    alarm = page.get_by_role("alert")
    expect(alarm).to_contain_text(HOSTILE[1])
    assert page.evaluate("window.pwned ?? null") is None
    page.locator("#alarm button", has_text="Show").click()
    expect(page.locator(".now-head .kb")).to_have_text(HOSTILE[1])
    page.reload()
    expect(page.locator(".now-head .kb")).to_have_text(HOSTILE[1])
