"""Named incidents (family R1), as Microsoft and those who had them describe them.

Whom an incident hit, with which events, how soon; how many of those was never published, so
``fails`` is an assumption. Server 2025 stands in as 20348: the made-up fleets have no 26100.
"""

from collections.abc import Callable

from streams.regbench.bench.effects import each_boot
from streams.regbench.bench.incidents_identity import (
    r02_dc_reboot_loop,
    r06_lsass_leak_2022,
    r07_lsass_leak_2024,
    r08_delegation,
    r09_certificate_mapping,
    r10_ntlm_surge,
    r15_smart_cards,
    r34_key_trust,
)
from streams.regbench.bench.script import Script, logs, peer_logs, rolled_back

_OS14393, _OS17763, _OS20348 = "14393", "17763", "20348"


def r01_cluster_service() -> Script:
    """KB5062557: ClusSvc dies again and again, nodes are quarantined, VMs restart."""
    return Script(
        title="cluster service stops, quarantine, VM restarts",
        kbs={_OS17763: "KB5062557"},
        signature="scm/7031/clussvc",
        rule=("branch=17763", "clustered", "bitlocker"),
        steps=(
            logs("scm/7031/clussvc", "service", times=20),
            logs("scm/7024/clussvc", "service", times=5, gap_min=8, after_min=2),
            peer_logs("failoverclustering/1135", "cluster", after_min=1),
            peer_logs("failoverclustering/1672", "cluster", after_min=12),
            logs("failoverclustering/5120", "storage", "degraded", times=3, after_min=4),
            logs("hyper-v-high-availability/21107", "vm", times=4, after_min=6),
        ),
    )


def r03_vms_do_not_start() -> Script:
    """January 2022: the hypervisor doesn't launch on UEFI hosts."""
    return Script(
        title="Hyper-V VMs don't start",
        kbs={_OS14393: "KB5009624"},
        signature="hyper-v-vmms/15350",
        rule=("role=hyperv", "uefi"),
        steps=(
            logs("hyper-v-hypervisor/26", "vm", "degraded"),
            logs("hyper-v-vmms/15350", "vm", times=12, gap_min=5, after_min=1),
        ),
        onset_h=0.1,
        marks={"uefi": 0.5},
    )


def r04_refs_raw() -> Script:
    """January 2022: ReFS volumes on removable media mount as RAW."""
    return Script(
        title="ReFS volumes become RAW",
        kbs={_OS14393: "KB5009546", _OS17763: "KB5009557", _OS20348: "KB5009555"},
        signature="refs/133",
        rule=("refs_removable",),
        steps=(logs("refs/133", "storage", times=4, gap_min=10),),
        onset_h=0.1,
        marks={"refs_removable": 0.02},
    )


def r11_dhcp_server() -> Script:
    """June 2025: the DHCP server stops now and then."""
    return Script(
        title="DHCP server stops responding",
        kbs={_OS14393: "KB5061010", _OS17763: "KB5060531", _OS20348: "KB5060526"},
        signature="scm/7031/dhcpserver",
        rule=("role=dc", "dhcp_server"),
        steps=(
            logs("scm/7031/dhcpserver", "service", times=6, gap_min=60),
            logs("scm/7034/dhcpserver", "service", after_min=400),
        ),
        onset_h=3,
        marks={"dhcp_server": 0.4},
    )


def r13_bitlocker_recovery() -> Script:
    """July 2024: the boot stops until somebody types a recovery key."""
    return Script(
        title="BitLocker recovery prompt",
        kbs={_OS14393: "KB5040434", _OS17763: "KB5040430", _OS20348: "KB5040437"},
        signature="bitlocker-driver/24652",
        rule=("bitlocker",),
        steps=(
            logs("bitlocker-driver/24652", "storage"),
            logs("bitlocker-driver/24635", "storage", after_min=1),
        ),
        fails=0.25,
        onset_h=1,
    )


def r21_install_failure() -> Script:
    """April 2026: the update doesn't stay installed, some hosts ask for a recovery key."""
    return Script(
        title="install fails, BitLocker prompt",
        kbs={_OS20348: "KB5082063"},
        signature="windowsupdateclient/20",
        rule=(),
        steps=(
            logs("windowsupdateclient/20", "install", "degraded", times=3, gap_min=15),
            rolled_back(after_min=90),
        ),
        fails=0.1,
    )


def r22_sdn_vm_creation() -> Script:
    """December 2022: new VMs get no network under SCVMM with SDN."""
    return Script(
        title="VM creation fails with SDN",
        kbs={_OS17763: "KB5021237", _OS20348: "KB5021249"},
        signature="hyper-v-vmms/port",
        rule=("role=hyperv", "sdn"),
        steps=(logs("hyper-v-vmms/port", "vm", "degraded", times=8, gap_min=15),),
        onset_h=12,
        marks={"sdn": 0.5},
    )


def r23_vmware_secure_boot() -> Script:
    """February 2023: guests with Secure Boot don't survive the second restart."""
    return Script(
        title="VMs on VMware don't boot",
        kbs={_OS20348: "KB5022842"},
        signature="silence",
        rule=("virtual", "vmware_secure_boot"),
        steps=(),
        onset_h=6,
        marks={"vmware_secure_boot": 0.15},
        silences=True,
    )


def r27_slow_server() -> Script:
    """August 2024: services time out, sessions are dropped."""
    return Script(
        title="server slow and unresponsive",
        kbs={_OS17763: "KB5041578"},
        signature="scm/7011/cryptsvc",
        rule=("av_scans_catroot",),
        steps=(
            logs("scm/7011/cryptsvc", "service", "degraded", times=12, gap_min=10),
            logs("scm/7009/termservice", "service", "degraded", times=4, gap_min=25, after_min=5),
            logs("terminalservices/40", "service", "degraded", times=10, gap_min=6, after_min=10),
        ),
        fails=0.5,
        onset_h=8,
        marks={"av_scans_catroot": 0.15},
    )


def r28_benign_sgrm_broker() -> Script:
    """January 2025: every patched node logs SgrmBroker's 7023 once a boot, and works."""
    return Script(
        title="SgrmBroker logs an error per boot, harmless",
        kbs={_OS20348: "KB5049983"},
        signature="scm/7023/sgrmbroker",
        rule=(),
        steps=(each_boot("scm/7023/sgrmbroker", "service"),),
        onset_h=0.05,
        harmful=False,
    )


def r33_rdp_freeze() -> Script:
    """February 2025: remote sessions freeze and reconnect."""
    return Script(
        title="RDP sessions freeze",
        kbs={_OS20348: "KB5051987"},
        signature="terminalservices/40",
        rule=("rd_session_host",),
        steps=(logs("terminalservices/40", "service", "degraded", times=12, gap_min=12),),
        fails=0.6,
        onset_h=4,
        marks={"rd_session_host": 0.08},
    )


def r38_install_failure_wave() -> Script:
    """August 2025: the update fails through WSUS, and the update service dies."""
    return Script(
        title="client-side install failure wave",
        kbs={_OS20348: "KB5063878"},
        signature="scm/7031/wuauserv",
        rule=("wsus",),
        steps=(
            logs("scm/7031/wuauserv", "service", "degraded", times=4, gap_min=5),
            logs("application-error/1000/wuauserv", "crash", "degraded", times=4, gap_min=5),
            logs("windowsupdateclient/20", "install", "degraded", times=3, gap_min=10, after_min=2),
            rolled_back(after_min=60),
        ),
        fails=0.5,
        marks={"wsus": 0.6},
    )


def silent_boot() -> Script:
    """A boot failure that only shows as silence, on one patched node in twenty."""
    return Script(
        title="nodes don't come back from a restart",
        kbs={},
        signature="silence",
        rule=(),
        steps=(),
        fails=0.05,
        onset_h=0.1,
        silences=True,
    )


INCIDENTS: dict[str, Callable[[], Script]] = {
    "R01": r01_cluster_service,
    "R02": r02_dc_reboot_loop,
    "R03": r03_vms_do_not_start,
    "R04": r04_refs_raw,
    "R06": r06_lsass_leak_2022,
    "R07": r07_lsass_leak_2024,
    "R08": r08_delegation,
    "R09": r09_certificate_mapping,
    "R10": r10_ntlm_surge,
    "R11": r11_dhcp_server,
    "R13": r13_bitlocker_recovery,
    "R15": r15_smart_cards,
    "R21": r21_install_failure,
    "R22": r22_sdn_vm_creation,
    "R23": r23_vmware_secure_boot,
    "R27": r27_slow_server,
    "R28": r28_benign_sgrm_broker,
    "R33": r33_rdp_freeze,
    "R34": r34_key_trust,
    "R38": r38_install_failure_wave,
    "silent-boot": silent_boot,
}
