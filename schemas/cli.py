"""``kbwatch``: mounts the commands that the installed packages offer.

Commands are entry points of the group ``kbwatch.commands`` (``name = "package.module:app"``, a
typer.Typer), so that no package imports another for them. A command whose extra is absent says
what to install; without any extra there is no typer, and only the help works.
"""

import errno
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import NoReturn

from schemas.errors import KbwatchError

GROUP = "kbwatch.commands"

ABOUT = """\
Tells, while a Windows patch is still rolling out, that this KB is breaking these nodes, and
stops it.

Nodes report to Kafka; the detector compares patched nodes with those not yet patched; a halt
latches and calls your patch pipeline by signed webhook.
"""
EXAMPLES = """\
Examples:

  kbwatch demo                       the founding incident on this machine
  kbwatch topics apply --dry-run     what would change on your Kafka
  kbwatch run detector --set kafka.bootstrap=broker:9092
  kbwatch explain KB5062557@17763 build/demo/reports.jsonl.zst
  kbwatch record past/2026-11.jsonl.zst --resume

Settings: a TOML file (--config FILE or KBW_CONFIG), over it KBW_* variables such as
KBW_KAFKA_BOOTSTRAP, over both --set kafka.bootstrap=VALUE. --print-config shows what holds.
"""

_MODULES_OF_EXTRAS = {"chdb": "embedded", "matplotlib": "bench", "pyarrow": "embedded"}
# A disk that is full or gone, as against a fault of ours.
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_OURS = ("collectors", "dashboards", "schemas", "streams")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``kbwatch``; what the operator can mend is one line on standard error and exit 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        import typer  # noqa: F401 - asked for here so that its absence is told from a fault
    except ModuleNotFoundError:
        sys.exit(_without_typer(words))
    from schemas.cli_group import run

    try:
        run(words)
    except KbwatchError as error:
        sys.exit(_complain(str(error)))
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in _OURS:
            raise
        extra = _MODULES_OF_EXTRAS.get(module) or _extra_of_command(words)
        sys.exit(_complain(f"{module} is not installed: {install_hint(extra)}"))
    except KeyboardInterrupt:
        sys.exit(130)
    except UnicodeEncodeError as error:
        sign = ascii(error.object[error.start])
        hint = "set PYTHONIOENCODING=utf-8"
        sys.exit(_complain(f"standard output is {error.encoding}, which has no {sign}: {hint}"))
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        _drop_unwritten()
        sys.exit(_complain(f"can't write: {error.strerror}"))
    sys.exit(0)


def commands() -> dict[str, EntryPoint]:
    """The declared commands by name, in order; whether they load is another matter."""
    return {point.name: point for point in sorted(entry_points(group=GROUP))}


def extra_of(point: EntryPoint) -> str:
    """The extra that a command needs: it bears the name of the command's package."""
    return point.module.partition(".")[0]


def install_hint(extra: str) -> str:
    """What to type to get an extra."""
    return f"pip install 'kbwatch[{extra}]'"


def _drop_unwritten() -> None:
    # The interpreter flushes at its end, and would complain in its own way.
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str) -> int:
    print(f"kbwatch: {text}", file=sys.stderr)
    return 2


def _extra_of_command(words: list[str]) -> str:
    point = commands().get(words[0]) if words else None
    return extra_of(point) if point else "streams"


def _without_typer(words: list[str]) -> int:
    if words == ["--version"]:
        print(f"kbwatch {version('kbwatch')}")
        return 0
    if words in ([], ["--help"]):
        print(f"Usage: kbwatch COMMAND\n\n{ABOUT}\n{EXAMPLES}\nCommands:")
        for name, point in commands().items():
            print(f"  {name:<10} needs {install_hint(extra_of(point))}")
        return 0
    return _complain(f"the commands need an extra: {install_hint(_extra_of_command(words))}")
