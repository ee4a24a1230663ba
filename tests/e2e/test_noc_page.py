"""The NOC page in a browser: which KB, how bad, where, what is stopped, what to do."""

import re

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from tests.fixtures.noc_rollout import (
    CASE,
    MINUTE_MS,
    cluster,
    halted,
    incident,
    judged,
    told,
    verdict,
)
from tests.fixtures.noc_stage import Complaints, Stage, eventually, now_ms

pytestmark = pytest.mark.slow

VICTIMS = ("c0-n1", "c0-n2", "c1-n1")
ID = f"default/{CASE}"
_COPIED = "navigator.clipboard.readText()"


@pytest.fixture(scope="module", autouse=True)
def _incident(stage: Stage) -> None:
    """KB5062557 at halt on a small fleet, and another KB without trouble."""
    at_ms = now_ms()
    stage.publish(incident(at_ms))
    stage.publish([judged(verdict("quiet", now_ms=at_ms, kb="KB5062572", branch="20348"))])
    stage.start()


def looking(page: Page, stage: Stage) -> Complaints:
    complaints = Complaints(page, stage.url)
    page.goto(stage.url)
    expect(page.locator(".now-head .kb")).to_have_text("KB5062557")
    return complaints


def test_the_first_screen_answers_the_five_questions(page: Page, stage: Stage) -> None:
    looking(page, stage)
    now = page.locator("#now")
    expect(now.locator(".badge")).to_have_text("HALT")
    expect(now).to_contain_text("Server 2019 (17763)")
    expect(now).to_contain_text("3 of 40 patched nodes fail")
    expect(now).to_contain_text("clustered and csv_bitlocker")
    expect(now.locator(".spread")).to_have_text("fra 2 in 1 clusterdub 1 in 1 cluster")
    expect(now.locator(".stop")).to_contain_text("NOT stopped")
    expect(now.locator(".stop")).to_contain_text("gate: no-go")
    expect(now.locator('.step[data-kind="staged"]')).to_contain_text("Hold the reboot")
    expect(now.locator(".step").first).to_contain_text("KB5062557")


def test_the_meter_says_how_near_a_halt_and_a_warning_are(page: Page, stage: Stage) -> None:
    looking(page, stage)
    meter = page.locator("#now .meter")
    said = "Evidence E: 350, HALT at 200. Evidence E_w: 470, WARN at 100."
    expect(meter).to_have_attribute("aria-label", re.compile(re.escape(said)))
    expect(meter).to_contain_text("350 of 200")
    expect(meter).to_contain_text("470 of 100")
    expect(page.locator(f'[data-case="{ID}"] .meter')).to_contain_text("470 of 100")


def test_nodes_that_took_a_halted_kb_are_named(page: Page, stage: Stage) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    at_ms, kb, branch = now_ms(), "KB5066666", "25398"
    said = verdict("halt", now_ms=at_ms, kb=kb, branch=branch, victims=["leaky-n1"])
    assert said.halt is not None
    said = replace(said, halt=replace(said.halt, t_ms=at_ms - 180 * MINUTE_MS))
    leaky = cluster("leaky", "veeeeeu", site="fra", now_ms=at_ms, branch=branch, kbs=[kb])
    stage.publish([leaky, judged(said), halted(said, "active", now_ms=at_ms)])
    page.goto(f"{stage.url}#case=default%2F{kb}%40{branch}")
    expect(page.locator("#now .stop")).to_contain_text(
        "6 nodes took it after the crossing: "
        "leaky-n1, leaky-n2, leaky-n3, leaky-n4, leaky-n5 and 1 more"
    )
    step = page.locator('.step[data-kind="leaked"]')
    expect(step).to_contain_text("Where the halt was active by then, find the way it took")
    step.get_by_role("button").click()
    expect(step.get_by_role("button")).to_have_text("Copied 6 names")
    assert page.evaluate(_COPIED) == "\n".join(f"leaky-n{n}" for n in range(1, 7))


def test_the_worst_state_is_in_the_title_and_the_icon(page: Page, stage: Stage) -> None:
    looking(page, stage)
    expect(page).to_have_title(re.compile("HALT KB5062557 .*· kbwatch"))
    expect(page.locator("#favicon")).to_have_attribute("href", "/static/icons/halt.svg")


def test_nothing_comes_from_elsewhere_and_nothing_fails(page: Page, stage: Stage) -> None:
    complaints = looking(page, stage)
    page.wait_for_timeout(300)
    assert complaints.foreign == []
    assert complaints.errors == []


def test_names_are_copied_one_a_line(page: Page, stage: Stage) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    looking(page, stage)
    button = page.locator('.step[data-kind="victims"] button')
    expect(button).to_have_text("Copy 3 names")
    button.click()
    expect(button).to_have_text("Copied 3 names")
    assert page.evaluate(_COPIED) == "\n".join(VICTIMS)


def test_names_beyond_what_the_card_holds_are_copied_too(page: Page, stage: Stage) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    at_ms = now_ms()
    stage.publish(
        [cluster(f"big{n}", "uuuu", site="iad", now_ms=at_ms, ring="ring2") for n in range(60)]
    )
    looking(page, stage)
    button = page.locator('.step[data-kind="untouched"] button')
    expect(button).to_have_text("Copy 248 names")
    button.click()
    expect(button).to_have_text("Copied 248 names")
    assert len(set(page.evaluate(_COPIED).splitlines())) == 248


def test_the_matrix_says_where_each_node_stands(page: Page, stage: Stage) -> None:
    looking(page, stage)
    expect(page.locator("#legend")).to_contain_text("3 victims")
    expect(page.locator("#legend")).to_contain_text("2 staged")
    page.keyboard.press("/")
    page.keyboard.type("c2-n1")
    page.keyboard.press("Enter")
    expect(page.locator("#tip")).to_contain_text("c2-n1 staged, not rebooted")
    expect(page.locator("#said")).to_have_text("c2-n1, staged, not rebooted, cluster c2, site iad")


def test_a_change_of_evidence_moves_a_node(page: Page, stage: Stage) -> None:
    looking(page, stage)
    expect(page.locator("#legend")).to_contain_text("2 staged")
    stage.publish([cluster("c3", "suuu", site="fra", now_ms=now_ms(), offset=2)])
    expect(page.locator("#legend")).to_contain_text("3 staged")
    expect(page.locator('.step[data-kind="staged"] .step-count')).to_have_text("3")


def test_who_walks_the_matrix_stays_at_its_node_when_nodes_join(page: Page, stage: Stage) -> None:
    looking(page, stage)
    legend = page.locator("#legend")
    expect(legend).to_contain_text("3 victims")
    page.locator("#matrix").focus()
    page.keyboard.press("v")
    said = page.locator("#said")
    expect(said).to_contain_text("victim, cluster c")
    first, before = said.inner_text(), legend.inner_text()
    stage.publish([cluster("c9", "uuuu", site="aaa", now_ms=now_ms())])
    expect(legend).not_to_have_text(before, use_inner_text=True)
    page.keyboard.press("ArrowRight")
    expect(said).not_to_have_text(first)
    page.keyboard.press("ArrowLeft")
    expect(said).to_have_text(first)


def test_a_new_halt_is_told_aloud_and_led_to(page: Page, stage: Stage) -> None:
    looking(page, stage)
    alarm = page.get_by_role("alert")
    expect(alarm).to_be_empty()
    said = verdict("halt", now_ms=now_ms(), kb="KB5063878", branch="26100", victims=["x1"])
    stage.publish([judged(said)])
    expect(alarm).to_contain_text("HALT: KB5063878 on Server 2025 (26100). NOT stopped")
    stage.publish([halted(said, "active", now_ms=now_ms(), why="policy says auto")])
    expect(alarm).to_contain_text("Halt is active")
    page.get_by_role("button", name="Show").and_(page.locator("#alarm button")).click()
    expect(page.locator(".now-head .kb")).to_have_text("KB5063878")
    expect(page.locator("#now .stop")).to_contain_text("Halt is active")
    expect(page.locator("#now .stop")).to_contain_text("policy says auto")
    stage.publish([told(said, target, "pending", now_ms=now_ms()) for target in ("wsus", "awx")])
    expect(page.locator("#now .stop")).to_contain_text("2 not confirmed")
    stage.publish([told(said, "wsus", "delivered", now_ms=now_ms())])
    expect(page.locator("#now .stop")).to_contain_text("wsus (delivered)")
    expect(page.locator("#now .stop")).to_contain_text("1 not confirmed")
    expect(alarm).to_be_empty()
    page.reload()
    expect(page.locator(".now-head .kb")).to_have_text("KB5063878")
    page.get_by_role("button", name="Back to the worst case").click()
    expect(page.locator(".now-head .kb")).to_have_text("KB5062557")


def test_a_reload_and_a_restart_keep_the_state(page: Page, stage: Stage) -> None:
    complaints = looking(page, stage)
    before = words(page)
    page.reload()
    eventually(page, lambda: words(page) == before, "a reload shows the same")
    stage.stop()
    expect(page.locator("body")).to_have_attribute("data-link", "lost")
    expect(page.locator("#stale")).to_contain_text("No connection to the server since")
    expect(page).to_have_title(re.compile("NO CONNECTION · .*HALT .* · kbwatch"))
    assert words(page) == before
    missed = verdict("halt", now_ms=now_ms(), kb="KB5055555", branch="14393", log_e=5.4)
    stage.publish([judged(missed)])
    stage.start()
    expect(page.locator("body")).to_have_attribute("data-link", "live")
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.get_by_role("alert")).to_contain_text("HALT: KB5055555")
    assert set(before) < set(words(page))
    assert all("ERR_" in error or "503" in error for error in complaints.errors)


def test_old_data_look_old(page: Page, stage: Stage) -> None:
    at_ms = now_ms()
    old = verdict("warn", now_ms=at_ms, kb="KB5011111", branch="20348", asof_ms=at_ms - 7_200_000)
    recorded = verdict("notice", now_ms=at_ms, kb="KB5022222", branch="20348", asof_ms=10**12)
    stage.publish([judged(old), judged(recorded)])
    looking(page, stage)
    card = page.locator('[data-case="default/KB5011111@20348"]')
    expect(card.locator(".old")).to_have_text("2 h 00 min")
    card = page.locator('[data-case="default/KB5022222@20348"]')
    expect(card).to_contain_text("recorded: Sun 9 Sep 2001 01:46Z")


def test_a_closed_case_leaves_the_page(page: Page, stage: Stage) -> None:
    looking(page, stage)
    expect(page.locator('[data-case="default/KB5062572@20348"]')).to_be_visible()
    topic, name, _ = judged(verdict("quiet", now_ms=now_ms(), kb="KB5062572", branch="20348"))
    stage.publish([(topic, name, None)])
    expect(page.locator('[data-case="default/KB5062572@20348"]')).to_have_count(0)


def words(page: Page) -> list[str]:
    """What the page says of each case and of what to do, the ages apart."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(
             ".now-head .kb, #now .big, #now .stop-head, .step-text, .card h3, .card .figure")]
           .map((element) => element.textContent.replace(/ for .*/, ""))"""
    )
    return found
