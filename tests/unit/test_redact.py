"""What never leaves a node, and that detection loses nothing by it."""

from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import cast

import orjson
import pytest
from evtx import PyEvtxParser
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.pipeline.own_patterns import PIECE_LENGTH
from collectors.pipeline.redact import Redactor
from collectors.settings import RedactSettings
from schemas.errors import KbwatchError
from schemas.formats.evtx import event_of
from schemas.reports import Event
from schemas.windows.tables import taxonomy
from schemas.windows.taxonomy import about_node, classify, planned_restart
from streams.regbench.scenarios.kb5062557 import Scenario

ROOT = Path(__file__).parents[2]
LOGS = (
    ROOT / "tests/fixtures/evtx/win7-System.evtx",
    ROOT / "streams/regbench/data/win10-17134-System.evtx",
)
ALL = Redactor(RedactSettings())
NONE = Redactor(RedactSettings(users=False, sids=False, addresses=False, command_lines=False))
CLUSSVC = "43006C00750073005300760063000000"


NASTY = (
    r"CORP\jdoe",
    "jdoe@corp.example",
    "10.1.2.3",
    "S-1-5-21-1-2-3-500",
    r"C:\Users\jdoe\lsass.exe",
    r'"C:\x y\a.exe" -p',
    "0x50006",
    "0x0000009f (0x1)",
    r"C:\Windows\system32\wininit.exe (HV03)",
    "hv03.corp.example",
    "Cluster Service",
    "fe80::1",
    "10.1.2.3S-1-5-21-1-2-3-500",
    r"C:\Windows\wininit.exe (10.1.2.3)",
    "[user]",
    "[",
    "\\",
)
FIELDS = (
    *(f"param{n}" for n in range(1, 8)),
    *("NodeName", "Node", "AppName", "ModuleName", "ExceptionCode", "Process", "BugcheckCode"),
    *("Binary", "User", "CommandLine", "ImagePath", "Address", "DriverVersion", "x"),
)


def event(
    provider: str = "Anything",
    number: int = 1,
    binary: str = "",
    channel: str = "System",
    **data: str,
) -> Event:
    return Event(
        t_ms=0, channel=channel, provider=provider, id=number, level=2, data=data, binary=binary
    )


def field(name: str, text: str, redactor: Redactor = ALL) -> str:
    one = Event(t_ms=0, channel="System", provider="Anything", id=1, data={name: text})
    return redactor.event(one).data[name]


def hidden(text: str, redactor: Redactor = ALL) -> str:
    return field("Message", text, redactor)


@cache
def logged() -> tuple[Event, ...]:
    return tuple(
        event_of(orjson.loads(row["data"]))
        for path in LOGS
        for row in cast(Iterator[dict[str, str]], PyEvtxParser(str(path)).records_json())
    )


def of_the_incident() -> Iterator[Event]:
    scenario = Scenario(7)
    victims = scenario.truth.victims
    for sent in scenario.stream():
        if sent.report is None or sent.append_ms < scenario.truth.rollout_start_ms:
            continue
        for record in sent.report.records:
            if isinstance(record, Event) and (sent.report.node in victims or record.about):
                yield record


class TestTexts:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (r"CORP\jdoe logged on", "[user] logged on"),
            (r"'corp.example\j.doe'", "'[user]'"),
            ("to j.doe@corp.example.", "to [user]."),
            (r"C:\Users\John Doe\a.dll", r"C:\Users\[user]\a.dll"),
            (r"profile C:\Users\jdoe", r"profile C:\Users\[user]"),
            ("S-1-5-21-1769714682-2803786108-491265710-500", "[sid]"),
            ("O:S-1-12-1-44-55-66-77 is gone", "O:[sid] is gone"),
            ("0.0.0.0:123->10.3.58.4:123", "0.0.0.0:123->[address]:123"),
            ("from fe80::1c2d:3e and 2001:db8::5", "from [address] and [address]"),
            (r"user:CORP\jdoe", "user:[user]"),
            ("10.1.2.3S-1-5-21-1-2-3-500", "[address][sid]"),
            ("TERMSRV/74.118.139.108", "TERMSRV/[address]"),
        ],
    )
    def test_people_accounts_and_addresses_are_hidden(self, text: str, expected: str) -> None:
        assert hidden(text) == expected
        assert hidden(text, NONE) == text

    @pytest.mark.parametrize(
        "text",
        [
            r"NT AUTHORITY\SYSTEM",
            r"BUILTIN\Administrators",
            r"IIS APPPOOL\DefaultAppPool",
            r"CORP\HV03$",
            "S-1-5-18 S-1-5-32-544 S-1-5-80-956008885-3418522649 S-1-1-0",
            r"C:\Windows\system32\lsass.exe",
            r"C:\Program Files\Vendor",
            r"C:\Users\Public\x",
            r"\Device\HarddiskVolume1",
            r"\\server\share",
            r"HKLM\SOFTWARE",
            r"PCI\VEN_1AF4&DEV_1000&SUBSYS_00011AF4&REV_00\3&13C0B0C5&0&18",
            "10.0.17763.7558",
            "2025-07 Cumulative Update (KB5062557)",
            "127.0.0.1 ::1",
            "module 1.2.3.4.5",
            "at 12:30:45 by 00:15:5D:01:02:03",
            "%%2147942414",
            "",
        ],
    )
    def test_what_is_nobodys_stays(self, text: str) -> None:
        assert hidden(text) == text


class TestFields:
    @pytest.mark.parametrize(
        "name", ["SubjectUserName", "TargetUserName", "User", "AccountName", "UserName"]
    )
    def test_a_field_that_holds_a_user_is_hidden_whatever_its_text(self, name: str) -> None:
        assert field(name, "Jane Doe") == "[user]"

    @pytest.mark.parametrize("name", ["SYSTEM", "-", "", "HV03$", r"NT AUTHORITY\LOCAL SERVICE"])
    def test_accounts_of_windows_itself_stay(self, name: str) -> None:
        assert field("TargetUserName", name) == name

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            (r'"C:\Program Files\x y\a.exe" -p secret', r"C:\Program Files\x y\a.exe [arguments]"),
            (r"C:\Program Files\x y\a.exe /k secret", r"C:\Program Files\x y\a.exe [arguments]"),
            ("powershell -enc c2VjcmV0", "powershell [arguments]"),
            (r"C:\Users\jdoe\a.exe", r"C:\Users\[user]\a.exe"),
            (
                r"\SystemRoot\System32\drivers\netkvm.sys",
                r"\SystemRoot\System32\drivers\netkvm.sys",
            ),
        ],
    )
    def test_of_a_command_line_the_program_stays(self, line: str, expected: str) -> None:
        for name in ("CommandLine", "ProcessCommandLine", "ImagePath"):
            assert field(name, line) == expected
        only_users = Redactor(RedactSettings(command_lines=False))
        assert "[arguments]" not in field("CommandLine", line, only_users)

    def test_unnamed_accounts_are_known_by_their_place(self) -> None:
        restart = event("User32", 1074, param1=r"C:\Windows\a.exe (HV03)", param7="jdoe")
        assert ALL.event(restart).data["param7"] == "[user]"
        installed = event("Service Control Manager", 7045, param2="a.exe -k x", param5="jdoe")
        assert ALL.event(installed).data == {"param2": "a.exe [arguments]", "param5": "[user]"}

    def test_addresses_are_hidden_in_their_fields_and_versions_are_none(self) -> None:
        one = ALL.event(event(Address="020000350A033A04", DriverVersion="2.10.0.0"))
        assert one.data == {"Address": "[address]", "DriverVersion": "2.10.0.0"}

    @pytest.mark.parametrize("of", [" ", "\t", " \n", '"', ".ex", "a "])
    def test_a_hostile_command_line_takes_no_longer_than_a_long_one(self, of: str) -> None:
        # In quadratic time this would take minutes.
        text = of * 200_000
        assert len(field("CommandLine", text)) <= len(text)

    def test_blanks_before_a_program_say_nothing(self) -> None:
        assert field("CommandLine", "  a.exe -p secret") == "a.exe [arguments]"


class TestBinary:
    def test_a_service_key_stays(self) -> None:
        one = event("Service Control Manager", 7031, CLUSSVC, param1="Cluster Service")
        assert ALL.event(one) is one

    def test_a_binary_that_may_hold_anything_is_dropped(self) -> None:
        text = r"CORP\jdoe".encode("utf-16-le").hex()
        assert ALL.event(event("NetBT", 4321, text)).binary == ""
        assert NONE.event(event("NetBT", 4321, text)).binary == text


class TestOwnPatterns:
    def test_what_they_match_is_hidden(self) -> None:
        own = Redactor(RedactSettings(patterns=(r"ticket-\d+", "(?i)project \\w+")))
        assert hidden("Project Falcon: ticket-4711", own) == "[redacted]: [redacted]"

    def test_what_stood_too_close_to_something_hidden_is_hidden_too(self) -> None:
        own = Redactor(RedactSettings(patterns=(r"\bfalcon",)))
        assert hidden("10.1.2.3falcon", own) == "[address][redacted]"

    def test_empty_matches_hide_nothing(self) -> None:
        assert hidden("abc", Redactor(RedactSettings(patterns=("x*",)))) == "abc"

    def test_long_texts_are_looked_at_in_pieces_and_lose_nothing(self) -> None:
        text = "word ticket-1 " * PIECE_LENGTH
        own = Redactor(RedactSettings(patterns=(r"ticket-\d+",)))
        assert hidden(text, own) == text.replace("ticket-1", "[redacted]")
        assert hidden("y" * 3 * PIECE_LENGTH, own) == "y" * 3 * PIECE_LENGTH

    @pytest.mark.parametrize(
        ("pattern", "wrong"),
        [
            ("(abc", "unterminated subpattern"),
            ("[z-a]", "bad character range"),
            ("(a+)+$", "take for ever"),
            (r"(\w*\d)*x", "take for ever"),
            ("(a|a)+b", "take for ever"),
            ("((a+))+b", "take for ever"),
            ("(a|aa)+$", "take for ever"),
            ("(?:a?a){20}b", "take for ever"),
            (r"\w*\w*\w*\w*x", "more than 3 open repetitions"),
            ("(?x) (a+) +b", "without"),
        ],
    )
    def test_a_pattern_that_cannot_be_used_is_named(self, pattern: str, wrong: str) -> None:
        with pytest.raises(KbwatchError, match=wrong) as refused:
            Redactor(RedactSettings(patterns=("fine", pattern)))
        assert repr(pattern) in str(refused.value)

    @pytest.mark.parametrize(
        "pattern",
        [
            r"(?:\w++\.)+corp",
            r"(?:\w|\.)++corp|(?>\w|\.)+\bcorp|a\.b\.corp",
            r"(?:a|x)?[(.+)*]?\w[(a+)+]b\.corp|a\.(?:b\.){1}corp",
        ],
    )
    def test_repetitions_that_end_may_be_used(self, pattern: str) -> None:
        own = Redactor(RedactSettings(patterns=(pattern,)))
        assert hidden("at a.b.corp now", own) == "at [redacted] now"


class TestDetection:
    def test_the_incident_has_the_same_signatures(self) -> None:
        seen = set()
        for one in islice(of_the_incident(), 3_000):
            after = ALL.event(one)
            assert classify(after) == classify(one)
            assert about_node(after) == about_node(one)
            assert planned_restart(after) == planned_restart(one)
            symptom = classify(one)
            seen.add(symptom.signature if symptom else "")
        assert {"scm/7031/clussvc", "failoverclustering/1135"} <= seen

    def test_so_have_recorded_logs(self) -> None:
        changed = 0
        for one in logged():
            after = ALL.event(one)
            assert classify(after) == classify(one)
            changed += after is not one
        assert changed > 50

    @pytest.mark.parametrize("text", NASTY)
    def test_so_has_every_kind_of_the_taxonomy_whatever_it_says(self, text: str) -> None:
        known = taxonomy()
        for (channel, short, number), kind in known.kinds.items():
            if not kind.discriminator and not kind.about:
                continue
            for name in FIELDS:
                one = Event(
                    t_ms=0,
                    channel=channel or "System",
                    provider=known.providers[short].names[0],
                    id=number,
                    data={name: text},
                )
                after = ALL.event(one)
                assert classify(after) == classify(one)
                assert about_node(after) == about_node(one)

    def test_recorded_logs_keep_no_account(self) -> None:
        left = orjson.dumps([[*ALL.event(one).data.values()] for one in logged()]).decode()
        for secret in ("S-1-5-21", "rsydow", "10.3.58.4", "74.118.13"):
            assert secret not in left
            assert any(secret in text for one in logged() for text in one.data.values())


@settings(deadline=None)
@given(
    st.sampled_from(("Anything", "Service Control Manager", "User32", "NetBT")),
    st.sampled_from((1, 1074, 7031, 7038, 7045)),
    st.dictionaries(
        st.sampled_from(FIELDS),
        st.lists(st.sampled_from((*NASTY, " ", ":", "a", "1")) | st.text(max_size=4)).map("".join),
        max_size=4,
    ),
)
def test_redacting_twice_gives_the_same(provider: str, number: int, data: dict[str, str]) -> None:
    redactor = Redactor(RedactSettings(patterns=(r"\d{3,}", "a[bc]")))
    once = redactor.event(
        Event(t_ms=0, channel="System", provider=provider, id=number, data=data, binary="00ff")
    )
    assert redactor.event(once) == once
