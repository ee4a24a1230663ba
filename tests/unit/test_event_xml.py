"""A rendered Windows event becomes an Event: every part of the schema, and hostile documents."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from evtx import PyEvtxParser

from schemas.codec import DecodeError
from schemas.formats.evtx import event_of as from_evtx_json
from schemas.reports import Event
from schemas.windows.event_xml import MAX_DEPTH, MAX_ELEMENTS, MAX_XML_BYTES, event_of
from schemas.windows.records import RecordReader
from schemas.windows.system_time import time_ms

ROOT = Path(__file__).parents[2]
SHIPPERS = ROOT / "tests" / "fixtures" / "shippers"
WIN10 = ROOT / "streams" / "regbench" / "data" / "win10-17134-System.evtx"
WIN7 = ROOT / "tests" / "fixtures" / "evtx" / "win7-System.evtx"

TIME = r"\$\.Event\.System\.TimeCreated\.SystemTime"
NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"
SYSTEM = (
    "<System><Provider Name='Disk'/><EventID Qualifiers='32772'>51</EventID><Version>1</Version>"
    "<Level>3</Level><TimeCreated SystemTime='2018-07-12T00:41:50.4966539Z'/>"
    "<EventRecordID>11</EventRecordID><Channel>System</Channel>"
    "<Computer>HV01.corp.example</Computer></System>"
)
HEAD = Event(
    t_ms=1531356110496,
    channel="System",
    provider="Disk",
    id=51,
    version=1,
    level=3,
    record_id=11,
    computer="HV01.corp.example",
)


def document(payload: str = "", system: str = SYSTEM) -> str:
    return f"<Event xmlns='{NAMESPACE}'>{system}{payload}</Event>"


def event_data(inner: str) -> str:
    return f"<EventData>{inner}</EventData>"


def data_of(payload: str) -> dict[str, str]:
    return event_of(document(payload)).data


def xml_rows(path: Path) -> Iterable[Any]:
    rows: Iterable[Any] = PyEvtxParser(str(path)).records()
    return rows


def test_the_whole_of_a_service_crash() -> None:
    assert event_of((SHIPPERS / "01_rendered_event.xml").read_bytes()) == Event(
        t_ms=1752549164128,
        channel="System",
        provider="Service Control Manager",
        id=7031,
        level=2,
        record_id=184467,
        data={
            "param1": "Cluster Service",
            "param2": "3",
            "param3": "60000",
            "param4": "1",
            "param5": "Restart the service",
        },
        binary="43006C00750073005300760063000000",
        computer="hv03.corp.example",
    )


def test_a_real_event_with_its_rendering() -> None:
    event = event_of((SHIPPERS / "real_otel_xmlRenderingInfoSystem_7036.xml").read_text())
    assert event.data == {"param1": "Software Protection", "param2": "running"}
    assert (event.provider, event.level, event.record_id) == ("Service Control Manager", 4, 17353)
    assert event.t_ms == time_ms("2026-03-16T15:49:02.078Z")


@pytest.mark.parametrize(("path", "records"), [(WIN10, 1160), (WIN7, 1601)])
def test_xml_and_json_of_a_log_give_equal_events(path: Path, records: int) -> None:
    from_xml = {row["event_record_id"]: event_of(row["data"]) for row in xml_rows(path)}
    rows: Iterable[Any] = PyEvtxParser(str(path)).records_json()
    from_json = {row["event_record_id"]: from_evtx_json(orjson.loads(row["data"])) for row in rows}
    assert from_xml == from_json
    assert len(from_xml) == records


class TestForms:
    @pytest.mark.parametrize(
        "xml",
        [
            document(),
            document().replace("'", '"'),
            document().replace(f" xmlns='{NAMESPACE}'", ""),
            "\ufeff<?xml version='1.0' encoding='utf-16'?>\n" + document().replace("><", ">\r\n <"),
            document()
            .replace("</", "</e:")
            .replace("<", "<e:")
            .replace("<e:/e:", "</e:")
            .replace("xmlns=", "xmlns:e="),
            document("<EventData/>"),
            document("<EventData></EventData><RenderingInfo><Level>Fehler</Level></RenderingInfo>"),
        ],
    )
    def test_the_head_is_the_same_in_every_form(self, xml: str) -> None:
        assert event_of(xml) == HEAD

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_bytes_as_windows_writes_them(self, encoding: str) -> None:
        payload = event_data("<Data>Größe 磁盘 💥</Data>")
        event = event_of(document(payload).encode(encoding))
        assert event.data == {"param1": "Größe 磁盘 💥"}

    @pytest.mark.parametrize(
        ("time", "t_ms"),
        [
            ("2018-07-12T00:41:50.4966539Z", 1531356110496),
            ("2018-07-12T00:41:50.496653900Z", 1531356110496),
            ("2018-07-12T00:41:50Z", 1531356110000),
        ],
    )
    def test_times_of_seven_nine_and_no_digits(self, time: str, t_ms: int) -> None:
        assert event_of(document().replace("2018-07-12T00:41:50.4966539Z", time)).t_ms == t_ms

    @pytest.mark.parametrize(
        ("provider", "name"),
        [
            ("<Provider Name='disk' EventSourceName='Disk driver'/>", "disk"),
            ("<Provider EventSourceName='Disk driver'/>", "Disk driver"),
            ("<Provider/>", "Rendered"),
        ],
    )
    def test_the_rendered_provider_is_the_last_resort(self, provider: str, name: str) -> None:
        rendering = "<RenderingInfo Culture='de-DE'><Provider>Rendered</Provider></RenderingInfo>"
        system = SYSTEM.replace("<Provider Name='Disk'/>", provider)
        assert event_of(document(rendering, system)).provider == name


class TestData:
    @pytest.mark.parametrize(
        ("payload", "data"),
        [
            (event_data("<Data Name='a'>1</Data><Data Name='b'/>"), {"a": "1", "b": ""}),
            (
                event_data("<Data>x</Data><Data></Data><Data>z</Data>"),
                {"param1": "x", "param2": "", "param3": "z"},
            ),
            (event_data("<Data/>"), {}),
            (event_data("<Data>\n      </Data><Data>b</Data>"), {"param1": "", "param2": "b"}),
            (event_data("<Data> </Data>"), {"param1": " "}),
            (event_data("<Data>a\r\nb</Data>"), {"param1": "a\nb"}),
            (event_data("<Data>a<![CDATA[<b>]]>&amp;&#x41;</Data>"), {"param1": "a<b>&A"}),
            (
                event_data("<Data Name='n'>1</Data><Data Name='n'>2</Data><Data Name='n'>3</Data>"),
                {"n": "1", "n_1": "2", "n_2": "3"},
            ),
            (
                event_data(
                    "<ComplexData Name='Idle'>01</ComplexData><ComplexData>02</ComplexData>"
                ),
                {"Idle": "01", "ComplexData": "02"},
            ),
            (
                "<UserData><Cbs xmlns='x'><Package>KB5062557</Package><Client/></Cbs></UserData>",
                {"Package": "KB5062557", "Client": ""},
            ),
            (
                "<UserData><A><B><C>1</C></B><C>2</C></A></UserData>",
                {"C": "1", "C_1": "2"},
            ),
            ("<UserData><Only>text</Only></UserData>", {"Only": "text"}),
            (
                "<ProcessingErrorData><ErrorCode>15003</ErrorCode><DataItemName>x</DataItemName>"
                "<EventPayload>00</EventPayload></ProcessingErrorData>",
                {"ErrorCode": "15003", "DataItemName": "x", "EventPayload": "00"},
            ),
        ],
    )
    def test_every_kind_of_payload(self, payload: str, data: dict[str, str]) -> None:
        assert data_of(payload) == data

    @pytest.mark.parametrize(
        "payload",
        [
            event_data("<Data>x</Data><Binary>00FF</Binary>"),
            "<EventData><Data>x</Data></EventData><BinaryEventData>00FF</BinaryEventData>",
        ],
    )
    def test_the_binary(self, payload: str) -> None:
        event = event_of(document(payload))
        assert (event.binary, event.data) == ("00FF", {"param1": "x"})

    def test_what_xml_forbids_is_replaced(self) -> None:
        # Windows renders control characters of an event's data as they are.
        assert data_of(event_data("<Data>a\x01b\x00\ufffe</Data>")) == {
            "param1": "a\ufffdb\ufffd\ufffd"
        }

    def test_lone_surrogates_do_not_survive(self) -> None:
        assert data_of(event_data("<Data>a\ud800</Data>")) == {"param1": "a?"}


class TestHostile:
    @pytest.mark.parametrize(
        ("xml", "reason"),
        [
            ("<!DOCTYPE Event><Event/>", "malformed: .*DOCTYPE"),
            (
                "<!DOCTYPE e [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>" + document("&b;"),
                "malformed: .*DOCTYPE",
            ),
            (
                "<!DOCTYPE e SYSTEM 'file:///etc/passwd'>" + document(),
                "malformed: .*DOCTYPE",
            ),
            (document("&unknown;"), "malformed: .*undefined entity"),
            (document("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH), "malformed: .*deeper than 32"),
            (document("<a/>" * MAX_ELEMENTS), "malformed: .*more than 10000 elements"),
            (document("x" * MAX_XML_BYTES), "oversized: "),
            ("", "malformed: .*no element found"),
            ("\ufffe", "malformed"),
            (document()[:-5], "malformed"),
            (document("<a></b>"), "malformed: .*mismatched tag"),
            (document() + document(), "malformed: .*junk"),
            ("<Events>" + document() + "</Events>", "invalid: .*not an Event"),
            ("<Event/>", "invalid: .*TimeCreated"),
            (document(event_data("<Data>" + '"' * 260_000 + "</Data>")), "oversized"),
        ],
    )
    def test_is_refused(self, xml: str, reason: str) -> None:
        with pytest.raises(DecodeError, match=reason):
            event_of(xml)

    @pytest.mark.parametrize(
        "raw", [b"\xff\xfe<", b"\xfe\xff\xd8\x00\x00", b"\xff", b"<Event>\xff"]
    )
    def test_bytes_that_are_no_text_are_refused(self, raw: bytes) -> None:
        with pytest.raises(DecodeError, match="malformed"):
            event_of(raw)

    @pytest.mark.parametrize(
        ("old", "new", "where"),
        [
            ("Name='Disk'", "", r"\$\.Event\.System\.Provider: no name"),
            ("2018-07-12T00:41:50.4966539Z", "gestern", TIME),
            ("2018-07-12T", "1601-01-01T", TIME),
            (">51<", ">x<", r"\$\.Event\.System\.EventID"),
            (">51<", ">٥١<", r"\$\.Event\.System\.EventID"),
            (">51<", ">-1<", r"\$\.Event\.System\.EventID"),
            (">11<", f">{2**63}<", r"\$\.Event: .*\$\.record_id"),
            (">11<", f">{'9' * 5000}<", r"\$\.Event\.System\.EventRecordID"),
            ("<Level>3<", "<Level>high<", r"\$\.Event\.System\.Level"),
            ("<Channel>", "<Channel>" + "c" * 260, r"\$\.Event: .*256.*\$\.channel"),
            ("Name='Disk'", f"Name='{'p' * 257}'", r"\$\.Event: .*256.*\$\.provider"),
            ("<Computer>", "<Computer>" + "c" * 260, r"\$\.Event: .*256.*\$\.computer"),
        ],
    )
    def test_errors_say_where(self, old: str, new: str, where: str) -> None:
        with pytest.raises(DecodeError, match=rf"^invalid: {where}"):
            event_of(document().replace(old, new))

    def test_no_datum_takes_another_s_place(self) -> None:
        names = ["n", "n_1", "n", "n", "n_1"]
        inner = "".join(f"<Data Name='{name}'>{i}</Data>" for i, name in enumerate(names))
        assert sorted(data_of(event_data(inner)).values()) == list("01234")

    def test_thousands_of_equal_names_are_read(self) -> None:
        names = data_of("<EventData>" + "<Data Name='n'/>" * 9_000 + "</EventData>")
        assert len(names) == 9_000


class TestUnexpectedShutdown:
    def events(self) -> list[Event]:
        rows = xml_rows(WIN7)
        events = sorted((event_of(row["data"]) for row in rows), key=lambda e: e.record_id)
        return [event for event in events if event.id == 6008]

    def shutdown_time(self, event: Event) -> str | None:
        (record,) = RecordReader().records_of(event)
        assert isinstance(record, Event)
        return record.data.get("ShutdownTime")

    def test_the_time_comes_from_the_binary_in_utc(self) -> None:
        first, second = self.events()
        # The texts are local: 9:59:13 AM at four hours behind UTC, with marks for text direction.
        assert first.data["param1"] == "9:59:13 AM"
        assert self.shutdown_time(first) == "2012-04-06T13:59:13.029Z"
        assert self.shutdown_time(second) == "2012-04-06T19:09:23.331Z"

    def test_the_rest_of_the_event_stays(self) -> None:
        first, _ = self.events()
        (record,) = RecordReader().records_of(first)
        assert isinstance(record, Event)
        assert {**record.data, "ShutdownTime": ""} == {**first.data, "ShutdownTime": ""}
        assert (record.record_id, record.t_ms, record.binary) == (
            first.record_id,
            first.t_ms,
            first.binary,
        )

    @pytest.mark.parametrize(
        "binary", ["", "00", "zz" * 32, "00" * 32, "FF" * 32, "DC0704000500060009003B000D001D00"]
    )
    def test_without_a_sound_binary_nothing_is_said(self, binary: str) -> None:
        event = Event(1_333_721_264_000, "System", "EventLog", 6008, binary=binary)
        assert self.shutdown_time(event) is None

    def test_a_time_after_the_event_is_not_believed(self) -> None:
        first, _ = self.events()
        early = Event(first.t_ms - 3_600_000, "System", first.provider, 6008, binary=first.binary)
        assert self.shutdown_time(early) is None

    def test_other_providers_use_the_same_number(self) -> None:
        first, _ = self.events()
        other = Event(first.t_ms, "System", "Other", 6008, binary=first.binary)
        assert self.shutdown_time(other) is None
