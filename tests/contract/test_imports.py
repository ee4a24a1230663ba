"""Import rules that import-linter cannot say: what may be imported at all."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("collectors", "dashboards", "schemas", "streams")

# No clock, no chance, no I/O: what is left decides by its arguments alone.
PURE_STDLIB = {
    "__future__",
    "array",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "operator",
    "statistics",
    "types",
    "typing",
}
PURE_LIBRARIES = {"msgspec", "numpy"}
# Tables that ship with the package are constants.
PURE_MODULES = {"importlib.resources", "streams.detection", "tomllib"}

# `import schemas.x` must work in the base install; these parts are reached only from extras.
BEHIND_EXTRAS = {
    "schemas/cli_group.py",
    "schemas/cli_options.py",
    "schemas/clickhouse/chdb_store.py",
    "schemas/clickhouse/server_store.py",
    "schemas/log.py",
}
BASE_LIBRARIES = {"msgspec", "orjson"}


def modules_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(statements: list[ast.stmt], inside_functions: bool) -> Iterator[str]:
    """Full names of what is imported; TYPE_CHECKING blocks do not run and don't count."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, "imports are absolute: the reader sees where they lead"
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
        elif _runs(statement, inside_functions):
            yield from imports(
                [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)],
                inside_functions,
            )


def _runs(statement: ast.stmt, inside_functions: bool) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return inside_functions
    return not (isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test))


def imported(path: Path, inside_functions: bool) -> set[str]:
    return set(imports(ast.parse(path.read_text()).body, inside_functions))


def top(name: str) -> str:
    return name.partition(".")[0]


def test_detection_imports_only_what_cannot_see_the_world() -> None:
    assert modules_of("streams/detection")
    for path in modules_of("streams/detection"):
        for name in imported(path, inside_functions=True):
            allowed = top(name) in PURE_STDLIB | PURE_LIBRARIES | {"schemas"} or any(
                name == module or name.startswith(f"{module}.") for module in PURE_MODULES
            )
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_detection_opens_no_file() -> None:
    for path in modules_of("streams/detection"):
        called = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & {"open", "input", "print"}, path.relative_to(ROOT)


def test_schemas_load_with_the_base_dependencies_alone() -> None:
    for path in modules_of("schemas"):
        if str(path.relative_to(ROOT)) in BEHIND_EXTRAS:
            continue
        for name in imported(path, inside_functions=False):
            allowed = top(name) in sys.stdlib_module_names | BASE_LIBRARIES | {"schemas"}
            assert allowed, f"{path.relative_to(ROOT)} imports {name} when it is loaded"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_code_is_a_package(package: str) -> None:
    for folder in {path.parent for path in modules_of(package)}:
        assert (folder / "__init__.py").is_file(), folder.relative_to(ROOT)
