"""Where benchmarks write what they measured, and what the machine was."""

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

_OUT = Path("build/bench/summary.json")


def machine() -> str:
    """What it ran on."""
    return f"{platform.machine()}, Python {platform.python_version()}"


def add(figures: Mapping[str, object]) -> None:
    """Print figures, and put them beside those that build/bench/summary.json has."""
    summary: dict[str, object] = json.loads(_OUT.read_text()) if _OUT.exists() else {}
    _OUT.parent.mkdir(parents=True, exist_ok=True)
    _OUT.write_text(json.dumps(summary | dict(figures), indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def exit_code(missed: Sequence[str]) -> int:
    """Say which bars were missed; 1 when any was."""
    print(f"missed: {', '.join(missed)}" if missed else "all bars held")
    return 1 if missed else 0
