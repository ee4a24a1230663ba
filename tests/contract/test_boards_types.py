"""The generated boards are what Grafana's own types (npm: @grafana/schema) say a board is."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dashboards import build
from tests.fixtures.npm import installed

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parents[1] / "fixtures" / "npm_grafana" / "package.json"
RAW = "@grafana/schema/dist/types/raw"
_ROOMS = {
    "barchart": "barchart",
    "stat": "stat",
    "state-timeline": "statetimeline",
    "table": "table",
    "timeseries": "timeseries",
}
# A JSON file has the values of an enum, not its members.
_JSON = """
type Json<T> = T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends Array<infer U> ? Array<Json<U>>
  : T extends object ? { [K in keyof T]: Json<T[K]> }
  : T;
"""
_OPTIONS = {
    "compilerOptions": {
        "noEmit": True,
        "strict": True,
        "module": "esnext",
        "moduleResolution": "node10",
        "target": "es2022",
        "types": [],
    },
    "files": ["boards.ts"],
}


@pytest.fixture(scope="module")
def workshop() -> Path:
    """A folder with Grafana's types and a compiler."""
    return installed(PACKAGE).parent


def compiled(folder: Path, boards: list[dict[str, Any]]) -> list[str]:
    """What the compiler complains of."""
    lines = [f"import type {{ Dashboard }} from '{RAW}/dashboard/x/types.gen';"]
    lines += [
        f"import type * as {room} from '{RAW}/composable/{room}/panelcfg/x/types.gen';"
        for room in _ROOMS.values()
    ]
    lines.append(_JSON)
    for number, board in enumerate(boards):
        lines.append(f"export const board{number}: Json<Dashboard> = {json.dumps(board)};")
        for panel in board["panels"]:
            name, room = f"{number}_{panel['id']}", _ROOMS[panel["type"]]
            options = json.dumps(panel.get("options", {}))
            lines.append(f"export const options{name}: Json<{room}.Options> = {options};")
            custom = panel["fieldConfig"]["defaults"].get("custom")
            if custom is not None:
                kind = f"Json<{room}.FieldConfig>"
                lines.append(f"export const custom{name}: {kind} = {json.dumps(custom)};")
    (folder / "boards.ts").write_text("\n".join(lines))
    (folder / "tsconfig.json").write_text(json.dumps(_OPTIONS))
    compiler = folder / "node_modules" / ".bin" / "tsc"
    done = subprocess.run(
        [compiler, "-p", "."], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


def boards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (build.GENERATED / "boards").glob("*.json")]


def test_the_boards_compile(workshop: Path) -> None:
    assert len(boards()) == 7
    assert compiled(workshop, boards()) == []


def test_a_wrong_key_a_wrong_type_and_a_wrong_option_do_not(workshop: Path) -> None:
    wrong_key, wrong_type, wrong_option = (boards()[0] for _ in range(3))
    wrong_key["pannels"] = []
    wrong_type["schemaVersion"] = "41"
    wrong_option["panels"][0]["options"]["graphMode"] = "sometimes"

    complaints = compiled(workshop, [wrong_key, wrong_type, wrong_option])

    assert [line for line in complaints if "pannels" in line]
    assert [line for line in complaints if "'string' is not assignable to type 'number'" in line]
    assert [line for line in complaints if "sometimes" in line]
