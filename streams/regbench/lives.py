"""One node's whole life: its updates, restarts and incidents, and the records they leave."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from random import Random

from msgspec import Struct

from schemas.reports import Event, Facts, Heartbeat, Record
from streams.regbench.boots import Reboot, reboot_records
from streams.regbench.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from streams.regbench.fleet import OS_NAMES, Node
from streams.regbench.noise import UNEXPECTED_REBOOT, Incident, Kind, incident_events, incidents
from streams.regbench.patching import BEFORE_HISTORY, Install
from streams.regbench.routine import routine

HEARTBEAT_S = 1800
PLANNED_PER_DAY = 0.01
Span = tuple[int, int]
"""From, inclusive, and to, exclusive: Unix milliseconds."""


class Life(Struct, frozen=True):
    """Everything that happens to one node, and the seed of what is drawn on the way."""

    node: Node
    ring: int
    seed: int
    collector_start_ms: int
    """Before it the logs are read back, from it on they are shipped live."""
    heartbeat_ms: int
    """When the first heartbeat is due."""
    installs: tuple[Install, ...]
    reboots: tuple[Reboot, ...]
    incidents: tuple[Incident, ...]

    def down(self, t_ms: int) -> bool:
        """Whether the node is off at ``t_ms`` (a minute of start-up included)."""
        return any(r.down_ms <= t_ms < r.boot_ms + MINUTE_MS for r in self.reboots)

    def boot_ms(self, t_ms: int) -> int:
        """Start of the boot that runs at ``t_ms``; 0 before the first known one."""
        boots = [reboot.boot_ms for reboot in self.reboots]
        index = bisect_right(boots, t_ms)
        return boots[index - 1] if index else 0

    def history(self, start_ms: int) -> list[Record]:
        """What the logs hold when the collector first reads them, in time order."""
        span = (start_ms, self.collector_start_ms)
        return [self._facts(self.collector_start_ms), *self._logged(span, "history")]

    def live(self, end_ms: int, extra: Sequence[Event]) -> list[Record]:
        """What is shipped as it happens, in time order, heartbeats and daily facts included.

        ``extra`` are the events of outages and of the story that this node writes.
        Heartbeats still lack their channels: those are known when records get their ids.
        """
        start = self.collector_start_ms
        found = self._logged((start, end_ms), "live")
        found += [event for event in extra if start <= event.t_ms < end_ms]
        ticks = range(self.heartbeat_ms, end_ms, HEARTBEAT_S * SECOND_MS)
        found += [Heartbeat(t_ms=t_ms) for t_ms in ticks if not self.down(t_ms)]
        daily = range(start + DAY_MS, end_ms, DAY_MS)
        found += [self._facts(t_ms) for t_ms in daily if not self.down(t_ms)]
        found.sort(key=_time)
        return found

    def _logged(self, span: Span, phase: str) -> list[Record]:
        rng = Random(f"{self.seed}/records/{phase}/{self.node.name}")
        node, (start, end) = self.node, span
        boots = [reboot.boot_ms for reboot in self.reboots]
        noise: list[Event] = routine(node, boots, start, end, rng)
        for incident in self.incidents:
            if start <= incident.t_ms < end:
                noise += incident_events(node, incident, rng)
        found: list[Record] = [event for event in noise if not self.down(event.t_ms)]
        for reboot in self.reboots:
            if start <= reboot.down_ms < end:
                found += reboot_records(node, reboot, rng)
        for install in self.installs:
            # Drawn apart: an update's steps can lie on both sides of the collector's start.
            steps = Random(f"{self.seed}/steps/{node.name}/{install.update.kb}")
            found += install.states(steps)
        found = [record for record in found if start <= record.t_ms < end]
        found.sort(key=_time)
        return found

    def _facts(self, t_ms: int) -> Facts:
        node = self.node
        return Facts(
            t_ms=t_ms,
            role=node.role,
            os=OS_NAMES[node.branch],
            branch=node.branch,
            cluster=node.cluster,
            ring=f"r{self.ring}",
            virtual=node.virtual,
            covariates=node.covariates,
            backup_ms=self._backup_ms(t_ms),
        )

    def _backup_ms(self, t_ms: int) -> int | None:
        """Every night, week or month at its own time; who is backed up by others doesn't know."""
        rng = Random(f"{self.seed}/backup/{self.node.name}")
        days = rng.choice((1, 1, 1, 7, 30, None))
        if days is None:
            return None
        return t_ms - (t_ms - rng.randrange(30 * DAY_MS)) % (days * DAY_MS)


def live_through(
    node: Node,
    ring: int,
    seed: int,
    installs: Sequence[Install],
    of_seed: tuple[Kind, ...],
    span: Span,
    collector_start_ms: int,
    live_start_ms: int,
    struck_ms: int | None,
) -> Life:
    """Draw a node's incidents and restarts around its updates.

    ``struck_ms`` is when an outage switches the node off. A restart that is not an update's is
    left out while one is under way (a restart would complete what is staged), within
    an hour of another, and around the collector's start.
    """
    rng = Random(f"{seed}/life/{node.name}")
    frailty = rng.gammavariate(0.5, 2.0)
    happened = incidents(node, of_seed, frailty, *span, rng)
    downs = [incident.t_ms for incident in happened if incident.kind.name == UNEXPECTED_REBOOT]
    if struck_ms is not None:
        downs.append(struck_ms)
    drawn = [(down_ms, False) for down_ms in downs]
    at = span[0] + rng.expovariate(PLANNED_PER_DAY / DAY_MS)
    while at < span[1]:
        drawn.append((int(at), True))
        at += rng.expovariate(PLANNED_PER_DAY / DAY_MS)
    taken = [Reboot(i.down_ms, i.boot_ms, "patch", i.update.build) for i in installs]
    for down_ms, planned in sorted(drawn):
        boot_ms = down_ms + rng.randint(120, 360) * SECOND_MS
        if _free(down_ms, installs, taken, collector_start_ms):
            build = _build(node, installs, down_ms)
            taken.append(Reboot(down_ms, boot_ms, "planned" if planned else "unexpected", build))
    return Life(
        node=node,
        ring=ring,
        seed=seed,
        collector_start_ms=collector_start_ms,
        heartbeat_ms=live_start_ms + rng.randrange(HEARTBEAT_S * SECOND_MS),
        installs=tuple(installs),
        reboots=tuple(sorted(taken, key=attrgetter("boot_ms"))),
        incidents=tuple(happened),
    )


def _free(
    down_ms: int, installs: Sequence[Install], taken: Sequence[Reboot], collector_start_ms: int
) -> bool:
    if abs(down_ms - collector_start_ms) < HOUR_MS:
        return False
    if any(abs(down_ms - reboot.down_ms) < HOUR_MS for reboot in taken):
        return False
    return not any(i.offered_ms - HOUR_MS <= down_ms <= i.boot_ms + HOUR_MS for i in installs)


def _build(node: Node, installs: Sequence[Install], t_ms: int) -> str:
    done = [install.update.build for install in installs if install.boot_ms <= t_ms]
    return done[-1] if done else BEFORE_HISTORY[node.branch]


_time = attrgetter("t_ms")
