"""One node's log, event by event: what becomes a boot, a patch state, or stays an event."""

import pytest

from schemas.codec import DecodeError
from schemas.formats.evtx import event_of
from schemas.reports import Boot, Event, PatchState
from schemas.windows.records import RecordReader
from schemas.windows.system_time import time_ms

CLIENT = "Microsoft-Windows-WindowsUpdateClient"
KERNEL = "Microsoft-Windows-Kernel-General"
LCU = "2018-07 Cumulative Update for Windows 10 (KB4338819)"


def event(provider: str, number: int, channel: str = "System", **data: str) -> Event:
    return Event(
        t_ms=1_000_000, channel=channel, provider=provider, id=number, record_id=7, data=data
    )


def boot(
    qfe: str = "137", build: str = "17134", start: str = "2018-07-06T18:37:44.4958170Z"
) -> Event:
    return event(KERNEL, 12, BuildVersion=build, QfeVersion=qfe, StartTime=start)


def shutdown() -> Event:
    return event(KERNEL, 13, StopTime="2018-07-06T18:40:18Z")


def servicing(number: int, intended: str, kb: str = "KB4338819", **more: str) -> Event:
    data = {"PackageIdentifier": kb, "IntendedPackageState": intended, **more}
    return event("Microsoft-Windows-Servicing", number, "Setup", **data)


class TestBoots:
    def test_a_start_says_its_build_and_its_time(self) -> None:
        expected = Boot(t_ms=1530902264495, build="17134.137", clean=None, record_id=7)
        assert RecordReader().records_of(boot()) == (expected,)

    def clean(self, *events: Event) -> list[bool | None]:
        reader = RecordReader()
        records = [record for one in events for record in reader.records_of(one)]
        return [record.clean for record in records if isinstance(record, Boot)]

    def test_a_boot_is_clean_after_a_shutdown(self) -> None:
        assert self.clean(boot(), shutdown(), boot()) == [None, True]

    def test_a_boot_without_a_shutdown_before_it_is_not(self) -> None:
        assert self.clean(boot(), shutdown(), boot(), boot()) == [None, True, False]

    def test_a_log_that_begins_with_a_shutdown_knows_its_first_boot(self) -> None:
        assert self.clean(shutdown(), boot()) == [True]

    @pytest.mark.parametrize(
        "broken", [boot(qfe=""), boot(build="x"), boot(start="yesterday"), boot(start="1601-01-01")]
    )
    def test_a_start_that_cannot_be_read_stays_an_event(self, broken: Event) -> None:
        assert RecordReader().records_of(broken) == (broken,)


class TestUpdateClient:
    @pytest.mark.parametrize(
        ("number", "field", "state"),
        [
            (44, "updateTitle", "offered"),
            (43, "updateTitle", "installing"),
            (21, "updatelist", "staged"),
            (22, "updatelist", "staged"),
            (19, "updateTitle", "confirmed"),
            (20, "updateTitle", "failed"),
            (23, "updateTitle", "rolled_back"),
            (44, "param1", "offered"),
        ],
    )
    def test_each_step_of_a_kb(self, number: int, field: str, state: str) -> None:
        (record,) = RecordReader().records_of(event(CLIENT, number, **{field: LCU}))
        assert isinstance(record, PatchState)
        assert (record.kb, record.state) == ("KB4338819", state)
        assert (record.source, record.record_id) == (f"wuclient/{number}", 7)

    def test_what_brings_no_build_is_effective_when_installed(self) -> None:
        (record,) = RecordReader().records_of(event(CLIENT, 19, updateTitle="Flash (KB4287903)"))
        assert isinstance(record, PatchState)
        assert (record.state, record.build) == ("effective", "")

    def test_a_list_gives_one_state_per_kb(self) -> None:
        updates = "\n- A (KB2647518)\n- B (kb2621440)\n- A again (KB2647518)"
        records = RecordReader().records_of(event(CLIENT, 22, updatelist=updates))
        kbs = [record.kb for record in records if isinstance(record, PatchState)]
        assert kbs == ["KB2647518", "KB2621440"]
        assert {record.record_id for record in records if isinstance(record, PatchState)} == {7}

    def test_without_a_kb_it_stays_an_event(self) -> None:
        store_app = event(CLIENT, 43, updateTitle="9NBLGGH5PNB1-Microsoft.OneConnect")
        assert RecordReader().records_of(store_app) == (store_app,)

    def test_a_failed_removal_stays_an_event(self) -> None:
        failed = event(CLIENT, 24, updatelist=LCU, errorCode="0x80070005")
        assert RecordReader().records_of(failed) == (failed,)

    def test_the_build_is_that_of_the_running_branch(self) -> None:
        reader = RecordReader()
        reader.records_of(boot(build="19045"))
        (record,) = reader.records_of(event(CLIENT, 43, updateTitle="(KB5062554)"))
        assert isinstance(record, PatchState)
        assert record.build == "19045.6093"

    def test_without_a_boot_only_a_unique_build_is_known(self) -> None:
        reader = RecordReader()
        (one,) = reader.records_of(event(CLIENT, 43, updateTitle="(KB4338819)"))
        (two,) = reader.records_of(event(CLIENT, 43, updateTitle="(KB5062554)"))
        assert isinstance(one, PatchState)
        assert isinstance(two, PatchState)
        assert (one.build, two.build) == ("17134.165", "")


class TestServicing:
    @pytest.mark.parametrize(
        ("number", "intended", "state"),
        [
            (1, "5112", "installing"),
            (2, "5112", "confirmed"),
            (2, "Installed", "confirmed"),
            (2, "5064", "staged"),
            (2, "5000", "rolled_back"),
            (2, "Absent", "rolled_back"),
            (3, "5112", "failed"),
            (4, "5112", "staged"),
        ],
    )
    def test_each_step_of_a_package(self, number: int, intended: str, state: str) -> None:
        (record,) = RecordReader().records_of(servicing(number, intended))
        assert record == PatchState(
            kb="KB4338819",
            state=state,  # type: ignore[arg-type]
            t_ms=1_000_000,
            source=f"servicing/{number}",
            build="17134.165",
            record_id=7,
        )

    @pytest.mark.parametrize("number", [1, 3, 4])
    def test_steps_of_a_removal_stay_events(self, number: int) -> None:
        removal = servicing(number, "5000")
        assert RecordReader().records_of(removal) == (removal,)

    def test_cleaning_up_a_superseded_package_takes_nothing_back(self) -> None:
        reader = RecordReader()
        reader.records_of(servicing(1, "5000", InitialPackageState="5080"))
        gone = servicing(2, "5000")
        assert reader.records_of(gone) == (gone,)

    def test_only_the_setup_log_speaks_of_packages(self) -> None:
        other = event(
            "Microsoft-Windows-Servicing", 2, "Application", PackageIdentifier="KB4338819"
        )
        assert RecordReader().records_of(other) == (other,)


def test_a_cluster_event_says_whom_it_is_about() -> None:
    removed = event("Microsoft-Windows-FailoverClustering", 1135, Knoten="HV02.corp.example")
    (record,) = RecordReader().records_of(removed)
    assert isinstance(record, Event)
    assert record.about == "hv02"


@pytest.mark.parametrize(
    ("text", "t_ms"),
    [
        ("1970-01-01T00:00:00.0019999Z", 1),
        ("2018-07-12T00:41:50.496653Z", 1531356110496),
        ("2018-07-12T00:41:50.496653900Z", 1531356110496),
        ("2018-07-12T00:41:50", 1531356110000),
    ],
)
def test_times_are_rounded_down(text: str, t_ms: int) -> None:
    assert time_ms(text) == t_ms


class TestEvtxShape:
    def record(self, payload: dict[str, object], **system: object) -> dict[str, object]:
        head: dict[str, object] = {
            "Provider": {"#attributes": {"Name": "Disk"}},
            "EventID": {"#attributes": {"Qualifiers": 32772}, "#text": 51},
            "Level": 3,
            "TimeCreated": {"#attributes": {"SystemTime": "2018-07-12T00:41:50.496653Z"}},
            "EventRecordID": 11,
            "Channel": "System",
            "Computer": "HV01.corp.example",
        }
        return {"Event": {"System": {**head, **system}, **payload}}

    def test_the_head(self) -> None:
        assert event_of(self.record({"EventData": None})) == Event(
            t_ms=1531356110496,
            channel="System",
            provider="Disk",
            id=51,
            level=3,
            record_id=11,
            computer="HV01.corp.example",
        )

    @pytest.mark.parametrize(
        ("payload", "data"),
        [
            ({"EventData": {"Data": {"#text": ["a", "", "c"]}}}, ["a", "", "c"]),
            ({"EventData": {"Data": {"#text": "a"}}}, ["a"]),
            ({"EventData": {"Data": "a"}}, ["a"]),
            ({"EventData": {"Data": None}}, []),
        ],
    )
    def test_unnamed_data_are_numbered(self, payload: dict[str, object], data: list[str]) -> None:
        expected = {f"param{number}": text for number, text in enumerate(data, start=1)}
        assert event_of(self.record(payload)).data == expected

    def test_named_data_become_text(self) -> None:
        payload = {
            "#attributes": {"Name": "ignored"},
            "Code": 5,
            "Good": False,
            "Nothing": None,
            "State": {"#attributes": {"Name": "x"}, "#text": "01"},
            "Deep": {"a": [1]},
            "Binary": "00FF",
        }
        one = event_of(self.record({"EventData": payload}))
        assert one.data == {
            "Code": "5",
            "Good": "false",
            "Nothing": "",
            "State": "01",
            "Deep": '{"a":[1]}',
        }
        assert one.binary == "00FF"

    def test_user_data_lose_the_name_of_their_element(self) -> None:
        element = {"#attributes": {"xmlns": "x"}, "PackageIdentifier": "KB5062557"}
        one = event_of(self.record({"UserData": {"CbsPackageChangeState": element}}))
        assert one.data == {"PackageIdentifier": "KB5062557"}

    @pytest.mark.parametrize(
        ("system", "where"),
        [
            ({"Provider": None}, "Provider"),
            ({"EventID": "x"}, "EventID"),
            ({"EventID": -1}, "EventID"),
            ({"EventRecordID": None}, "EventRecordID"),
            ({"TimeCreated": None}, "SystemTime"),
            (
                {"TimeCreated": {"#attributes": {"SystemTime": "1601-01-01T00:00:00Z"}}},
                "SystemTime",
            ),
        ],
    )
    def test_errors_say_where(self, system: dict[str, object], where: str) -> None:
        with pytest.raises(DecodeError, match=rf"\$\.Event\.System\..*{where}"):
            event_of(self.record({}, **system))

    @pytest.mark.parametrize("record", [{}, {"Event": None}, {"Event": {"System": 1}}])
    def test_what_is_no_event_is_refused(self, record: dict[str, object]) -> None:
        with pytest.raises(DecodeError, match="not an object"):
            event_of(record)
