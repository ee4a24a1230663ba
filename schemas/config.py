"""One loader for every setting: TOML file < environment < command line.

A setting ``kafka.bootstrap`` is ``[kafka] bootstrap = …`` in the file, ``KBW_KAFKA_BOOTSTRAP`` in
the environment and ``--set kafka.bootstrap=…`` on the command line; a collector's variables begin
with ``KBW_COLLECTOR_``. Unknown names are errors: a typo that is silently ignored is a setting that
silently does not hold.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from schemas.errors import KbwatchError

COLLECTOR_PREFIX = "KBW_COLLECTOR_"
_CONFIG = "CONFIG"
"""With the prefix: the variable that names the settings file."""

T = TypeVar("T", bound=Struct)


def load(
    kind: type[T],
    prefix: str,
    config: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    in_words: Mapping[str, str] | None = None,
) -> T:
    """Read settings of a Struct of Structs; ``overrides`` are ``section.name=value`` strings.

    ``in_words`` says of patterns what they mean. Raises KbwatchError that names the source, the
    setting and what would be right.
    """
    environ = os.environ if environ is None else environ
    words = in_words or {}
    tree: dict[str, Any] = {}
    path = config or environ.get(f"{prefix}{_CONFIG}")
    if path:
        tree = _read_file(Path(path))
        _convert(tree, kind, path, words)
    for variable in sorted(environ):
        if _is_ours(variable, prefix):
            _put(tree, _names(kind, variable.removeprefix(prefix).lower()), environ[variable])
            _convert(tree, kind, f"environment variable {variable}", words)
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise KbwatchError(f"--set {override}: write it as section.name=value")
        _put(tree, name.strip().split("."), value.strip())
        _convert(tree, kind, f"--set {override}", words)
    return _convert(tree, kind, "defaults", words)


def as_toml(settings: Struct) -> str:
    """The effective settings as a TOML file that would give the same settings again."""
    import tomlkit  # only --print-config needs it

    return tomlkit.dumps(msgspec.to_builtins(settings))


def _is_ours(variable: str, prefix: str) -> bool:
    if not variable.startswith(prefix) or variable == f"{prefix}{_CONFIG}":
        return False
    # A server may have a collector beside it.
    return prefix == COLLECTOR_PREFIX or not variable.startswith(COLLECTOR_PREFIX)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise KbwatchError(f"settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KbwatchError(f"settings file {path}: not TOML: {error}") from None


def _names(kind: type[Struct], rest: str) -> list[str]:
    for info in msgspec.structs.fields(kind):
        nested = isinstance(info.type, type) and issubclass(info.type, Struct)
        if nested and rest.startswith(f"{info.name}_"):
            return [info.name, rest.removeprefix(f"{info.name}_")]
    return [rest]


def _put(tree: dict[str, Any], names: list[str], value: str) -> None:
    for name in names[:-1]:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            return  # _convert will say that this section is not a table
    tree[names[-1]] = value


def _convert(tree: dict[str, Any], kind: type[T], source: str, words: Mapping[str, str]) -> T:
    try:
        # strict=False: environment and command line give strings, "5" is as good as 5.
        return msgspec.convert(tree, kind, strict=False)
    except msgspec.ValidationError as error:
        raise KbwatchError(f"{source}: {_in_words(str(error), kind, words)}") from None


def _in_words(error: str, kind: type[Struct], words: Mapping[str, str]) -> str:
    for pattern, meaning in words.items():
        error = error.replace(f"`str` matching regex {pattern!r}", meaning)
    if "unknown field" not in error:
        return error
    within = re.search(r"at `\$\.(\w+)", error)
    section = within.group(1) if within else "the top level"
    infos = msgspec.structs.fields(kind)
    names = next((msgspec.structs.fields(i.type) for i in infos if i.name == section), infos)
    return f"{error}; {section} has: {', '.join(info.name for info in names)}"
