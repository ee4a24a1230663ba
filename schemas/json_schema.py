"""JSON Schemas of the messages, for writers and readers in other languages.

python -m schemas.json_schema write|check    (check: exit 1 when schemas/json is not up to date)
"""

import sys
from pathlib import Path

import msgspec
import orjson

from schemas.topics import Topic, all_topics

FOLDER = Path(__file__).parent / "json"
_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def generate() -> dict[str, bytes]:
    """The files by name: one ``<topic>.schema.json`` for each topic that carries messages."""
    return {
        f"{name}.schema.json": orjson.dumps(_schema(topic, kind), option=_OPTIONS)
        for name, topic in all_topics().items()
        if (kind := topic.message_type()) is not None
    }


def _schema(topic: Topic, kind: type[msgspec.Struct]) -> dict[str, object]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": topic.name,
        "description": topic.description,
        **msgspec.json.schema(kind),
    }


def drift(folder: Path = FOLDER) -> list[str]:
    """The names of files in ``folder`` that are missing, stale or too many."""
    there = {path.name: path.read_bytes() for path in folder.glob("*.json")}
    wanted = generate()
    return sorted(name for name in {*there, *wanted} if there.get(name) != wanted.get(name))


def write(folder: Path = FOLDER) -> None:
    """Bring ``folder`` up to date."""
    folder.mkdir(exist_ok=True)
    wanted = generate()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (folder / name).write_bytes(content)


def main(words: list[str]) -> int:
    """Run a command; the exit code."""
    if words == ["write"]:
        write()
        return 0
    if words != ["check"]:
        print("usage: python -m schemas.json_schema write|check", file=sys.stderr)
        return 2
    stale = drift()
    for name in stale:
        print(f"{FOLDER / name}: not up to date: python -m schemas.json_schema write")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
