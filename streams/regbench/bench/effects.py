"""What a harmful KB does, and to whom."""

from collections.abc import Callable, Iterator, Sequence
from random import Random

from msgspec import Struct

from streams.regbench.bench.catalogue import of_kind
from streams.regbench.bench.chance import DAY_MS, delay_ms, poisson_times, run_of
from streams.regbench.bench.fleet import BRANCHES, Member, domains_of
from streams.regbench.bench.noise import event
from streams.regbench.bench.stream import Class, Event, Install, Node, Uninstall

LOOP_EVENTS = 20
LOOP_GAP_S = 180.0
BOOT_EVERY_MS = 7 * DAY_MS
SHARES: dict[int, tuple[str, ...]] = {
    1: ("clustered", "bitlocker", "branch=17763"),
    5: ("role=hyperv", "branch=17763"),
    100: (),
}
"""The rules that harm about this many percent of a fleet."""
RULES_BY_DEPTH: tuple[tuple[tuple[str, ...], ...], ...] = (
    ((),),
    (("role=sql",), ("role=app",), ("bitlocker",), ("clustered",)),
    (("role=app", "bitlocker"), ("clustered", "bitlocker"), ("role=sql", "virtual")),
    (("role=app", "bitlocker", "virtual"), ("clustered", "bitlocker", "virtual")),
)


class Victim(Struct, frozen=True):
    """A node that fails, by which KB, and the other nodes of its cluster."""

    node: Node
    kb: str
    peers: tuple[str, ...]


Step = Callable[[Random, Victim, int], Iterator[Event | Uninstall]]
"""Something that happens from the moment at which a victim fails."""


class Effect(Struct, frozen=True):
    """The harm of one KB."""

    signature: str
    rule: tuple[str, ...]
    fails: float
    """The share of the patched nodes under the rule that fail."""
    onset_h: float
    onset_sd: float
    steps: tuple[Step, ...]
    harmful: bool = True
    silences: bool = False
    """The victims' last words: nothing comes from them any more, heartbeats included."""


class Harm(Struct):
    """What an effect did in one roll-out."""

    lines: list[Event | Uninstall]
    caused: dict[str, int]
    """Victim → its first caused event."""


def holds(rule: Sequence[str], node: Node) -> bool:
    """Whether all literals hold: ``name=value`` of a field, or the name of a true covariate."""
    for literal in rule:
        name, equals, value = literal.partition("=")
        if equals and getattr(node, name) != value:
            return False
        if not equals and node.covariates.get(name) is not True:
            return False
    return True


def harmed_branches(rule: Sequence[str]) -> tuple[str, ...]:
    """The branches on which a rule can hold."""
    named = [x.removeprefix("branch=") for x in rule if x.startswith("branch=")]
    return tuple(named) or tuple(BRANCHES)


def looping(
    random: Random, rule: tuple[str, ...], kind: str, fails: float, onset_h: float, onset_sd: float
) -> Effect:
    """Victims that crash again and again with a signature of a kind (`catalogue.KINDS`)."""
    signature = of_kind(random, kind)

    def loop(random: Random, victim: Victim, t_ms: int) -> Iterator[Event]:
        for each_ms in run_of(random, t_ms, LOOP_EVENTS, LOOP_GAP_S):
            yield event(each_ms, victim.node.node, signature)

    return Effect(signature.name, rule, fails, onset_h, onset_sd, (loop,))


def each_boot(signature: str, cls: Class) -> Step:
    """One harmless line at the restart of the installation and at every later one."""

    def boots(random: Random, victim: Victim, t_ms: int) -> Iterator[Event]:
        for boot_ms in (t_ms, *poisson_times(random, 1 / BOOT_EVERY_MS, t_ms, t_ms + 35 * DAY_MS)):
            yield Event(boot_ms, victim.node.node, cls, signature, "none")

    return boots


def benign() -> Effect:
    """A service that logs an error at each boot of every patched node, and nothing else."""
    return Effect(
        signature="service/3117",
        rule=(),
        fails=1.0,
        onset_h=0.05,
        onset_sd=0.0,
        steps=(each_boot("service/3117", "service"),),
        harmful=False,
    )


def apply(
    random: Random, effect: Effect, fleet: list[Member], installs: list[Install], end_ms: int
) -> Harm:
    """The victims among the nodes that a KB was installed on, and what they say until the end."""
    place = {m.node.node: (m.node, domain) for domain in domains_of(fleet) for m in domain}
    harm = Harm([], {})
    # What victims say draws from elsewhere: a rule changes only whose lot counts.
    words = Random(random.getrandbits(64))
    for install in installs:
        node, domain = place[install.node]
        lot, delay = random.random(), delay_ms(random, effect.onset_h, effect.onset_sd)
        first_ms = install.t_ms + delay
        if lot >= effect.fails or first_ms > end_ms or not holds(effect.rule, node):
            continue
        peers = tuple(m.node.node for m in domain if m.node.node != node.node)
        victim = Victim(node, install.kb, peers)
        for step in effect.steps:
            harm.lines += [x for x in step(words, victim, first_ms) if x.t_ms <= end_ms]
        harm.caused[install.node] = first_ms
    return harm
