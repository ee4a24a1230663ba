"""The line that a person reads at three in the morning."""

from schemas.verdicts import Blast
from streams.detection.wording import reasons, sentence
from tests.fixtures.halts import a_verdict

WHO = "4 of 61 patched nodes show SCM/7031/ClusSvc, 0 of 118 unpatched"


def test_a_halt_says_who_whom_and_how_many_more() -> None:
    verdict = a_verdict(
        suspects={"KB5062557": 0.98, "KB5062558": 0.02},
        rule=("clustered", "csv_bitlocker"),
        blast=Blast(nodes=40, staged=2),
    )
    assert sentence(verdict) == (
        f"{WHO}; 3 domains at 2 sites, E = 412; hits clustered and csv_bitlocker; "
        "40 more such nodes wait, 2 of them staged (hold their reboot)"
    )


def test_it_is_short_when_there_is_little_to_say() -> None:
    verdict = a_verdict(suspects={"KB5062557": 1.0}, blast=Blast(nodes=0, staged=0))
    assert sentence(verdict) == f"{WHO}; 3 domains at 2 sites, E = 412"


def test_many_suspects_are_counted() -> None:
    verdict = a_verdict(suspects={f"KB900000{i}": 0.2 for i in range(5)})
    assert sentence(verdict).endswith(
        "; suspects: KB9000000 (20 %), KB9000001 (20 %), KB9000002 (20 %) and 2 more"
    )


def test_a_notice_blames_all_that_it_cannot_tell_apart() -> None:
    found = a_verdict(state="notice", suspects={"KB5062557": 0.5, "KB5062558": 0.5})
    assert sentence(found) == (
        f"{WHO}: caused by KB5062557 (50 %), KB5062558 (50 %), harmless so far"
    )


class TestWhyNotAHalt:
    warned = a_verdict(state="warn", suspects={"KB5062557": 1.0})

    def test_too_little_evidence(self) -> None:
        assert reasons(self.warned, 5.0, {}, ()) == (
            "not yet a halt: E is 148 of 200; E_w believes the branch's own past sooner",
        )

    def test_all_of_it_from_one_place(self) -> None:
        assert reasons(self.warned, 6.0, {}, ()) == (
            "not yet a halt: one site or domain alone brings the evidence",
        )

    def test_another_one_did_it(self) -> None:
        (why,) = reasons(self.warned, 6.0, {"KB5062558": 0.97, "KB5062557": 0.03}, ())
        assert why == "not yet a halt: KB5062558 (97 %) explains it better"


def test_a_case_without_a_signature_of_its_own_says_so() -> None:
    assert sentence(a_verdict(signature="")).startswith(
        "patched nodes (61) fail more than unpatched ones (118), with no single signature; "
    )


def test_the_wealth_of_a_warning_has_a_name_of_its_own() -> None:
    crossing = a_verdict().halt
    assert "E_w = 412" in sentence(a_verdict(state="warn", halt=None, warn=crossing))
