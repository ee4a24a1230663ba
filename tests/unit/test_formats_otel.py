"""What is OpenTelemetry's alone: words for levels, values in values, several forms of data."""

import pytest

from schemas.codec import DecodeError
from tests.fixtures.foreign_samples import EVENT, Json, kvlist, log_record, otlp_with, read, string


class TestOtel:
    @pytest.mark.parametrize(
        ("word", "severity", "level"),
        [
            ("Critical", 21, 1),
            ("Fehler", 17, 2),
            ("Fehler", 0, 2),  # a collector on a German system gives no severity
            ("不明", 13, 3),
            ("不明", 0, 0),
            ("1", 0, 1),
            ("16", 0, 16),
            ("0", 0, 0),
            ("Verbose", 5, 5),
        ],
    )
    def test_numbers_go_before_words(self, word: str, severity: int, level: int) -> None:
        assert read("otlp-json", otlp_with(severity, level=string(word))).level == level

    def test_unnamed_data_of_the_array(self) -> None:
        data = {
            "arrayValue": {"values": [kvlist(**{"": string("a")}), kvlist(**{"": string("b")})]}
        }
        event_data = kvlist(data=data, name=string("X"), binary=string("00FF"))
        event = read("otlp-json", otlp_with(event_data=event_data))
        assert (event.data, event.binary) == ({"param1": "a", "param2": "b"}, "00FF")

    def test_user_data(self) -> None:
        data = kvlist(PackageIdentifier=string("KB5062557"))
        user_data = kvlist(name=string("CbsPackageChangeState"), data=data)
        event = read("otlp-json", otlp_with(event_data=kvlist(), user_data=user_data))
        assert event.data == {"PackageIdentifier": "KB5062557"}

    def test_errors_of_rendering(self) -> None:
        errors = kvlist(error_code={"intValue": "15003"}, event_payload=string("00"))
        event = read("otlp-json", otlp_with(event_data=kvlist(), processing_error_data=errors))
        assert event.data == {"ErrorCode": "15003", "EventPayload": "00"}

    def test_an_event_without_data(self) -> None:
        assert read("otlp-json", otlp_with(event_data={})).data == {}

    def test_a_log_record_without_any_time_is_refused(self) -> None:
        value = otlp_with(system_time={})
        value["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["timeUnixNano"] = "0"
        with pytest.raises(DecodeError, match=r"timeUnixNano: unknown"):
            read("otlp-json", value)

    def test_the_log_record_s_time_is_the_last_resort(self) -> None:
        assert read("otlp-json", otlp_with(system_time={})) == EVENT

    @pytest.mark.parametrize(
        ("value", "where"),
        [
            ({}, r"\$\.resourceLogs: not an array"),
            ({"resourceLogs": [{"scopeLogs": [{"logRecords": [1]}]}]}, r"logRecords\[0\]"),
            (log_record(string("<Event/>")), r"logRecords\[0\]\.body: "),
            (log_record(string("The service stopped.")), r"logRecords\[0\]\.body: "),
            (log_record({"intValue": "1"}), r"logRecords\[0\]\.body: "),
            (log_record({"stringValue": "x", "intValue": 1}), "not one value"),
            (otlp_with(channel={}), r"body\.channel: missing"),
            (otlp_with(event_data=string("x")), r"body\.event_data: not an object"),
            (log_record({"kvlistValue": {"values": 1}}), r"body: not an array"),
        ],
    )
    def test_errors_say_where(self, value: Json, where: str) -> None:
        with pytest.raises(DecodeError, match=where):
            read("otlp-json", value)

    def test_values_in_values_without_end_are_refused(self) -> None:
        value: Json = string("x")
        for _ in range(40):
            value = kvlist(a=value)
        with pytest.raises(DecodeError, match="deeper than 32"):
            read("otlp-json", log_record(value))
