"""What the alert rules ask, on stores made for it: one trouble answers to one rule."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from dashboards.macros import Window, expand
from dashboards.sql import alerts
from dashboards.sql.query import Query
from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.migrate import migrate
from schemas.codec import encode
from schemas.halts import Delivery, Halt, Transition
from schemas.reports import Boot, Facts, Heartbeat, NodeReport, Record
from streams.halts.decide import decide
from streams.halts.policy import Policy
from streams.sink import rows
from streams.sink.rows import Origin, Rows, Taken
from tests.fixtures.demo_store import AUTO, deliveries
from tests.fixtures.halts import a_verdict

pytestmark = pytest.mark.slow

MINUTE_MS = 60_000


class Fleet:
    """A store that is told what arrived when, in minutes before now."""

    def __init__(self, store: ChdbStore) -> None:
        self.store = store
        self.now_ms = int(time.time() * 1000)
        self._offset = 0

    def ago(self, minutes: float) -> int:
        return self.now_ms - int(minutes * MINUTE_MS)

    def heard(self, node: str, minutes_ago: float, *more: Record, domain: str = "") -> None:
        at_ms = self.ago(minutes_ago)
        report = NodeReport(
            v=1,
            fleet="default",
            node=node,
            domain=domain or node,
            site="ams",
            sent_ms=at_ms,
            records=[Heartbeat(t_ms=at_ms), *more],
        )
        self._insert(rows.report_rows([Taken(self._origin(at_ms), report, b"")]))

    def booted(self, node: str, build: str, minutes_ago: float, told_minutes_ago: float) -> None:
        self.heard(node, told_minutes_ago, Boot(t_ms=self.ago(minutes_ago), build=build))

    def halted(self, halt: Halt, minutes_ago: float) -> None:
        origin = self._origin(self.ago(minutes_ago))
        self._insert(rows.halt_rows([Taken(origin, halt, encode(halt))]))

    def told(self, *hooks: Delivery) -> None:
        origin = self._origin(self.now_ms)
        self._insert(rows.delivery_rows([Taken(origin, hook, b"") for hook in hooks]))

    def refused(self, count: int) -> None:
        letters: list[Taken[Mapping[str, bytes]]] = [
            Taken(self._origin(self.now_ms), {"origin_offset": str(n).encode()}, b"?")
            for n in range(count)
        ]
        self._insert(rows.dead_letter_rows(letters))

    def values(self, query: Query) -> list[float]:
        result = self.store.query(expand(query.sql, Window(0, 0), {}), {})
        assert result.columns == query.columns
        return [row[-1] for row in result.rows]

    def _origin(self, at_ms: int) -> Origin:
        self._offset += 1
        return Origin("kbw-node-reports-0", self._offset, at_ms)

    def _insert(self, written: Rows) -> None:
        for table, columns in written.items():
            self.store.insert(table, columns, f"{table}/{self._offset}")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    store = ChdbStore(tmp_path / "store")
    try:
        migrate(store)
        yield Fleet(store)
    finally:
        store.close()


def a_halt(fleet: Fleet, policy: Policy = AUTO, minutes_ago: float = 60) -> Halt:
    """A halt whose case crossed, and that was made, so long ago."""
    at_ms = fleet.ago(minutes_ago)
    verdict = a_verdict()
    assert verdict.halt is not None
    crossed = replace(verdict, halt=replace(verdict.halt, t_ms=at_ms - MINUTE_MS))
    halt = decide(crossed, None, policy, at_ms)
    assert halt is not None
    return halt


def test_a_proposal_pages_until_it_is_decided(fleet: Fleet) -> None:
    proposed = a_halt(fleet, Policy())
    fleet.halted(proposed, 60)
    assert fleet.values(alerts.halt_proposed()) == [4.0]

    decided = Transition("denied", fleet.ago(5), "ann", "known noise")
    fleet.halted(replace(proposed, state="denied", history=(*proposed.history, decided)), 5)
    assert fleet.values(alerts.halt_proposed()) == []


def test_an_active_halt_is_unconfirmed_until_every_target_took_it(fleet: Fleet) -> None:
    fleet.heard("web1", 0)
    halt = a_halt(fleet)
    fleet.halted(halt, 60)
    assert fleet.values(alerts.halt_unconfirmed()) == [1.0], "nobody was told"

    arrived, waiting = deliveries(halt, fleet.ago(60))
    fleet.told(arrived, waiting)
    assert fleet.values(alerts.halt_unconfirmed()) == [1.0], "one target waits"

    fleet.told(replace(waiting, state="delivered"))
    assert fleet.values(alerts.halt_unconfirmed()) == []


def test_a_halt_has_five_minutes_to_be_confirmed(fleet: Fleet) -> None:
    fleet.heard("web1", 0)
    fleet.halted(a_halt(fleet, minutes_ago=3), 3)

    assert fleet.values(alerts.halt_unconfirmed()) == []


def test_a_node_that_takes_the_kb_after_the_halt_is_a_leak(fleet: Fleet) -> None:
    fleet.halted(a_halt(fleet), 60)
    fleet.booted("before", "17763.7558", minutes_ago=90, told_minutes_ago=89)
    fleet.booted("told-late", "17763.7558", minutes_ago=90, told_minutes_ago=20)
    fleet.booted("old-build", "17763.7434", minutes_ago=30, told_minutes_ago=29)
    fleet.booted("other-branch", "20348.9999", minutes_ago=30, told_minutes_ago=29)
    fleet.booted("fixed", "17763.7678", minutes_ago=30, told_minutes_ago=29)
    assert fleet.values(alerts.leak()) == []

    fleet.booted("leak", "17763.7558", minutes_ago=30, told_minutes_ago=29)
    fleet.booted("leak-later-build", "17763.7600", minutes_ago=10, told_minutes_ago=9)
    assert fleet.values(alerts.leak()) == [2.0]


def test_a_halt_by_its_rule_leaks_only_where_the_rule_holds(fleet: Fleet) -> None:
    rule = ("clustered", "csv_bitlocker", "role=hyperv", "vendor=x")
    fleet.halted(replace(a_halt(fleet), scope_by="rule", rule=rule), 60)
    hit = Facts(t_ms=0, role="hyperv", covariates={"csv_bitlocker": True, "vendor": "x"})
    for name, domain, facts in (
        ("meant", "hv-c01", hit),
        ("alone", "alone", hit),
        ("web", "web-c01", replace(hit, role="web")),
        ("plain", "hv-c01", replace(hit, covariates={"csv_bitlocker": False, "vendor": "x"})),
    ):
        fleet.heard(name, 50, replace(facts, t_ms=fleet.ago(50)), domain=domain)
        fleet.booted(name, "17763.7558", minutes_ago=30, told_minutes_ago=29)
    fleet.booted("says-nothing", "17763.7558", minutes_ago=30, told_minutes_ago=29)

    assert fleet.values(alerts.leak()) == [1.0]


def test_a_reboot_of_a_patched_node_is_no_leak(fleet: Fleet) -> None:
    fleet.halted(a_halt(fleet), 60)
    fleet.booted("web1", "17763.7558", minutes_ago=90, told_minutes_ago=89)
    fleet.booted("web1", "17763.7558", minutes_ago=10, told_minutes_ago=9)

    assert fleet.values(alerts.leak()) == []


def test_a_lifted_halt_does_not_leak(fleet: Fleet) -> None:
    halt = a_halt(fleet)
    fleet.halted(halt, 60)
    fleet.booted("web1", "17763.7558", minutes_ago=30, told_minutes_ago=29)
    lifted = Transition("lifted", fleet.ago(5), "ann", "the fix is out")
    fleet.halted(replace(halt, state="lifted", history=(*halt.history, lifted)), 5)

    assert fleet.values(alerts.leak()) == []


@pytest.mark.parametrize(("refused", "share"), [(2, 0.0196), (0, 0.0)])
def test_dead_letters_count_as_a_share_of_what_arrived(
    fleet: Fleet, refused: int, share: float
) -> None:
    for number in range(100):
        fleet.heard(f"web{number}", 1)
    fleet.refused(refused)

    assert fleet.values(alerts.dead_letter_share()) == [pytest.approx(share, abs=0.001)]


def test_few_messages_say_nothing_about_a_share(fleet: Fleet) -> None:
    fleet.heard("web1", 1)
    fleet.refused(5)

    assert fleet.values(alerts.dead_letter_share()) == [0.0]


def _all_well(fleet: Fleet) -> None:
    for number in range(40):
        fleet.heard(f"web{number}", 0.5)


def _some_nodes_silent(fleet: Fleet) -> None:
    for number in range(40):
        fleet.heard(f"web{number}", 20 if number < 2 else 0.5)


def _a_site_silent(fleet: Fleet) -> None:
    for number in range(40):
        fleet.heard(f"web{number}", 20 if number < 12 else 0.5)


def _kbwatch_stopped(fleet: Fleet) -> None:
    for number in range(40):
        fleet.heard(f"web{number}", 30)


@pytest.mark.parametrize(
    ("story", "silent", "late", "alive"),
    [
        (_all_well, 0.0, False, 1.0),
        (_some_nodes_silent, 0.0, False, 1.0),
        (_a_site_silent, 12.0, False, 1.0),
        (_kbwatch_stopped, 0.0, True, 0.0),
    ],
)
def test_telemetry_lag_and_watchdog_page_one_at_a_time(
    fleet: Fleet, story: Callable[[Fleet], None], silent: float, late: bool, alive: float
) -> None:
    story(fleet)

    assert fleet.values(alerts.telemetry()) == [silent], "one row with a count, not one a node"
    (lag_s,) = fleet.values(alerts.lag())
    assert (lag_s > 300) == late
    assert fleet.values(alerts.watchdog()) == [alive]


def test_a_store_that_stands_still_proves_nothing_about_webhooks(fleet: Fleet) -> None:
    fleet.heard("web1", 58)
    fleet.halted(a_halt(fleet), 60)

    assert fleet.values(alerts.halt_unconfirmed()) == []
