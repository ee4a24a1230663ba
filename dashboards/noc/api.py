"""The API: what the page shows, for programs. Read-only."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from dashboards.noc.answers import CaseDetail, CaseList, HaltList, NodeList, NodeRow
from dashboards.noc.cards import case_id
from dashboards.noc.cases import Case
from dashboards.noc.gate import Question
from dashboards.noc.model import LETTERS, CaseCells
from dashboards.noc.questions import CasesAsked, NodesAsked
from dashboards.noc.sightings import Node
from dashboards.noc.site import SITE, Site, answered, not_ready, refused

_STATES = {letter: state for state, letter in LETTERS.items()}
_COMPRESSED_BYTES = 4096

T = TypeVar("T", bound=Struct)


def routes() -> list[web.RouteDef]:
    """The API's routes; dashboards/noc/openapi.py describes them."""
    return [
        web.get("/api/v1/cases", _cases),
        web.get("/api/v1/case/{fleet}/{case}", _case),
        web.get("/api/v1/case/{fleet}/{case}/nodes", _cells),
        web.get("/api/v1/nodes", _nodes),
        web.get("/api/v1/halts", _halts),
        web.get("/api/v1/gate", _gate),
    ]


async def _cases(request: web.Request) -> web.Response:
    site = request.app[SITE]
    asked = _asked(request, CasesAsked)
    if isinstance(asked, web.Response):
        return asked
    cards = tuple(
        card
        for card in site.book.cases.cards()
        if asked.fleet in ("", card.fleet) and asked.state in (None, card.state)
    )
    return _sent(request, CaseList(site.tick(), cards))


async def _case(request: web.Request) -> web.Response:
    site = request.app[SITE]
    case = _found(request)
    if isinstance(case, web.Response):
        return case
    card = site.book.cases.whole(case)
    return _sent(request, CaseDetail(card, site.book.cases.halt_card(case.id)))


async def _cells(request: web.Request) -> web.Response:
    site = request.app[SITE]
    case = _found(request)
    if isinstance(case, web.Response):
        return case
    # What the hub has not sent yet comes after this number: applying it again changes nothing.
    cells = CaseCells(case.id, site.hub.run, site.hub.seq, case.map.letters())
    return _sent(request, cells)


async def _nodes(request: web.Request) -> web.Response:
    site = request.app[SITE]
    asked = _asked(request, NodesAsked)
    if isinstance(asked, web.Response):
        return asked
    case = None
    if asked.case:
        case = site.book.cases.get(case_id(asked.fleet, asked.case))
        if case is None:
            return refused(
                404, f"no open case {asked.case} in fleet {asked.fleet or '(none given)'}"
            )
    rows = tuple(
        row
        for _, node in sorted(site.book.fleet.nodes.items())
        if _is_asked(node, asked) and (row := _row(site, node, case)) is not None
        if asked.state in (None, row.state)
    )
    return _sent(request, NodeList(site.tick(), rows))


async def _halts(request: web.Request) -> web.Response:
    site = request.app[SITE]
    refusal = not_ready(site)
    return refusal or _sent(request, HaltList(site.tick(), site.book.halts()))


async def _gate(request: web.Request) -> web.Response:
    site = request.app[SITE]
    if request.query.get("kb", "").startswith("kb"):
        return refused(400, "kb: write it as KB5062557")
    asked = _asked(request, Question)
    if isinstance(asked, web.Response):
        return asked
    if not site.reading.connected:
        # What was true before Kafka went away may not be true now.
        return refused(503, "Kafka does not answer: nothing is known of now")
    return answered(site.book.gate(asked, site.clock_ms()))


def _asked(request: web.Request, kind: type[T]) -> T | web.Response:
    """The query as a Struct, or why not."""
    refusal = not_ready(request.app[SITE])
    if refusal is not None:
        return refusal
    query: Mapping[str, str] = dict(request.query)
    if len(query) != len(request.query):
        return refused(400, "each parameter may be given once")
    try:
        return msgspec.convert(query, kind)
    except msgspec.ValidationError as error:
        names = ", ".join(kind.__struct_fields__)
        return refused(400, f"{error} (parameters: {names})")


def _found(request: web.Request) -> Case | web.Response:
    site = request.app[SITE]
    refusal = not_ready(site)
    if refusal is not None:
        return refusal
    fleet, name = request.match_info["fleet"], request.match_info["case"]
    case = site.book.cases.get(case_id(fleet, name))
    return case or refused(404, f"no open case {name} in fleet {fleet}")


def _is_asked(node: Node, asked: NodesAsked) -> bool:
    return (
        asked.fleet in ("", node.fleet)
        and asked.site in (None, node.site)
        and asked.cluster in (None, node.cluster)
        and asked.ring in (None, node.ring)
    )


def _row(site: Site, node: Node, case: Case | None) -> NodeRow | None:
    """A node; None when it has no part in the case that was asked for."""
    if case is None:
        letter = site.book.wall.letter((node.fleet, node.node))
    elif node.fleet == case.branch[0]:
        letter = case.map.letter(node.node)
    else:
        letter = ""
    if not letter:
        return None
    cases = tuple(
        sorted(
            one.id
            for one in site.book.cases
            if one.branch == (node.fleet, node.branch)
            and (patch := node.patches.get(one.verdict.kb)) is not None
            and patch.in_effect
        )
    )
    return NodeRow(
        fleet=node.fleet,
        node=node.node,
        site=node.site,
        cluster=node.cluster,
        ring=node.ring,
        role=node.role,
        branch=node.branch,
        build=node.build,
        state=_STATES[letter],
        last_seen_ms=node.last_ms,
        cases=cases,
    )


def _sent(request: web.Request, data: Struct) -> web.Response:
    response = answered(data)
    if len(response.body or b"") > _COMPRESSED_BYTES:  # type: ignore[arg-type]
        response.enable_compression()
    return response
