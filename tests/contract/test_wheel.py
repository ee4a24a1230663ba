"""The wheel holds the four packages with their data, and works with each extra alone."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("collectors", "dashboards", "schemas", "streams")
SCRIPTS = Path("Scripts" if sys.platform == "win32" else "bin")

# Loads every module of a package: what it imports at the top must be in its extra.
LOAD_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""

pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False
    )


def succeeds(*words: str | Path, cwd: Path) -> str:
    done = run(*words, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    succeeds(sys.executable, *words, cwd=folder)
    (built,) = folder.glob("kbwatch-*.whl")
    return built


@pytest.fixture(scope="module")
def pins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pinned versions without hashes: pip asks a hash of our own wheel otherwise."""
    lines = (ROOT / "deploy" / "constraints.txt").read_text().splitlines()
    pinned = [line.removesuffix(" \\") for line in lines if line and not line.startswith(" ")]
    path = tmp_path_factory.mktemp("pins") / "pins.txt"
    path.write_text("\n".join(pinned))
    return path


def install(wheel: Path, pins: Path, folder: Path, extra: str) -> Path:
    """A clean virtual environment with the wheel and one extra; returns its scripts folder."""
    venv.create(folder / "venv", with_pip=False)
    scripts = folder / "venv" / SCRIPTS
    what = f"{wheel}[{extra}]" if extra else str(wheel)
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python")
    succeeds(*pip, "install", "--quiet", "--no-compile", "-c", pins, what, cwd=folder)
    succeeds(*pip, "check", cwd=folder)
    return scripts


def test_the_wheel_holds_the_four_packages_with_their_data_and_nothing_else(wheel: Path) -> None:
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == ours
    assert any(name.endswith("topics.toml") for name in held)


def test_the_wheel_bears_the_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith("dist-info/licenses/LICENSE")]


def test_without_an_extra_the_help_works_and_commands_say_what_to_install(
    wheel: Path, pins: Path, tmp_path: Path
) -> None:
    scripts = install(wheel, pins, tmp_path, "")
    assert "kbwatch[streams]" in succeeds(scripts / "kbwatch", "--help", cwd=tmp_path)
    assert succeeds(scripts / "kbwatch", "--version", cwd=tmp_path).startswith("kbwatch ")
    succeeds(scripts / "python", "-c", "import schemas.topics, schemas.settings", cwd=tmp_path)
    for command, needed in [
        ("kbwatch topics list", "kbwatch[streams]"),
        ("kbwatch-collector --help", "kbwatch[collector]"),
    ]:
        name, *words = command.split()
        done = run(scripts / name, *words, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert needed in done.stderr


@pytest.mark.parametrize(
    ("extra", "package", "commands"),
    [
        ("collector", "collectors", ["kbwatch --help", "kbwatch-collector --help"]),
        ("streams", "streams", ["kbwatch --help", "kbwatch topics apply --help"]),
        ("dashboards", "dashboards", ["kbwatch --help"]),
        ("embedded", "chdb", ["kbwatch --help"]),
    ],
)
def test_each_extra_alone_is_enough_for_its_package(
    wheel: Path, pins: Path, tmp_path: Path, extra: str, package: str, commands: list[str]
) -> None:
    scripts = install(wheel, pins, tmp_path, extra)
    for command in commands:
        name, *words = command.split()
        assert "Usage" in succeeds(scripts / name, *words, cwd=tmp_path)
    if package in PACKAGES:
        succeeds(scripts / "python", "-c", LOAD_ALL, package, cwd=tmp_path)
    else:
        succeeds(scripts / "python", "-c", f"import {package}", cwd=tmp_path)
