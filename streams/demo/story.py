"""What the demo tells a person while it runs."""

import io
import math
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from schemas.halts import Delivery, Halt
from schemas.verdicts import Verdict
from streams.demo.player import Played
from streams.demo.summary import Summary
from streams.regbench.scenarios.kb5062557 import Scenario

_PICTURE_COLUMNS = 128
_STYLE = {"WARN": "bold yellow", "HALT": "bold red", "NOTICE": "cyan", "LIFT": "green"}


class Story:
    """Prints each thing once, when it becomes known; a progress line stays below."""

    def __init__(self, console: Console, scenario: Scenario, played: Played) -> None:
        self._console = console
        self._scenario = scenario
        self._played = played
        self._told: set[tuple[str, str]] = set()
        self._lines: list[Text] = []
        self._rings = list(scenario.truth.rings)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            console=console,
        )
        span_ms = scenario.truth.live_end_ms - scenario.truth.live_start_ms
        self._task = self._progress.add_task("starting", total=span_ms, status="")
        self._live = Live(self._below(), console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Story":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def fleet(self) -> None:
        """Introduce the fleet."""
        nodes = self._scenario.nodes
        sites = len({node.site for node in nodes})
        branches = len({node.branch for node in nodes})
        self.say(
            "fleet",
            f"{len(nodes)} SIMULATED nodes, {sites} sites, {branches} branches, "
            f"seed {self._scenario.seed}",
        )

    def say(self, label: str, text: str) -> None:
        """One line: a label and what there is to say."""
        line = Text(f"{label:<10} ", style="bold")
        line.append(text, style=_STYLE.get(text.split(" ", 1)[0], ""))
        self._lines.append(line)
        self._live.console.print(line, soft_wrap=True)

    def picture(self, title: str) -> str:
        """The story so far as an SVG picture of a terminal, without fonts from elsewhere."""
        canvas = Console(record=True, file=io.StringIO(), width=_PICTURE_COLUMNS)
        for line in self._lines:
            canvas.print(line)
        drawing = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        return canvas.export_svg(title=title, code_format=drawing)

    def stage(self, text: str) -> None:
        """What goes on now, below the story."""
        self._progress.update(self._task, description=text)
        self._live.update(self._below())

    def progress(self) -> None:
        """Move the bar."""
        truth = self._scenario.truth
        now_ms = self._played.now_ms
        self._progress.update(
            self._task,
            description=clock(now_ms) if now_ms >= truth.live_start_ms else "reading history back",
            completed=max(now_ms - truth.live_start_ms, 0),
            status=f"{self._played.produced:,} records",
        )

    def news(self, item: Verdict | Halt | Delivery) -> None:
        """Tell what a verdict, halt or delivery adds."""
        if isinstance(item, Verdict):
            self._tell_rings(item.asof_ms)
            self._verdict(item)
        elif isinstance(item, Halt):
            self._once("halt", item.case, "halts", f"{item.case} is {item.state}: {item.scope}")
        elif item.state == "delivered":
            self._once("delivery", item.webhook_id, "webhook", f"{item.case} → {item.target}")

    def page(self, url: str, picture: Path, why_none: str, hold: bool) -> None:
        """Say where the NOC page is, and its picture or why there is none."""
        where = url if hold else "open it at the end with --hold"
        shown = f"no picture: {why_none}" if why_none else f"picture in {picture}"
        self.say("page", f"{where}; {shown}")

    def end(self, summary: Summary, staged: int, out: Path, recording: Path) -> None:
        """Sum up, and say where to go on."""
        took_ms = summary.webhook.detect_to_delivery_ms
        if took_ms is not None:
            ok = "ok" if summary.webhook.signature_verified else "BAD"
            self.say("webhook", f"delivered {took_ms} ms after the verdict, signature {ok}")
        if summary.halted:
            self.say(
                "left",
                f"at the halt {summary.applicable_unpatched_at_halt} nodes of the branch were not "
                f"yet patched; {staged} staged: do not reboot (list in {out / 'staged.txt'})",
            )
        r = summary.records
        self.say(
            "records",
            f"{r.produced:,} produced = {r.stored:,} stored + {r.duplicates:,} duplicates + "
            f"{r.dead_lettered:,} dead-lettered",
        )
        self.say("data", f"summary, logs, store, broker files and recording in {out}")
        command = os.path.relpath(sys.argv[0])
        self.say("next", f"{command} explain {summary.case} {recording} · docs/tutorial.md")

    def _verdict(self, v: Verdict) -> None:
        if v.case == self._scenario.truth.case and v.state == "inconclusive" and v.power.observed:
            p = v.power.p_5pct
            text = f"INCONCLUSIVE  {v.case}: a 5 % failure would have shown with p = {p:.2f}"
            self._once("power", v.case, clock(v.asof_ms), text)
        if v.state in ("warn", "halt") and v.incidents:
            first = v.incidents[0]
            self._once(
                "victim",
                v.case,
                clock(first.t_ms),
                f"{first.node.upper()} was the first: {first.signature}, {first.minutes_after} min "
                f"after its boot on {v.build}",
            )
        if v.warn and v.state in ("warn", "halt"):
            self._once(
                "warn",
                v.case,
                clock(v.warn.t_ms),
                f"WARN   {v.case}  {v.warn.victims} of {v.warn.exposed} patched fail, "
                f"{v.warn.control_victims} of {v.warn.controls} unpatched",
            )
        if v.halt:
            self._once(
                "halt!",
                v.case,
                clock(v.halt.t_ms),
                f"HALT   {v.case}  {v.halt.victims} victims in {v.halt.victim_domains} clusters, "
                f"{v.halt.victim_sites} sites; E = {math.exp(v.halt.log_e):,.0f} ≥ "
                f"{math.exp(v.log_threshold):,.0f}",
            )
        if v.notice and v.state == "notice":
            self._once("notice", v.case, "NOTICE", f"{v.case}  {v.sentence}")

    def _once(self, kind: str, name: str, label: str, text: str) -> None:
        if (kind, name) not in self._told:
            self._told.add((kind, name))
            self.say(label, text)

    def _tell_rings(self, heard_ms: int) -> None:
        """Tell of the rings that are through, by what the detector has heard, not the player."""
        effective = self._scenario.truth.effective
        while self._rings:
            ring = self._rings[0]
            through_ms = max(effective[node] for node in ring.nodes)
            if through_ms > heard_ms:
                return
            self._rings.pop(0)
            self.say(clock(through_ms), f"ring {ring.name[1:]}  {len(ring.nodes)} nodes patched")

    def _below(self) -> RenderableType:
        return Group(self._progress)


def clock(t_ms: int) -> str:
    """Event time as a person in operations says it: ``Wed 01:44``."""
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%a %H:%M")


def stamp(t_ms: int) -> str:
    """A date and time in full: ``2018-07-12 00:41:50Z``."""
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
