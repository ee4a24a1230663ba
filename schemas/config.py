"""One loader for every setting: TOML file < environment < command line.

A setting ``kafka.bootstrap`` is ``[kafka] bootstrap = …`` in the file, ``KBW_KAFKA_BOOTSTRAP`` in
the environment and ``--set kafka.bootstrap=…`` on the command line; a collector's variables begin
with ``KBW_COLLECTOR_``. Outside the file a list is written as JSON. Unknown names are errors: a
typo that is silently ignored is a setting that silently does not hold.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct

from schemas.errors import KbwatchError

COLLECTOR_PREFIX = "KBW_COLLECTOR_"
_CONFIG = "CONFIG"
"""With the prefix: the variable that names the settings file."""

_BOOL = re.compile("Expected `bool`, got `[a-z]+`")
_BOUND = re.compile(r"Expected `(int|float)` (<=|>=|<|>) (-?[\d.]+)")
_KINDS = {"int": "a whole number", "float": "a number"}
_BOUNDS = {"<=": "of at most", ">=": "of at least", "<": "less than", ">": "greater than"}

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
            source = f"environment variable {variable}"
            names = _names(kind, variable.removeprefix(prefix).lower())
            _put(tree, names, environ[variable], source)
            _convert(tree, kind, source, words)
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise KbwatchError(f"--set {override}: write it as section.name=value")
        _put(tree, name.strip().split("."), value.strip(), f"--set {override}")
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
        return tomllib.loads(path.read_text("utf-8-sig"))
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


def _put(tree: dict[str, Any], names: list[str], value: str, source: str) -> None:
    for at, name in enumerate(names[:-1], start=1):
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise KbwatchError(f"{source}: {'.'.join(names[:at])} is no section; set it as a whole")
    tree[names[-1]] = _list_or_text(value)


def _list_or_text(value: str) -> object:
    if not value.startswith("["):
        return value
    try:
        return msgspec.json.decode(value, type=list)
    except msgspec.DecodeError:  # an IPv6 address begins like a list
        return value


def _convert(tree: dict[str, Any], kind: type[T], source: str, words: Mapping[str, str]) -> T:
    try:
        # strict=False: environment and command line give strings, "5" is as good as 5.
        return msgspec.convert(tree, kind, strict=False)
    except msgspec.ValidationError as error:
        raise KbwatchError(f"{source}: {_in_words(str(error), kind, words)}") from None


def _in_words(error: str, kind: type[Struct], words: Mapping[str, str]) -> str:
    for pattern, meaning in words.items():
        error = error.replace(f"`str` matching regex {pattern!r}", meaning)
    error = error.replace("Expected `array`, got `str`", "Expected a list, as JSON: [ … ]")
    error = _BOOL.sub("Expected true or false", error)
    error = _BOUND.sub(_bound_in_words, error)
    if "Invalid enum value" in error:
        return f"{error}; choose from: {', '.join(_choices(kind, error))}"
    if "unknown field" not in error:
        return error
    within = re.search(r"at `\$\.([\w.]+)", error)
    section = within.group(1) if within else "the top level"
    struct = kind
    for name in section.split(".") if within else ():
        struct = _struct_of(struct, name)
    return f"{error}; {section} has: {', '.join(struct.__struct_fields__)}"


def _bound_in_words(found: re.Match[str]) -> str:
    kind, sign, bound = found.groups()
    return f"Expected {_KINDS[kind]} {_BOUNDS[sign]} {bound}"


def _choices(kind: type[Struct], error: str) -> list[str]:
    """What the setting that the error names may be, where it is one of some words."""
    at = re.search(r"at `\$\.([\w.\[\]]+)`", error)
    *sections, name = re.sub(r"\[\d*\]", "", at.group(1)).split(".") if at else [""]
    struct = kind
    for section in sections:
        struct = _struct_of(struct, section)
    types = (info.type for info in msgspec.structs.fields(struct) if info.name == name)
    return [json.dumps(choice) for choice in get_args(next(types, None))]


def _struct_of(kind: type[Struct], name: str) -> type[Struct]:
    """The Struct of a field, or of the items of a field that is a list."""
    types = (info.type for info in msgspec.structs.fields(kind) if info.name == name)
    inner = next(types, kind)
    found = next(iter(get_args(inner)), inner)
    return found if isinstance(found, type) and issubclass(found, Struct) else kind
