"""The `kbwatch` command: what it shows, and one clear line for what a person can mend."""

import builtins
import errno
from importlib.metadata import EntryPoint

import pytest
import typer

from schemas import cli, cli_group
from schemas.errors import KbwatchError

ABSENT = EntryPoint("noc", "dashboards_not_here.cli:app", cli.GROUP)
TOPICS = EntryPoint("topics", "streams.topics_cli:app", cli.GROUP)


@pytest.fixture(autouse=True)
def _two_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {"noc": ABSENT, "topics": TOPICS}
    monkeypatch.setattr(cli, "commands", lambda: declared)
    monkeypatch.setattr(cli_group, "commands", lambda: declared)


def exit_code(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return ended.value.code


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert exit_code(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("kbwatch: ")
    assert shown.err.count("\n") == 1
    return shown.err


def test_help_lists_commands_and_says_which_extra_is_absent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code("--help") == 0
    shown = capsys.readouterr().out
    assert "topics" in shown
    assert "needs pip install 'kbwatch[dashboards_not_here]'" in shown
    assert "kbwatch explain KB5062557@17763 build/demo/reports.jsonl.zst\n" in shown
    assert "KBW_CONFIG" in shown


LONG = "Says so much of itself, and all of it in one long sentence, that no line can hold it"


@pytest.mark.parametrize(
    ("about", "docstring", "said"),
    [
        (None, f"{LONG}.\n\nAnd more. Much more.", f"{LONG}."),
        (f"{LONG}. And more.", "What its only command does.", f"{LONG}."),
        ("Says little", "What its only command does.", "Says little."),
        (None, "", ""),
    ],
)
def test_help_cuts_nobodys_summary(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    about: str | None,
    docstring: str,
    said: str,
) -> None:
    app = typer.Typer(help=about)
    app.command(help=docstring)(lambda: None)
    monkeypatch.setattr(EntryPoint, "load", lambda _point: app)
    assert exit_code("--help") == 0
    _, _, commands = capsys.readouterr().out.partition("Commands:")
    listed, _, _ = commands.partition("Examples:")
    assert " ".join(listed.split()) == " ".join(f"noc {said} topics {said}".split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out.startswith("kbwatch ")


def test_a_command_without_its_extra_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "noc", "--port", "8080")
    assert "pip install 'kbwatch[dashboards_not_here]'" in said


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--set", "kafka.bootstrp=x"], "bootstrp"),
        (["--set", "kafka.bootstrap"], "section.name=value"),
        (["--set", "detector.batch=none"], "detector.batch"),
        (["--config", "not-there.toml"], "not-there.toml"),
    ],
)
def test_wrong_settings_are_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    assert part in complaint(capsys, "topics", "list", *words)


def test_print_config_shows_what_holds_and_does_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code("topics", "list", "--print-config", "--set", "kafka.namespace=x-") == 0
    assert 'namespace = "x-"' in capsys.readouterr().out


def test_a_command_does_not_offer_what_belongs_to_a_whole_program(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    offering = typer.Typer()
    offering.command()(lambda: None)
    monkeypatch.setattr(EntryPoint, "load", lambda _point: offering)
    assert exit_code("topics", "--help") == 0
    assert "completion" not in capsys.readouterr().out


def test_a_wrong_command_is_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("topic") == 2
    assert "Did you mean 'topics'?" in capsys.readouterr().err


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(_words: list[str]) -> None:
        raise error

    monkeypatch.setattr(cli_group, "run", run)


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (KbwatchError("no broker"), "no broker"),
        (UnicodeEncodeError("latin-1", "E ≥ 200", 2, 3, "no"), r"latin-1, which has no '\u2265'"),
        (OSError(errno.ENOSPC, "No space left on device"), "can't write: No space left on device"),
        (ModuleNotFoundError("No module", name="faust"), "faust is not installed"),
        (ModuleNotFoundError("No module", name="chdb.session"), "kbwatch[embedded]"),
    ],
)
def test_what_a_person_can_mend_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    part: str,
) -> None:
    raising(monkeypatch, error)
    assert part in complaint(capsys, "topics")


def test_a_missing_module_of_ours_is_a_fault_and_shows_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raising(monkeypatch, ModuleNotFoundError("No module", name="streams.gone"))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["topics"])


def test_another_failed_call_of_the_system_is_a_fault_and_shows_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raising(monkeypatch, PermissionError(errno.EPERM, "not ours"))
    with pytest.raises(PermissionError):
        cli.main(["topics"])


def test_control_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert exit_code("topics") == 130


class TestWithoutTyper:
    @pytest.fixture(autouse=True)
    def _no_typer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = builtins.__import__

        def without(name: str, *rest: object) -> object:
            if name == "typer":
                raise ModuleNotFoundError("No module named 'typer'", name="typer")
            return real(name, *rest)  # type: ignore[arg-type]  # passed on as it came

        monkeypatch.setattr(builtins, "__import__", without)

    def test_help_works(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert exit_code("--help") == 0
        assert "needs pip install" in capsys.readouterr().out

    def test_a_command_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = complaint(capsys, "topics", "apply")
        assert said == "kbwatch: the commands need an extra: pip install 'kbwatch[streams]'\n"
