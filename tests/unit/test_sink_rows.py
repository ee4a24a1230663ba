"""Contracts become columns: every table's every column, nothing lost, nothing that cannot fit."""

import pytest

from schemas.clickhouse.tables import RECORD_TABLES, TABLES, fit
from schemas.codec import encode
from schemas.evidence import Onset, OnsetSeen
from schemas.halts import Delivery, Halt, Transition
from schemas.reports import (
    Boot,
    ChannelHealth,
    Event,
    Facts,
    Heartbeat,
    NodeReport,
    PatchState,
    Record,
)
from schemas.verdicts import Crossing, Left, Power, Verdict
from streams.sink import rows
from streams.sink.rows import Origin, Rows, Taken

ORIGIN = Origin("kbw-node-reports-3", 41, 1_752_019_200_999)
CROSSING = Crossing(
    t_ms=70, log_e=6.0, victims=4, victim_domains=3, victim_sites=2, exposed=61, controls=118
)


def report(*records: Record, node: str = "HV-C07-N2", sent_ms: int = 90) -> NodeReport:
    return NodeReport(
        v=1,
        fleet="default",
        node=node,
        domain="HV-C07",
        site="S1",
        sent_ms=sent_ms,
        records=list(records),
        boot_ms=7,
        heartbeat_s=1800,
        collector="kbwatch 0.1",
    )


def stored(*reports: NodeReport, first_offset: int = 41) -> Rows:
    return rows.report_rows(
        Taken(ORIGIN._replace(offset=first_offset + number), one, b"")
        for number, one in enumerate(reports)
    )


def only_row(found: Rows, table: str) -> dict[str, object]:
    assert list(found) == [table]
    assert list(found[table]) == [column.name for column in TABLES[table].columns]
    assert {len(values) for values in found[table].values()} == {1}
    return {name: values[0] for name, values in found[table].items()}


def verdict(**given: object) -> Verdict:
    fields: dict[str, object] = {
        "v": 1,
        "fleet": "default",
        "case": "KB5062557@17763",
        "kb": "KB5062557",
        "branch": "17763",
        "build": "17763.7558",
        "state": "halt",
        "sentence": "it breaks ClusSvc",
        "started_ms": 10,
        "asof_ms": 80,
        "exposed": 61,
        "controls": 118,
        "victims": 4,
        "signature": "scm/clussvc",
        "log_e": 6.0,
        "log_e_any": 6.1,
        "log_c": 6.1,
        "log_h": 6.1,
        "log_e_warn": 6.4,
        "log_threshold": 5.3,
        "power": Power(observed=60, p_5pct=0.95, rate_95=0.05),
        "left": Left(untouched=37, staged=5, untouched_nodes=("A",)),
        "calibration": "default",
        "trust": "open",
        "halt": CROSSING,
        "victim_nodes": ("HV-C07-N2",),
    }
    return Verdict(**{**fields, **given})  # type: ignore[arg-type]


def test_each_record_goes_to_the_table_of_its_kind_with_its_place_in_the_report() -> None:
    found = stored(
        report(
            Boot(t_ms=1, build="17763.7558"),
            Event(t_ms=2, channel="System", provider="SCM", id=7031),
            Event(t_ms=3, channel="System", provider="SCM", id=7024),
            PatchState(kb="KB5062557", state="effective", t_ms=4, source="boot"),
            Facts(t_ms=5),
            Heartbeat(t_ms=6),
        ),
        report(Event(t_ms=7, channel="System", provider="SCM", id=7031), node="HV-C07-N3"),
    )
    assert set(found) == set(RECORD_TABLES)
    assert {table: columns["_index"] for table, columns in found.items()} == {
        "boots": [0],
        "node_events": [1, 2, 0],
        "patch_states": [3],
        "node_facts": [4],
        "heartbeats": [5],
    }
    events = found["node_events"]
    assert events["id"] == [7031, 7024, 7031]
    assert events["node"] == ["HV-C07-N2", "HV-C07-N2", "HV-C07-N3"]
    assert events["_offset"] == [41, 41, 42]


def test_an_event_keeps_every_field() -> None:
    event = Event(
        t_ms=2,
        channel="System",
        provider="Microsoft-Windows-FailoverClustering",
        id=1135,
        version=1,
        level=1,
        record_id=17,
        data={"param1": "HV-C07-N1"},
        binary="0A0B",
        computer="hv-c07-n2.corp.example",
        about="HV-C07-N1",
    )
    assert only_row(stored(report(event)), "node_events") == {
        "fleet": "default",
        "node": "HV-C07-N2",
        "domain": "HV-C07",
        "site": "S1",
        "t_ms": 2,
        "channel": "System",
        "provider": "Microsoft-Windows-FailoverClustering",
        "id": 1135,
        "version": 1,
        "level": 1,
        "record_id": 17,
        "data": {"param1": "HV-C07-N1"},
        "binary": "0A0B",
        "computer": "hv-c07-n2.corp.example",
        "about": "HV-C07-N1",
        "_topic_partition": "kbw-node-reports-3",
        "_offset": 41,
        "_index": 0,
        "_received_ms": 1_752_019_200_999,
    }


def test_an_event_about_its_writer_names_nobody() -> None:
    event = Event(t_ms=2, channel="System", provider="SCM", id=7031)
    assert only_row(stored(report(event)), "node_events")["about"] == ""


def test_facts_are_kept_as_text() -> None:
    facts = Facts(t_ms=5, covariates={"s2d": True, "kir:1": False, "agent": "2.1"}, virtual=None)
    row = only_row(stored(report(facts)), "node_facts")
    assert row["covariates"] == {"s2d": "true", "kir:1": "false", "agent": "2.1"}
    assert row["virtual"] is None
    assert row["backup_ms"] is None
    told = only_row(stored(report(Facts(t_ms=5, backup_ms=4))), "node_facts")
    assert told["backup_ms"] == 4


def test_a_heartbeat_tells_the_promise_of_its_report_and_the_state_of_its_channels() -> None:
    channels = {"System": ChannelHealth(newest_record_id=9, lag_s=3), "Setup": ChannelHealth()}
    row = only_row(stored(report(Heartbeat(t_ms=6, channels=channels, lost=1))), "heartbeats")
    assert (row["sent_ms"], row["boot_ms"], row["heartbeat_s"]) == (90, 7, 1800)
    assert row["collector"] == "kbwatch 0.1"
    assert row["newest_record_ids"] == {"System": 9, "Setup": 0}
    assert row["lags_s"] == {"System": 3, "Setup": 0}
    assert row["lost"] == 1


def test_reports_without_records_make_no_rows() -> None:
    assert stored(report()) == {}


def test_a_number_that_no_column_can_hold_becomes_the_nearest_that_it_can() -> None:
    event = Event(t_ms=2, channel="System", provider="SCM", id=2**40, version=300, record_id=2**70)
    row = only_row(stored(report(event)), "node_events")
    assert (row["id"], row["version"], row["record_id"]) == (2**32 - 1, 255, 2**64 - 1)


@pytest.mark.parametrize(
    ("kind", "values", "held"),
    [
        ("UInt8", [-1, 0, 255, 256], [0, 0, 255, 255]),
        ("UInt64", [0, 2**64], [0, 2**64 - 1]),
        ("DateTime64(3, 'UTC')", [-(10**15), 5, 10**15], [-2208988800000, 5, 10413791999999]),
        ("String", ["as it is"], ["as it is"]),
        ("UInt32", [], []),
    ],
)
def test_what_fits_stays(kind: str, values: list[object], held: list[object]) -> None:
    assert fit(kind, values) == held


def test_an_onset_is_a_row() -> None:
    onset = Onset(
        node="N1",
        signature="s",
        cls="cluster",
        impact="outage",
        first_ms=1,
        last_ms=3,
        times=(1, 3),
    )
    seen = OnsetSeen(v=1, fleet="f", branch="17763", domain="D", site="S", role="hv", onset=onset)
    row = only_row(rows.onset_rows([Taken(ORIGIN, seen, b"")]), "onsets")
    assert (row["fleet"], row["node"], row["times"], row["last_ms"]) == ("f", "N1", (1, 3), 3)


def test_a_verdict_is_a_row_with_its_bytes() -> None:
    raw = encode(verdict())
    row = only_row(rows.verdict_rows([Taken(ORIGIN, verdict(), raw)]), "verdicts")
    assert (row["case_id"], row["halt_ms"], row["warn_ms"]) == ("KB5062557@17763", 70, None)
    assert (row["left_untouched"], row["left_staged"], row["observed"]) == (37, 5, 60)
    logs = [row[name] for name in ("log_e", "log_c", "log_h", "log_e_warn", "log_threshold")]
    assert logs == [6.0, 6.1, 6.1, 6.4, 5.3]
    assert row["body"] == raw.decode()


def test_the_same_verdict_published_again_has_the_same_identity() -> None:
    def identity(one: Verdict, offset: int) -> list[object]:
        taken = Taken(ORIGIN._replace(offset=offset), one, encode(one))
        row = only_row(rows.verdict_rows([taken]), "verdicts")
        return [row[name] for name in TABLES["verdicts"].identity]

    assert identity(verdict(), 1) == identity(verdict(), 2)
    assert identity(verdict(), 1) != identity(verdict(victims=5), 2)


def test_a_halt_is_told_by_its_newest_transition() -> None:
    halt = Halt(
        v=1,
        halt_id="h1",
        fleet="default",
        case="KB5062557@17763",
        kb="KB5062557",
        branch="17763",
        build="17763.7558",
        state="lifted",
        mode="auto",
        scope="branch 17763",
        sentence="it breaks ClusSvc",
        signature="scm/clussvc",
        crossing=CROSSING,
        left=Left(),
        log_threshold=5.3,
        calibration="default",
        trust="open",
        history=(
            Transition("active", 100, "policy", "auto"),
            Transition("lifted", 200, "ann", "fix"),
        ),
    )
    row = only_row(rows.halt_rows([Taken(ORIGIN, halt, encode(halt))]), "halts")
    assert (row["state"], row["at_ms"], row["who"], row["why"]) == ("lifted", 200, "ann", "fix")
    assert (row["crossed_ms"], row["victims"], row["exposed"]) == (70, 4, 61)


def test_a_delivery_is_a_row() -> None:
    delivery = Delivery(
        v=1,
        webhook_id="w",
        halt_id="h1",
        fleet="default",
        case="KB5062557@17763",
        target="generic",
        transition="active",
        state="pending",
        body="{}",
        created_ms=5,
    )
    row = only_row(rows.delivery_rows([Taken(ORIGIN, delivery, b"")]), "halt_deliveries")
    assert (row["webhook_id"], row["state"], row["delivered_ms"]) == ("w", "pending", None)


def test_a_dead_letter_is_told_by_its_headers_and_its_bytes_are_not_kept() -> None:
    headers = {
        "reason": b"malformed",
        "detail": b"byte 3",
        "origin_topic": b"kbw-node-reports",
        "origin_partition": b"2",
        "origin_offset": b"99",
    }
    row = only_row(rows.dead_letter_rows([Taken(ORIGIN, headers, b"secret")]), "dead_letters")
    assert (row["reason"], row["detail"], row["size_bytes"]) == ("malformed", "byte 3", 6)
    assert [row[f"origin_{part}"] for part in ("topic", "partition", "offset")] == [
        "kbw-node-reports",
        2,
        99,
    ]
    assert "secret" not in map(str, row.values())


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin_offset": b"-1", "reason": b"", "detail": b"\xff"}, {"origin_offset": b"x"}],
)
def test_a_dead_letter_of_unknown_making_is_kept_too(headers: dict[str, bytes]) -> None:
    row = only_row(rows.dead_letter_rows([Taken(ORIGIN, headers, b"")]), "dead_letters")
    assert (row["reason"], row["origin_offset"]) == ("unknown", 0)


def test_a_batch_has_the_same_token_whenever_it_is_inserted() -> None:
    batch = [ORIGIN, ORIGIN._replace(offset=42), Origin("kbw-node-reports-0", 7, 5)]
    token = rows.batch_token(batch)
    assert rows.batch_token(batch[::-1]) == token
    assert rows.batch_token(batch[:2]) != token


def test_a_topic_created_again_has_other_tokens_for_the_same_offsets() -> None:
    later = ORIGIN._replace(received_ms=ORIGIN.received_ms + 1)
    assert rows.batch_token([ORIGIN]) != rows.batch_token([later])
