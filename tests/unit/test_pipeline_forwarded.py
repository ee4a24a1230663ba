"""What a WEC server's collector ships of other nodes, and for whom."""

from collectors.pipeline.node_list import NodeList
from collectors.pipeline.pipeline import Pipeline
from schemas.inventory import InventoryNode
from schemas.reports import Event, Facts
from schemas.topics import key
from tests.fixtures.pipelines import DAY, NOW, SETTINGS, booted, event, item, records, shipped


class Listed:
    """The operator's list, which may change."""

    def __init__(self, *nodes: InventoryNode) -> None:
        self.now = nodes

    def find(self, name: str) -> InventoryNode | None:
        return NodeList(self.now, "prod").find(name)


def listed(node: str, **rest: object) -> InventoryNode:
    fields = {"fleet": "prod", "domain": "hv-c01", "site": "fra", **rest}
    return InventoryNode(v=1, node=node, **fields)  # type: ignore[arg-type]


CLUSTER_OF_FOUR = tuple(
    listed(f"hv0{n}", role="hyperv", ring="r1", virtual=False, covariates={"s2d": True})
    for n in range(2, 6)
)


class TestForwarded:
    """Nodes behind a WEC server, with the operator's list."""

    def line(self, *nodes: InventoryNode) -> tuple[Pipeline, Listed]:
        known = Listed(*nodes)
        return Pipeline(SETTINGS, "wec01", "wec01", "1.2.3", known), known

    def test_a_cluster_of_four_is_one_domain(self) -> None:
        line, _ = self.line(*CLUSTER_OF_FOUR)
        bundles = shipped(line, *(item(event(n), origin=f"hv0{n}") for n in range(2, 6)))
        assert {b.report.node for b in bundles} == {"hv02", "hv03", "hv04", "hv05"}
        assert {key(b.report.fleet, b.report.domain) for b in bundles} == {b"prod|hv-c01"}
        assert {b.report.site for b in bundles} == {"fra"}
        assert {b.report.heartbeat_s for b in bundles} == {0}

    def test_nodes_that_are_not_in_it_stand_alone_at_no_site(self) -> None:
        line, _ = self.line(*CLUSTER_OF_FOUR)
        (bundle,) = shipped(line, item(event(), origin="web01"))
        report = bundle.report
        assert (report.fleet, report.domain, report.site) == ("prod", "web01", "unknown")
        assert not any(isinstance(record, Facts) for record in report.records)

    def test_the_server_itself_is_what_its_settings_say(self) -> None:
        line, _ = self.line(listed("wec01"))
        (bundle,) = shipped(line, item(event()))
        assert (bundle.report.domain, bundle.report.heartbeat_s) == ("wec01", 60)

    def test_what_a_node_logged_under_an_earlier_name_is_its_own(self) -> None:
        line, _ = self.line(listed("hv02", aliases=("old2",)))
        bundles = shipped(line, item(event(1), origin="old2"), item(event(2), origin="hv02"))
        assert {(b.report.node, b.report.domain) for b in bundles} == {("hv02", "hv-c01")}

    def test_it_may_be_of_another_fleet(self) -> None:
        line, _ = self.line(listed("hv02", fleet="lab"))
        assert {b.report.fleet for b in shipped(line, item(event(), origin="hv02"))} == {"lab"}

    def test_of_two_with_a_name_the_own_fleets_is_meant_else_nobody(self) -> None:
        line, known = self.line(listed("a", fleet="lab"), listed("a"), listed("b", fleet="lab"))
        known.now += (listed("b", fleet="dev"),)
        bundles = shipped(line, item(event(1), origin="a"), item(event(2), origin="b"))
        assert {(b.report.fleet, b.report.domain) for b in bundles} == {
            ("prod", "hv-c01"),
            ("prod", "b"),
        }

    def test_what_has_a_collector_of_its_own_is_left_out(self) -> None:
        line, _ = self.line(listed("hv02", collector=True))
        assert shipped(line, item(event(), origin="hv02")) == []
        assert line.refused == 0

    def facts(self, line: Pipeline, *events: Event) -> list[Facts]:
        found = shipped(line, *(item(one, origin="hv02") for one in events))
        return [record for record in records(found) if isinstance(record, Facts)]

    def test_facts_come_at_first_sight_and_daily(self) -> None:
        line, _ = self.line(*CLUSTER_OF_FOUR)
        said = self.facts(line, event(1, t_ms=NOW - 2 * DAY), event(2, t_ms=NOW - 2 * DAY + 1))
        assert said == [
            Facts(
                t_ms=NOW - 2 * DAY,
                role="hyperv",
                cluster="hv-c01",
                ring="r1",
                virtual=False,
                covariates={"s2d": True},
            )
        ]
        assert [f.t_ms for f in self.facts(line, event(3, t_ms=NOW - DAY))] == [NOW - DAY]

    def test_facts_name_the_branch_of_the_newest_boot(self) -> None:
        line, _ = self.line(listed("hv02", branch="14393"))
        assert [f.branch for f in self.facts(line, event(1))] == ["14393"]
        line, _ = self.line(listed("hv02", branch="14393"))
        assert [f.branch for f in self.facts(line, booted(1))] == ["17763"]

    def test_a_changed_list_holds_from_the_next_event_on_and_is_said(self) -> None:
        line, known = self.line(*CLUSTER_OF_FOUR)
        (before,) = self.facts(line, event(2, t_ms=NOW))
        known.now = (listed("hv02", domain="hv-c02", ring="r2"),)
        found = shipped(line, item(event(3, t_ms=NOW - 5), origin="hv02"))
        assert {b.report.domain for b in found} == {"hv-c02"}
        (after,) = [record for record in records(found) if isinstance(record, Facts)]
        assert (after.cluster, after.ring) == ("hv-c02", "r2")
        assert after.t_ms > before.t_ms

    def test_a_clock_that_is_ahead_does_not_hold_back_what_the_list_says(self) -> None:
        line, _ = self.line(*CLUSTER_OF_FOUR)
        (said,) = self.facts(line, event(1, t_ms=NOW + 90 * DAY))
        assert said.t_ms == NOW
