"""The words in which the named incidents are told."""

from collections.abc import Iterator
from random import Random

from msgspec import Struct

from streams.regbench.bench.chance import run_of
from streams.regbench.bench.effects import Effect, Step, Victim
from streams.regbench.bench.stream import Class, Event, Impact, Uninstall


class Script(Struct, frozen=True):
    """A named incident: whom it hits, how often, when, and what its victims log."""

    title: str
    kbs: dict[str, str]
    """Branch → its KB; a branch that is left out gets a harmless KB of the same day."""
    signature: str
    """The failure that tells it."""
    rule: tuple[str, ...]
    steps: tuple[Step, ...]
    fails: float = 1.0
    onset_h: float = 0.25
    onset_sd: float = 0.0
    marks: dict[str, float] = {}
    """Covariates that the usual fleet doesn't have, with the share of domains that have them."""
    harmful: bool = True
    silences: bool = False

    def effect(self) -> Effect:
        """The incident as an effect of its KBs."""
        return Effect(
            signature=self.signature,
            rule=self.rule,
            fails=self.fails,
            onset_h=self.onset_h,
            onset_sd=self.onset_sd,
            steps=self.steps,
            harmful=self.harmful,
            silences=self.silences,
        )


def logs(
    signature: str,
    cls: Class,
    impact: Impact = "outage",
    *,
    times: int = 1,
    gap_min: float = 3,
    after_min: float = 0,
) -> Step:
    """The victim logs a failure, ``times`` times with a mean gap, from some minutes on."""

    def step(random: Random, victim: Victim, t_ms: int) -> Iterator[Event]:
        first_ms = t_ms + int(after_min * 60_000)
        for each_ms in run_of(random, first_ms, times, gap_min * 60):
            yield Event(each_ms, victim.node.node, cls, signature, impact)

    return step


def peer_logs(signature: str, cls: Class, *, after_min: float) -> Step:
    """Another node of the cluster logs an outage of the victim."""

    def step(random: Random, victim: Victim, t_ms: int) -> Iterator[Event]:
        if victim.peers:
            peer = random.choice(victim.peers)
            later_ms = t_ms + int(after_min * 60_000)
            yield Event(later_ms, peer, cls, signature, "outage", victim.node.node)

    return step


def rolled_back(after_min: float) -> Step:
    """The victim loses the KB again."""

    def step(random: Random, victim: Victim, t_ms: int) -> Iterator[Uninstall]:
        yield Uninstall(t_ms + int(after_min * 60_000), victim.node.node, victim.kb)

    return step
