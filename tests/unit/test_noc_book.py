"""What the page shows follows from the records, in whatever order and how often they come."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dashboards.noc.book import Book
from dashboards.noc.model import HISTORY_KEPT, CaseCard, FleetLayout, NodeChanges, WallState
from schemas.evidence import NodePatch
from tests.fixtures.noc import (
    CASE,
    DAY_MS,
    HOUR_MS,
    KB,
    MINUTE_MS,
    NOW_MS,
    Record,
    book_of,
    closed,
    crossing,
    evidence,
    halt,
    halts,
    heard,
    listed,
    node,
    patched,
    says,
    site_of,
    staged,
    take,
    trouble,
    verdict,
)
from tests.fixtures.noc_july import july

ID = f"default/{CASE}"


def card(book: Book, name: str = ID) -> CaseCard:
    case = book.cases.get(name)
    assert case is not None
    return book.cases.card(case)


def letters(book: Book, name: str = ID) -> dict[str, str]:
    case = book.cases.get(name)
    assert case is not None
    return case.map.letters()


def wall(book: Book) -> dict[str, str]:
    return {
        name: letter
        for layout in book.layouts()
        for site in layout.sites
        for cluster in site.clusters
        for name, letter in zip(cluster.nodes, cluster.states, strict=True)
    }


def gates(book: Book) -> list[str]:
    """What the gate says of the case, on the cards that are told now."""
    cards = [data for _, data in book.changes() if isinstance(data, CaseCard)]
    return [card.gate.answer for card in cards if card.id == ID]


def halted(*victims: str) -> Record:
    return says(verdict(state="halt", halt=crossing(5, 6.0, 8, 30, 60), victim_nodes=victims))


def names(book: Book) -> dict[str, tuple[str, ...]]:
    return {step.kind: step.nodes for step in card(book).steps}


class TestWhereANodeStands:
    def test_by_what_its_evidence_and_the_verdict_say(self) -> None:
        fixed = NodePatch(KB, "17763.7558", "effective", NOW_MS - DAY_MS, end_ms=NOW_MS - HOUR_MS)
        back = NodePatch(KB, "17763.7558", "rolled_back", NOW_MS - DAY_MS, end_ms=NOW_MS - HOUR_MS)
        book = book_of(
            halted("victim", "victim-rolled-back"),
            evidence("hit", patched(node("victim"), NOW_MS - HOUR_MS)),
            evidence("well", patched(node("exposed"), NOW_MS - HOUR_MS)),
            evidence("disk", staged(node("staged"))),
            evidence("none", node("untouched")),
            evidence("fixed", node("has-the-fix", build="17763.7567", patches=(fixed,))),
            evidence("back", node("victim-rolled-back", patches=(back,))),
            evidence(
                "gone", heard(patched(node("lost"), NOW_MS - 3 * HOUR_MS), NOW_MS - 2 * HOUR_MS)
            ),
            *(evidence(f"d{n}", node(f"n{n}")) for n in range(20)),
        )

        found = {name: letter for name, letter in letters(book).items() if name[0] != "n"}
        assert found == {
            "victim": "v",
            "exposed": "e",
            "staged": "s",
            "untouched": "u",
            "has-the-fix": "u",
            "victim-rolled-back": "v",
            "lost": "x",
        }

    def test_it_has_no_part_in_a_case_whose_build_it_ran_before_its_log_begins(self) -> None:
        book = book_of(says(verdict()), evidence("d", node("new-server", build="17763.7558")))

        assert letters(book) == {}
        assert wall(book) == {"new-server": "u"}

    def test_a_node_without_heartbeats_is_never_silent(self) -> None:
        quiet = heard(node("quiet", heartbeats=False), NOW_MS - 9 * DAY_MS)
        book = book_of(evidence("q", quiet), *(evidence(f"d{n}", node(f"n{n}")) for n in range(20)))

        assert wall(book)["quiet"] == "u"

    def test_a_past_that_is_replayed_is_not_silent(self) -> None:
        """Only peers tell how late it is: the server's clock is a year ahead of a recording."""
        year_ms = 365 * DAY_MS
        book = book_of(
            *(evidence(f"d{n}", heard(node(f"n{n}"), NOW_MS - year_ms)) for n in range(9))
        )

        assert set(wall(book).values()) == {"u"}

    def test_a_node_that_the_inventory_expects_and_nobody_heard_is_silent(self) -> None:
        book = book_of(listed("never-came", collector=True), listed("of-a-shipper"))

        assert wall(book) == {"never-came": "x"}

    def test_of_two_domains_that_name_it_the_one_that_heard_it_last_has_it(self) -> None:
        moved = node("m")
        book = book_of(
            evidence("new", replace(moved, site="dub")),
            evidence("old", heard(replace(moved, site="fra"), NOW_MS - HOUR_MS)),
        )

        assert [site.site for site in book.layouts()[0].sites] == ["dub"]

    def test_an_older_version_of_its_evidence_changes_nothing(self) -> None:
        book = book_of(
            says(verdict()),
            evidence("d", patched(node("n"), NOW_MS - HOUR_MS), offset=9),
            evidence("d", node("n"), offset=8),
        )

        assert letters(book) == {"n": "e"}

    def test_the_inventory_outranks_what_it_says_of_itself(self) -> None:
        book = book_of(
            says(verdict()),
            evidence("n", node("n", ring="canary")),
            listed("n", domain="c1", site="iad", ring="ring3"),
        )

        (site,) = book.layouts()[0].sites
        assert (site.site, site.clusters[0].cluster) == ("iad", "c1")
        assert [ring.ring for ring in card(book).rings] == ["ring3"]

    def test_evidence_that_is_gone_takes_its_nodes_along(self) -> None:
        topic, key, _ = evidence("d", node("n"))
        book = book_of(says(verdict()), evidence("d", node("n")))
        take(book, (topic, key, None))

        assert letters(book) == {}
        assert wall(book) == {}


class TestTheWall:
    def test_shows_a_node_with_its_worst_state_over_the_cases_that_matter(self) -> None:
        book = book_of(
            halted("n"),
            says(verdict(kb="KB5099999", build="", state="warn", warn=crossing(1, 4.7, 4, 9, 9))),
            says(verdict(kb="KB5088888", build="", state="quiet", victim_nodes=("m",))),
            evidence("n", patched(node("n"), NOW_MS)),
            evidence("m", patched(node("m"), NOW_MS, "KB5088888", "")),
        )

        assert wall(book) == {"n": "v", "m": "u"}

    def test_forgets_a_case_that_was_closed(self) -> None:
        book = book_of(halted("n"), evidence("n", patched(node("n"), NOW_MS)))
        take(book, closed("default", CASE))

        assert wall(book) == {"n": "u"}
        assert ("gone", ID) in [(name, getattr(data, "id", "")) for name, data in book.changes()]

    def test_counts_each_ring_so_that_its_parts_add_up(self) -> None:
        book = book_of(*july())

        for one in book.cases.cards():
            for ring in one.rings:
                parts = (ring.untouched, ring.staged, ring.exposed, ring.victims, ring.silent)
                assert sum(parts) == ring.nodes
        assert sum(ring.nodes for ring in card(book).rings) == 168
        assert sum(ring.victims for ring in card(book).rings) == card(book).victims == 12


class TestWhatToDoNext:
    def test_each_group_has_its_names(self) -> None:
        back = NodePatch(KB, "17763.7558", "rolled_back", NOW_MS - DAY_MS, end_ms=NOW_MS)
        book = book_of(
            halted("c1-n1", "c2-n1"),
            evidence("c1", patched(node("c1-n1"), NOW_MS), staged(node("c1-n2"))),
            evidence("c2", node("c2-n1", patches=(back,)), node("c2-n2")),
            evidence("c3", patched(node("c3-n1"), NOW_MS)),
        )

        assert names(book) == {
            "victims": ("c1-n1",),  # c2-n1 has got rid of it
            "clusters": ("c1",),
            "staged": ("c1-n2",),
            "untouched": ("c2-n2",),
            "exposed": ("c3-n1",),
        }

    def test_nothing_while_the_case_is_quiet(self) -> None:
        book = book_of(says(verdict(state="quiet")), evidence("n", patched(node("n"), NOW_MS)))

        assert card(book).steps == ()

    def test_a_card_has_the_first_names_and_the_true_count(self) -> None:
        waiting = [evidence(f"d{n}", node(f"n{n:04d}")) for n in range(450)]
        book = book_of(halted(), *waiting)
        case = book.cases.get(ID)
        assert case is not None

        (cut,), (whole,) = book.cases.card(case).steps, book.cases.whole(case).steps
        assert (cut.count, len(cut.nodes)) == (450, 200)
        assert (whole.count, len(whole.nodes)) == (450, 450)


class TestHistory:
    def test_is_that_of_the_verdicts_in_their_order(self) -> None:
        book = book_of(
            says(verdict(asof_ms=NOW_MS - 2 * MINUTE_MS, log_e=1.0)),
            says(verdict(asof_ms=NOW_MS - MINUTE_MS, log_e=2.0)),
            says(verdict(asof_ms=NOW_MS - MINUTE_MS, log_e=2.5)),
        )

        assert [point.log_e for point in card(book).history] == [1.0, 2.5]

    def test_keeps_the_recent_whole_and_thins_what_is_old(self) -> None:
        points = 10 * HISTORY_KEPT
        start_ms = NOW_MS - points * MINUTE_MS
        book = book_of(*(says(verdict(asof_ms=start_ms + n * MINUTE_MS)) for n in range(points)))

        times = [(point.t_ms - start_ms) // MINUTE_MS for point in card(book).history]
        assert len(times) <= HISTORY_KEPT
        assert times == sorted(times)
        assert times[0] == 0
        assert times[-50:] == list(range(points - 50, points))


class TestChanges:
    def test_a_verdict_is_told_at_once(self) -> None:
        book = book_of(*july())
        take(book, says(verdict(state="halt", halt=crossing(0, 6.0, 8, 30, 60))))

        told = [(n, d.state) for n, d in book.changes(cards=False) if isinstance(d, CaseCard)]
        assert ("case", "halt") in told

    def test_only_nodes_that_changed_are_told_in_the_case_and_on_the_wall(self) -> None:
        book = book_of(*july())
        one = patched(node("web003", role="web", site="iad", ring="ring3"), NOW_MS)
        take(book, evidence("web003", one, offset=2))

        told = [data for _, data in book.changes(cards=False) if isinstance(data, NodeChanges)]
        assert [(data.case, data.states) for data in told] == [
            ("", {"web003": "e"}),
            (ID, {"web003": "e"}),
        ]

    def test_a_sighting_alone_tells_nothing(self) -> None:
        book = book_of(*july())
        one = heard(node("web003", role="web", site="iad", ring="ring3"), NOW_MS)
        take(book, evidence("web003", one, offset=2))

        assert book.changes() == []

    def test_a_node_that_falls_silent_is_told_by_the_sweep(self) -> None:
        book = book_of(*(evidence(f"d{n}", node(f"n{n}"), offset=1) for n in range(20)))
        later = NOW_MS + 2 * HOUR_MS
        others = (evidence(f"d{n}", heard(node(f"n{n}"), later), offset=2) for n in range(1, 20))
        take(book, *others)
        book.sweep(NOW_MS)

        told = [data.states for _, data in book.changes() if isinstance(data, NodeChanges)]
        assert told == [{"n0": "x"}]

    def test_a_new_node_brings_the_fleets_layout(self) -> None:
        book = book_of(evidence("d", node("n")))
        take(book, evidence("e", node("m")))

        assert [d.fleet for _, d in book.changes() if isinstance(d, FleetLayout)] == ["default"]

    def test_what_was_there_when_reading_began_is_no_change(self) -> None:
        book = book_of(*july(), opened=False)
        book.opened(NOW_MS)

        assert book.changes() == []

    def test_a_halt_changes_its_case_as_well(self) -> None:
        book = book_of(*july())
        said = verdict(state="halt", halt=crossing(0, 6.0, 8, 30, 60))
        take(book, halts(halt(said)))

        assert [name for name, _ in book.changes(cards=False)] == ["halt", "case"]

    def test_an_accusation_changes_what_the_gate_says_and_so_does_its_end(
        self,
    ) -> None:
        other = verdict(kb="KB5063299", state="warn", suspects={"KB5063299": 0.5, KB: 0.5})
        book = book_of(says(verdict()), evidence("n", node("n")))
        take(book, says(other))
        accused = gates(book)
        take(book, closed("default", other.case))
        cleared = gates(book)

        assert (accused, cleared) == (["no-go"], ["inconclusive"])


class TestTrouble:
    @pytest.mark.parametrize(
        "value", [b"", b"{", b'{"v":2}', b'{"v":1,"fleet":"default"}', b"\xff"]
    )
    def test_a_record_that_cannot_be_read_is_counted_and_left_out(self, value: bytes) -> None:
        book = book_of(*july())
        before = book.cases.cards()
        for source in book.sources():
            book.take(source.topic, b"default|x", value, NOW_MS)

        assert [source.refused for source in book.sources()] == [1] * 6
        assert book.cases.cards() == before

    def test_a_record_under_a_key_that_is_not_its_own_is_left_out(self) -> None:
        """Else one could overwrite another's, and its tombstone would remove the wrong one."""
        topic, _, value = says(verdict(state="quiet"))
        book = book_of(halted(), (topic, b"default|KB1@1", value))

        assert card(book).state == "halt"
        assert len(book.cases) == 1

    def test_of_one_kind_of_trouble_the_newest_note_is_shown(self) -> None:
        book = book_of(trouble("sink", 60), trouble("sink", 5), trouble("detector", 30))

        assert [(note.app, NOW_MS - note.at_ms) for note in book.notes()] == [
            ("sink", 5 * MINUTE_MS),
            ("detector", 30 * MINUTE_MS),
        ]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), repeats=st.integers(1, 3))
def test_evidence_halts_and_inventory_may_come_in_any_order_and_again(
    seed: int, repeats: int
) -> None:
    """A server that starts while others write ends up with the same page."""
    ordered = [*july(), listed("web001", site="dub", ring="ring9", role="web")]
    verdicts = [record for record in ordered if record[0] == "kbw-verdicts"]
    others = [record for record in ordered if record[0] != "kbw-verdicts"] * repeats
    random.Random(seed).shuffle(others)
    cut = seed % len(others)
    expected, book = book_of(*ordered), book_of(*others[:cut], *verdicts)
    take(book, *others[cut:])
    book.sweep(NOW_MS)

    assert book.cases.cards() == expected.cases.cards()
    assert book.layouts() == expected.layouts()
    assert book.halts() == expected.halts()


def test_the_sample_for_pages_is_what_the_server_makes_of_july(
    pytestconfig: pytest.Config,
) -> None:
    file = pytestconfig.rootpath / "tests" / "fixtures" / "noc_state.json"
    made = msgspec.json.encode(site_of(*july()).state(41))

    assert file.read_bytes() == msgspec.json.format(made, indent=1) + b"\n", (
        "write it anew: python -m tests.fixtures.noc_sample"
    )
    assert msgspec.json.decode(file.read_bytes(), type=WallState).seq == 41
