"""One event in every shipper's shape: the same Event, but for what the shape does not carry."""

import copy

import orjson
import pytest
from msgspec.structs import asdict, replace

from schemas.codec import DecodeError
from schemas.formats import FORMATS
from schemas.reports import Boot, PatchState
from schemas.windows.records import RecordReader
from schemas.windows.system_time import time_ms
from schemas.windows.taxonomy import classify
from tests.fixtures.foreign_samples import (
    EVENT,
    EVTX,
    FLUENTBIT,
    FLUENTBIT_LEGACY,
    NXLOG,
    NXLOG_6,
    OTLP_ARRAY,
    OTLP_MAP,
    SECONDS,
    UNNAMED,
    VECTOR,
    WINLOGBEAT,
    XML,
    Json,
    kvlist,
    log_record,
    otlp_with,
    read,
    read_all,
    string,
)


@pytest.mark.parametrize(
    ("name", "shape", "lost"),
    [
        ("winlogbeat", WINLOGBEAT, {}),
        ("winlogbeat", {"event": {"original": XML}, "winlog": {}}, {}),
        ("otlp-json", OTLP_MAP, {}),
        ("otlp-json", OTLP_ARRAY, {}),
        ("otlp-json", log_record(string(XML)), {}),
        # the map of old versions has no binary, and of unnamed data nothing at all
        ("otlp-json", otlp_with(event_data=kvlist()), UNNAMED),
        (
            "otlp-json",
            log_record({}, attributes=[{"key": "log.record.original", "value": string(XML)}]),
            {},
        ),
        ("fluentbit", FLUENTBIT, SECONDS),
        ("fluentbit", FLUENTBIT_LEGACY, SECONDS),
        ("fluentbit", {"System": XML, "Message": "", "StringInserts": ["x"]}, {}),
        ("nxlog", NXLOG, {**SECONDS, "binary": ""}),
        ("nxlog", NXLOG_6, {}),
        ("nxlog", {**NXLOG, "EventXML": XML}, {}),
        ("vector", VECTOR, {"binary": ""}),
        ("vector", {**VECTOR, "xml": XML}, {}),
        ("evtx-dump", EVTX, {}),
    ],
)
def test_every_shape_gives_the_event_but_for_what_it_loses(
    name: str, shape: Json, lost: Json
) -> None:
    assert asdict(read(name, shape)) == {**asdict(EVENT), **lost}


@pytest.mark.parametrize(
    ("name", "shape"), [("nxlog", NXLOG), ("vector", VECTOR), ("fluentbit", FLUENTBIT)]
)
def test_the_service_is_known_all_the_same(name: str, shape: Json) -> None:
    symptom = classify(read(name, shape))
    assert symptom is not None
    assert symptom.signature == "scm/7031/clussvc"


class TestManyInOne:
    @pytest.mark.parametrize("name", sorted(FORMATS))
    def test_an_array_gives_all_its_events_in_order(self, name: str) -> None:
        shapes = {
            "winlogbeat": WINLOGBEAT,
            "otlp-json": OTLP_MAP,
            "fluentbit": FLUENTBIT,
            "nxlog": NXLOG,
            "vector": VECTOR,
            "evtx-dump": EVTX,
        }
        one = read(name, shapes[name])
        assert read_all(name, [shapes[name], shapes[name]]) == [one, one]
        assert list(FORMATS[name](b"[]")) == []

    def test_all_log_records_of_an_otlp_request_are_read(self) -> None:
        first, second = copy.deepcopy(OTLP_MAP), otlp_with(record_id={"intValue": "184468"})
        first["resourceLogs"] += [{"scopeLogs": []}, {}, *second["resourceLogs"]]
        events = read_all("otlp-json", first)
        assert [event.record_id for event in events] == [184467, 184468]

    def test_one_bad_event_costs_only_itself(self) -> None:
        bad = {**NXLOG, "Channel": None}
        first, refused, last = FORMATS["nxlog"](orjson.dumps([NXLOG, bad, NXLOG]))
        assert first.event == last.event == read("nxlog", NXLOG)
        assert isinstance(refused.event, DecodeError)
        assert (refused.path, refused.event.detail) == ("$[1]", "$[1].Channel: missing")
        assert orjson.loads(refused.raw()) == bad

    def test_one_bad_log_record_costs_only_itself_and_a_bad_resource_what_is_in_it(self) -> None:
        request = copy.deepcopy(OTLP_MAP)
        records = request["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        records += [{"body": 1}, *copy.deepcopy(records)]
        request["resourceLogs"] += [{"scopeLogs": 1}, *copy.deepcopy(OTLP_MAP["resourceLogs"])]
        items = list(FORMATS["otlp-json"](orjson.dumps(request)))
        refused = [item for item in items if isinstance(item.event, DecodeError)]
        assert len(items) - len(refused) == 3
        assert [(item.path, item.raw()) for item in refused] == [
            ("$.resourceLogs[0].scopeLogs[0].logRecords[1]", b'{"body":1}'),
            ("$.resourceLogs[1]", b'{"scopeLogs":1}'),
        ]

    def test_a_refused_item_that_nests_too_deep_is_written_as_far_as_that_goes(self) -> None:
        deep = b'[{"Channel": ' + b"[" * 900 + b"]" * 900 + b"}]"
        (item,) = FORMATS["nxlog"](deep)
        assert item.raw().startswith(b'{"Channel":' + b"[" * 90)
        assert len(item.raw()) < 250


class TestWinlogbeat:
    def with_winlog(self, **fields: object) -> Json:
        return {**WINLOGBEAT, "winlog": {**WINLOGBEAT["winlog"], **fields}}

    @pytest.mark.parametrize(
        ("word", "level"),
        [
            ("critical", 1),
            ("fehler", 2),
            ("警告", 3),
            ("Информация", 0),
            ("", 0),
            (None, 0),
            (2, 2),
        ],
    )
    def test_the_level_is_a_word_in_some_language(self, word: object, level: int) -> None:
        assert read("winlogbeat", {**WINLOGBEAT, "log": {"level": word}}).level == level

    def test_user_data_lose_the_name_of_their_element(self) -> None:
        user_data = {"xml_name": "CbsPackageChangeState", "PackageIdentifier": "KB5062557"}
        event = read("winlogbeat", self.with_winlog(event_data=None, user_data=user_data))
        assert event.data == {"PackageIdentifier": "KB5062557"}

    def test_who_logged_it_is_never_the_shipper_s_host(self) -> None:
        forwarded = {**self.with_winlog(computer_name="hv07.corp.example"), "host": {"name": "wec"}}
        assert read("winlogbeat", forwarded).computer == "hv07.corp.example"
        unknown = {**self.with_winlog(computer_name=None), "host": {"name": "wec"}}
        assert read("winlogbeat", unknown).computer == ""

    def test_a_broken_original_falls_back_on_the_fields(self) -> None:
        truncated = {**WINLOGBEAT, "event": {"original": XML[:400]}}
        assert read("winlogbeat", truncated) == EVENT


class TestFluentBit:
    def test_a_boot_is_known_by_the_position_of_its_data(self) -> None:
        inserts = [10, 0, 17763, 7558, 0, 0, "2025-07-15 05:12:44 +0200"]
        provider = "Microsoft-Windows-Kernel-General"
        shape = {**FLUENTBIT, "ProviderName": provider, "EventID": 12, "StringInserts": inserts}
        (record,) = RecordReader().records_of(read("fluentbit", shape))
        assert isinstance(record, Boot)
        assert (record.build, record.t_ms) == ("17763.7558", time_ms("2025-07-15T03:12:44Z"))

    @pytest.mark.parametrize(("intended", "state"), [(5000, "rolled_back"), (5112, "confirmed")])
    def test_a_package_s_state_is_known_by_position(self, intended: int, state: str) -> None:
        shape = {
            **FLUENTBIT,
            "ProviderName": "Microsoft-Windows-Servicing",
            "Channel": "Setup",
            "EventID": 2,
            "StringInserts": ["KB5062557", intended, "", "0x0", "UpdateAgentLCU"],
        }
        (record,) = RecordReader().records_of(read("fluentbit", shape))
        assert isinstance(record, PatchState)
        assert (record.kb, record.state) == ("KB5062557", state)

    @pytest.mark.parametrize(
        ("keywords", "last", "binary"),
        [
            ("0x8080000000000000", "7300700070007300760063000000", "7300700070007300760063000000"),
            ("0x80000000000000", "7300700070007300760063000000", "7300700070007300760063000000"),
            ("0x8000000000000000", "7300700070007300760063000000", ""),
            ("0x8080000000000000", "60000", ""),
            ("0x8080000000000000", "Restart the service", ""),
            ("", "7300700070007300760063000000", ""),
        ],
    )
    def test_only_classic_events_end_in_a_binary(
        self, keywords: str, last: str, binary: str
    ) -> None:
        event = read("fluentbit", {**FLUENTBIT, "Keywords": keywords, "StringInserts": ["a", last]})
        assert event.binary == binary
        assert ("param2" in event.data) != bool(binary)

    def test_inserts_that_are_no_array_are_refused(self) -> None:
        with pytest.raises(DecodeError, match=r"\$\.StringInserts: not an array"):
            read("fluentbit", {**FLUENTBIT, "StringInserts": "x"})

    def test_when_it_was_read_is_not_when_it_happened(self) -> None:
        late = read("fluentbit", {**FLUENTBIT, "@timestamp": 1752549999.9})
        assert late.t_ms == SECONDS["t_ms"]

    def test_broken_xml_is_refused_with_its_place(self) -> None:
        with pytest.raises(DecodeError, match=r"malformed: \$\.System: "):
            read("fluentbit", {"System": XML[:400]})


class TestNxlog:
    @pytest.mark.parametrize(
        ("time", "t_ms"),
        [
            ("2025-07-15 03:12:44", 1752549164000),
            ("2025-07-15 05:12:44+02:00", 1752549164000),
            ("2025-07-15T03:12:44.128Z", 1752549164128),
            (1752549164, 1752549164000),
            (1752549164128, 1752549164128),
            (1752549164128734, 1752549164128),
        ],
    )
    def test_a_time_without_a_zone_is_utc(self, time: object, t_ms: int) -> None:
        assert read("nxlog", {**NXLOG, "EventTime": time}).t_ms == t_ms

    @pytest.mark.parametrize("time", [None, True, -1, 1e18, "gestern", "", {}])
    def test_what_is_no_time_is_refused(self, time: object) -> None:
        with pytest.raises(DecodeError, match=r"\$\.EventTime"):
            read("nxlog", {**NXLOG, "EventTime": time})

    @pytest.mark.parametrize(
        ("fields", "level"),
        [
            ({"SeverityValue": 5}, 1),
            ({"SeverityValue": 1}, 5),
            ({"SeverityValue": None, "EventType": "WARNING"}, 3),
            ({"SeverityValue": None, "EventType": "?", "Severity": "CRITICAL"}, 1),
            ({"SeverityValue": 2, "LevelValue": 0}, 0),
        ],
    )
    def test_the_level(self, fields: Json, level: int) -> None:
        assert read("nxlog", {**NXLOG, **fields}).level == level

    def test_what_is_not_nxlog_s_is_the_event_s(self) -> None:
        event = read("nxlog", {**NXLOG, "UserData.ErrorCode": "0x0", "updateTitle": "(KB5062557)"})
        added = {"ErrorCode": "0x0", "updateTitle": "(KB5062557)"}
        assert event.data == {**EVENT.data, **added}


class TestVector:
    def test_unnamed_data_are_inserts(self) -> None:
        shape = {**VECTOR, "event_data": {}, "string_inserts": ["a", "b"]}
        assert read("vector", shape).data == {"param1": "a", "param2": "b"}

    def test_the_number_of_a_level_goes_before_its_name(self) -> None:
        assert read("vector", {**VECTOR, "level": "Fehler", "level_value": 3}).level == 3
        assert read("vector", {**VECTOR, "level": "Fehler", "level_value": None}).level == 2


def test_line_ends_are_the_same_in_every_shape() -> None:
    # XML readers see LF where the log has CR LF.
    written = replace(EVENT, data={"a": "x\ny\nz"})
    assert read("vector", {**VECTOR, "event_data": {"a": "x\r\ny\rz"}}).data == written.data
