"""The NOC page with 20,000 nodes and 60 cases, in Chromium over a real Kafka.

    make bench

Adds to build/bench/summary.json: how long after its publication a halt is on the screen, the first
paint, the main thread's work per update, and the server's memory. Exit 1 when a bar is missed.
"""

import statistics
import sys
import time
from collections.abc import Callable

from playwright.sync_api import CDPSession, Page

from tests.bench.noc_wall import BRANCHES, CASES, NODES, peak_rss_mib, staged, wall, wall_cluster
from tests.bench.summary import add, exit_code
from tests.fixtures.noc_rollout import FLEET, Record, judged, verdict
from tests.fixtures.noc_stage import Stage, chromium, now_ms

_ROUNDS = 40
_BARS = {
    "noc_halt_visible_ms.p95": 1_000.0,
    "noc_drawn_ms": 2_000.0,
    "noc_update_main_thread_ms.p95": 100.0,
    "noc_server_rss_mib": 300.0,
}
_WATCH = """
  window.drawnMs = 0; window.longest = 0; window.seen = {};
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({type: "longtask", buffered: true});
  const whole = () => document.querySelectorAll(".card").length >= CASES
    && document.querySelector("#cells").height > 100 && document.querySelector(".step");
  new MutationObserver(() => {
    if (!window.drawnMs && whole()) requestAnimationFrame(() => {
      window.drawnMs ||= performance.now();
    });
    for (const card of document.querySelectorAll('.card[data-state="halt"]')) {
      const id = card.dataset.case;
      if (!(id in window.seen)) {
        window.seen[id] = 0;
        requestAnimationFrame(() => { window.seen[id] = Date.now(); });
      }
    }
  }).observe(document, {childList: true, subtree: true, attributes: true,
                        attributeFilter: ["data-state"]});
"""


def main() -> int:
    """Measure, print and write."""
    with staged() as stage:
        figures = _measured(stage)
    add(figures)
    return exit_code([bar for bar, most in _BARS.items() if _figure(figures, bar) > most])


def _measured(stage: Stage) -> dict[str, object]:
    stage.publish(wall())
    begin = time.monotonic()
    pid = stage.start()
    ready_s = time.monotonic() - begin
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.add_init_script(_WATCH.replace("CASES", str(CASES)))
        page.goto(stage.url)
        page.wait_for_function("() => window.drawnMs > 0")
        first_paint = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        drawn = page.evaluate("window.drawnMs")
        page.wait_for_timeout(2_000)
        page.evaluate("window.longest = 0")
        visible = _halts(stage, page)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        updates = [
            *_work(page, session, lambda n: stage.publish(_verdict_moves(n))),
            *_work(page, session, lambda n: stage.publish(_nodes_move(n))),
        ]
        longest = page.evaluate("window.longest")
        heap = page.evaluate("performance.memory.usedJSHeapSize") / 2**20
    return {
        "noc_nodes": NODES,
        "noc_cases": CASES,
        "noc_ready_s": round(ready_s, 1),
        "noc_first_paint_ms": round(first_paint),
        "noc_drawn_ms": round(drawn),
        "noc_halt_visible_ms": _percentiles(visible),
        "noc_update_main_thread_ms": _percentiles(updates),
        "noc_longest_task_ms": round(longest),
        "noc_page_heap_mib": round(heap),
        "noc_server_rss_mib": peak_rss_mib(pid),
    }


def _halts(stage: Stage, page: Page) -> list[float]:
    """From Kafka's time of a verdict that says halt to the frame that shows it, in ms."""
    took = []
    for number in range(_ROUNDS):
        kb = f"KB6{number:06d}"
        name = f"{FLEET}/{kb}@17763"
        said = verdict("halt", now_ms=now_ms(), kb=kb, victims=["c00001-n1"], log_e=5.4)
        (published_ms,) = stage.publish([judged(said)])
        page.wait_for_function("(id) => window.seen[id] > 0", arg=name)
        took.append(page.evaluate("(id) => window.seen[id]", name) - published_ms)
        topic, key, _ = judged(said)
        stage.publish([(topic, key, None)])
        page.wait_for_timeout(37 * (number % 9))  # not in step with the server's flushes
    page.wait_for_timeout(2_000)
    return took


def _work(page: Page, session: CDPSession, update: Callable[[int], object]) -> list[float]:
    """What the main thread works for an update until all of it is drawn, above idling, in ms."""
    idle = [_busy_ms(page, session) for _ in range(3)]
    took = []
    for number in range(_ROUNDS // 2):
        before = _task_ms(session)
        update(number)
        page.wait_for_timeout(1_500)
        took.append(max(0.0, _task_ms(session) - before - statistics.median(idle)))
    return took


def _busy_ms(page: Page, session: CDPSession) -> float:
    before = _task_ms(session)
    page.wait_for_timeout(1_500)
    return _task_ms(session) - before


def _task_ms(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration")) * 1000


def _verdict_moves(number: int) -> list[Record]:
    """A verdict of the case in view with other numbers."""
    kb, branch = f"KB500{BRANCHES[1]}", BRANCHES[1]
    victims = [f"c{n:05d}-n1" for n in range(1, 400 * (number + 2), 400)]
    said = verdict(
        "halt", now_ms=now_ms(), kb=kb, branch=branch, victims=victims, log_e=6 + number / 10
    )
    return [judged(said)]


def _nodes_move(number: int) -> list[Record]:
    """Twenty clusters in which a node takes the KB."""
    return [wall_cluster(20 * number + n, "eees", offset=2) for n in range(20)]


def _percentiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {"p50": round(statistics.median(values), 1), "p95": round(cuts[18], 1)}


def _figure(figures: dict[str, object], path: str) -> float:
    value: object = figures
    for part in path.split("."):
        assert isinstance(value, dict)
        value = value[part]
    assert isinstance(value, int | float)
    return value


if __name__ == "__main__":
    sys.exit(main())
