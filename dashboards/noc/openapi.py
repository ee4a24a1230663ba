"""The API's description, made from the Structs that it sends: ``python -m dashboards.noc.openapi``
writes it to ``openapi.json`` beside this file.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dashboards.noc.answers import CaseDetail, CaseList, Gate, HaltList, NodeList, Problem
from dashboards.noc.gate import Question
from dashboards.noc.model import CaseCells, WallState
from dashboards.noc.questions import CasesAsked, NodesAsked

FILE = Path(__file__).with_name("openapi.json")

_REF = "#/components/schemas/{name}"
_PROBLEM = (
    ("400", "The parameters are not what they should be."),
    ("401", "A token is needed."),
    ("403", "The caller is another site's page."),
    ("421", "The Host is none of the server's names."),
    ("503", "Not ready, or Kafka does not answer: nothing may be concluded."),
)
_NOT_FOUND = ("404", "There is no such open case.")

_QUERIES: dict[str, str] = {
    "kb": "Such as KB5062557.",
    "branch": "Such as 17763.",
    "fleet": "Whose nodes; the gate takes `default`, the others take all.",
    "ring": "The ring that is next; nodes of its kinds are looked at.",
    "cluster": "A failover cluster; for the gate an interlock: no-go until its last patched node "
    "is back and well.",
    "state": "Only these.",
    "case": "Such as KB5062557@17763, with `fleet`: the nodes' states are those of this case.",
    "site": "Only nodes of this site.",
}


class _Path(Struct, frozen=True):
    path: str
    summary: str
    answer: type[Struct]
    query: type[Struct] | None = None


_PATHS = (
    _Path("/api/v1/cases", "The open cases.", CaseList, CasesAsked),
    _Path("/api/v1/case/{fleet}/{case}", "One case whole.", CaseDetail),
    _Path("/api/v1/case/{fleet}/{case}/nodes", "Every node's state in a case.", CaseCells),
    _Path("/api/v1/nodes", "Nodes and their states.", NodeList, NodesAsked),
    _Path("/api/v1/halts", "All halts.", HaltList),
    _Path(
        "/api/v1/gate", "May a patch pipeline go on? 200 is an answer, not a go.", Gate, Question
    ),
)


@cache
def document() -> bytes:
    """The OpenAPI 3.1 document as JSON."""
    kinds = [*(path.answer for path in _PATHS), WallState, Problem]
    queries = [path.query for path in _PATHS if path.query is not None]
    _, schemas = msgspec.json.schema_components([*kinds, *queries], ref_template=_REF)
    asked = {kind.__name__: schemas.pop(kind.__name__) for kind in queries}
    paths: dict[str, Any] = {path.path: {"get": _operation(path, asked)} for path in _PATHS}
    paths["/events"] = {"get": _events()}
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "kbwatch",
            "version": "1",
            "description": "What the NOC page shows, and the gate. Read-only. Times are Unix "
            "milliseconds UTC. docs/noc.md says what the words mean.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }
    return json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def _operation(path: _Path, asked: dict[str, Any]) -> dict[str, Any]:
    problems = list(_PROBLEM)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ("fleet", "case")
        if f"{{{name}}}" in path.path
    ]
    if parameters:
        problems.append(_NOT_FOUND)
    if path.query is not None:
        declared = asked[path.query.__name__]
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": name in declared.get("required", ()),
                "description": _QUERIES[name],
                "schema": schema,
            }
            for name, schema in declared["properties"].items()
        ]
        if "case" in declared["properties"]:
            problems.append(_NOT_FOUND)
    return {
        "summary": path.summary,
        "parameters": parameters,
        "responses": {
            "200": _content(path.summary, "application/json", path.answer.__name__),
            **{s: _content(text, "application/json", Problem.__name__) for s, text in problems},
        },
    }


def _events() -> dict[str, Any]:
    return {
        "summary": "The stream that the page lives on, as server-sent events.",
        "description": "Begins with an event `state`; docs/noc.md describes the others.",
        "parameters": [
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
            {"name": "last", "in": "query", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": _content("The stream.", "text/event-stream", WallState.__name__),
            "503": _content("Not ready, or too many streams.", "application/json", "Problem"),
        },
    }


def _content(text: str, kind: str, schema: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {kind: {"schema": {"$ref": _REF.format(name=schema)}}},
    }


if __name__ == "__main__":
    FILE.write_bytes(document())
