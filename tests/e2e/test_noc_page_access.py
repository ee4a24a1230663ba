"""The NOC page for everybody: axe, keyboard, phone, reduced motion."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fixtures.noc_rollout import CASE, incident, judged, verdict
from tests.fixtures.noc_stage import Stage, now_ms
from tests.fixtures.npm import installed

pytestmark = pytest.mark.slow

SIZES = ((1920, 1080), (1366, 768), (390, 844))
_MANIFEST = Path(__file__).parents[1] / "fixtures" / "npm_axe" / "package.json"
_OPENED = "() => document.querySelectorAll('details').forEach((d) => { d.open = true })"


@pytest.fixture(scope="module", autouse=True)
def _wall(stage: Stage) -> None:
    """A case in each state."""
    at_ms = now_ms()
    stage.publish(incident(at_ms))
    others = {"warn": "KB5000001", "notice": "KB5000002", "quiet": "KB5000003"}
    stage.publish(
        [
            judged(verdict(state, now_ms=at_ms, kb=kb, branch="20348", victims=["w1", "w2"]))  # type: ignore[arg-type]
            for state, kb in (*others.items(), ("inconclusive", "KB5000004"))
        ]
    )
    stage.start()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source."""
    return (installed(_MANIFEST) / "axe-core" / "axe.min.js").read_text()


def serious(page: Page, axe: str) -> list[str]:
    """What axe finds that is serious or critical, and where."""
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:120]} {node['failureSummary'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def opened(browser: Browser, stage: Stage, scheme: str, size: tuple[int, int]) -> Page:
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page.goto(stage.url)
    expect(page.locator(".card")).to_have_count(5)
    return page


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_serious(
    browser: Browser, stage: Stage, axe: str, scheme: str, size: tuple[int, int]
) -> None:
    page = opened(browser, stage, scheme, size)
    try:
        assert serious(page, axe) == []
        page.evaluate(_OPENED)
        page.locator("#find-text").fill("c0")
        page.keyboard.press("Enter")
        assert serious(page, axe) == []
    finally:
        page.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious_without_a_connection(
    browser: Browser, stage: Stage, axe: str, scheme: str
) -> None:
    page = opened(browser, stage, scheme, SIZES[0])
    try:
        stage.stop()
        expect(page.locator("#stale")).to_be_visible()
        assert serious(page, axe) == []
    finally:
        page.close()
        stage.start()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_sticks_out_sideways(browser: Browser, stage: Stage, size: tuple[int, int]) -> None:
    page = opened(browser, stage, "dark", size)
    try:
        page.evaluate(_OPENED)
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    finally:
        page.close()


def test_nothing_moves_when_motion_is_not_wanted(browser: Browser, stage: Stage) -> None:
    page = opened(browser, stage, "dark", SIZES[0])
    try:
        stage.publish([judged(verdict("halt", now_ms=now_ms(), kb="KB5000009", branch="14393"))])
        expect(page.get_by_role("alert")).to_contain_text("KB5000009")
        assert page.evaluate("document.getAnimations().length") == 0
    finally:
        page.close()


def test_a_case_is_chosen_and_its_list_opened_with_the_keyboard(page: Page, stage: Stage) -> None:
    page.goto(stage.url)
    card = page.get_by_role("button", name="KB5000001")
    card.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".now-head .kb")).to_have_text("KB5000001")
    expect(card).to_be_focused()
    expect(card).to_have_attribute("aria-pressed", "true")


def test_focus_can_be_seen(page: Page, stage: Stage) -> None:
    page.goto(stage.url)
    expect(page.locator(".card")).not_to_have_count(0)
    for _ in range(12):
        page.keyboard.press("Tab")
        width = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
        assert width >= 2, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")


def test_focus_and_open_lists_survive_an_update(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.url}#case=default%2F{CASE}")
    summary = page.locator('.step[data-kind="staged"] summary')
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator('.step[data-kind="staged"] .names')).to_be_visible()
    said = verdict("halt", now_ms=now_ms(), victims=("c0-n1", "c0-n2", "c0-n3", "c1-n1"))
    stage.publish([judged(said)])
    expect(page.locator('.step[data-kind="victims"] .step-count')).to_have_text("4")
    expect(page.locator('.step[data-kind="staged"] .names')).to_be_visible()
    expect(summary).to_be_focused()


def test_the_matrix_is_walked_with_the_keyboard(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.url}#case=default%2F{CASE}")
    expect(page.locator("#legend")).to_contain_text("4 victims")
    page.locator("#matrix").focus()
    page.keyboard.press("v")
    expect(page.locator("#said")).to_contain_text("victim, cluster c")
    first = page.locator("#said").inner_text()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#said")).not_to_have_text(first)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tip")).to_be_visible()


def test_the_theme_is_kept(page: Page, stage: Stage) -> None:
    page.goto(stage.url)
    button = page.locator("#theme")
    button.click()
    button.click()
    expect(button).to_have_text("Theme: light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.reload()
    expect(button).to_have_text("Theme: light")
    assert page.evaluate(ground) == light
    button.click()
    button.click()
    expect(button).to_have_text("Theme: dark")
    assert page.evaluate(ground) != light
