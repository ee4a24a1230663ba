"""Named incidents of family R1 that hit log-on and domain controllers; see `incidents`."""

from streams.regbench.bench.effects import Step
from streams.regbench.bench.script import Script, logs

_OS14393, _OS17763, _OS20348 = "14393", "17763", "20348"


def r02_dc_reboot_loop() -> Script:
    """January 2022: domain controllers restart every few minutes."""
    return Script(
        title="domain controllers in a reboot loop",
        kbs={_OS14393: "KB5009546", _OS17763: "KB5009557", _OS20348: "KB5009555"},
        signature="wininit/1015/lsass",
        rule=("role=dc",),
        steps=_lsass_dies(times=20, gap_min=8),
        fails=0.5,
    )


def r06_lsass_leak_2022() -> Script:
    """November 2022: lsass grows until it dies."""
    return Script(
        title="lsass leak, November 2022",
        kbs={_OS14393: "KB5019964", _OS17763: "KB5019966", _OS20348: "KB5019081"},
        signature="wininit/1015/lsass",
        rule=("role=dc",),
        steps=_lsass_dies(times=2, gap_min=1440),
        onset_h=96,
        onset_sd=0.5,
    )


def r07_lsass_leak_2024() -> Script:
    """March 2024: lsass leaks while it serves Kerberos; controllers restart after days."""
    return Script(
        title="lsass leak, March 2024",
        kbs={_OS14393: "KB5035855", _OS17763: "KB5035849", _OS20348: "KB5035857"},
        signature="wininit/1015/lsass",
        rule=("role=dc",),
        steps=_lsass_dies(times=3, gap_min=1440),
        onset_h=48,
        onset_sd=0.5,
    )


def r08_delegation() -> Script:
    """November 2021: Kerberos constrained delegation is refused."""
    return Script(
        title="S4U delegation fails",
        kbs={_OS14393: "KB5007192", _OS17763: "KB5007206", _OS20348: "KB5007205"},
        signature="kdc/18",
        rule=("role=dc",),
        steps=(logs("kdc/18", "identity", "degraded", times=40, gap_min=6),),
        fails=0.4,
        onset_h=2,
    )


def r09_certificate_mapping() -> Script:
    """May 2022: domain controllers refuse certificates."""
    return Script(
        title="certificate authentication fails",
        kbs={_OS14393: "KB5013952", _OS17763: "KB5013941", _OS20348: "KB5013944"},
        signature="security-auditing/6273",
        rule=("role=dc",),
        steps=(
            logs("kdc/39", "identity", "none", times=10, gap_min=10),
            logs("security-auditing/6273", "identity", "degraded", times=30, after_min=3),
        ),
        fails=0.6,
        onset_h=4,
    )


def r10_ntlm_surge() -> Script:
    """April 2024: domain controllers drown in NTLM traffic."""
    return Script(
        title="NTLM traffic surge",
        kbs={_OS14393: "KB5036899", _OS17763: "KB5036896", _OS20348: "KB5036909"},
        signature="netlogon/5816",
        rule=("role=dc",),
        steps=(
            logs("netlogon/5816", "identity", "degraded", times=30, gap_min=10),
            logs("netlogon/5719", "identity", "degraded", times=5, gap_min=30, after_min=20),
        ),
        fails=0.3,
        onset_h=10,
    )


def r15_smart_cards() -> Script:
    """October 2025: 32-bit programs can't use smart cards."""
    return Script(
        title="smart card service fails",
        kbs={_OS14393: "KB5066836", _OS17763: "KB5066586", _OS20348: "KB5066782"},
        signature="smart-card-service/624",
        rule=("smart_cards",),
        steps=(logs("smart-card-service/624", "identity", "degraded", times=15, gap_min=20),),
        onset_h=5,
        marks={"smart_cards": 0.05},
    )


def r34_key_trust() -> Script:
    """April 2025: domain controllers refuse key-trust log-ons."""
    return Script(
        title="Kerberos key trust fails",
        kbs={_OS14393: "KB5055521", _OS17763: "KB5055519", _OS20348: "KB5055526"},
        signature="kdc/21",
        rule=("role=dc",),
        steps=(
            logs("kdc/45", "identity", "none", times=10, gap_min=10),
            logs("kdc/21", "identity", "degraded", times=20, gap_min=6, after_min=3),
        ),
        fails=0.5,
        onset_h=3,
    )


def _lsass_dies(times: int, gap_min: float) -> tuple[Step, ...]:
    return (
        logs("wininit/1015/lsass", "identity", times=times, gap_min=gap_min),
        logs("application-error/1000/lsass", "crash", "degraded", times=times, gap_min=gap_min),
        logs("user32/1074/lsass", "identity", times=times, gap_min=gap_min, after_min=1),
    )
