"""What is generated: the text of every board and of the alert rules, by path below ``generated/``.

The files are committed; ``check`` says where they differ from the code, so that a review sees what
a change does to a board, and a board is never changed anywhere else.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import alerts
from dashboards.boards import boards

GENERATED = Path(__file__).parent / "generated"


def plain(made: object) -> Any:  # noqa: ANN401 - JSON has no type of its own
    """What the SDK made, as plain dicts and lists."""
    return json.loads(json.dumps(made, cls=JSONEncoder))


def board_files() -> dict[str, Dashboard]:
    """Every board by the path of its file."""
    return {f"boards/{uid}.json": board for uid, board in boards().items()}


def texts() -> dict[str, str]:
    """The text of every generated file by its path, as it should be."""
    made: dict[str, object] = {**board_files(), "alerting/kbwatch.json": alerts.as_file()}
    return {
        path: json.dumps(plain(what), indent=2, ensure_ascii=False) + "\n"
        for path, what in made.items()
    }


def write(folder: Path = GENERATED) -> list[str]:
    """Write what differs, remove what is no longer made; returns those paths."""
    changed = []
    wanted = texts()
    for path in stale(wanted, folder):
        (folder / path).unlink()
        changed.append(path)
    for path, text in wanted.items():
        file = folder / path
        if not file.exists() or file.read_text("utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
            changed.append(path)
    return changed


def drifted(folder: Path = GENERATED) -> list[str]:
    """The paths whose committed file is missing, differs, or should not be there."""
    wanted = texts()
    found = [
        path
        for path, text in wanted.items()
        if not (folder / path).exists() or (folder / path).read_text("utf-8") != text
    ]
    return found + stale(wanted, folder)


def stale(wanted: Iterable[str], folder: Path) -> list[str]:
    """Files in the folder that nothing makes any more."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")}
    return sorted(there - set(wanted))
