"""The server as a browser, a script and a patch pipeline meet it, without a broker."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web import Application, Request, StreamResponse, middleware
from msgspec import Struct

from dashboards.noc import guard, openapi
from dashboards.noc.answers import CaseDetail, CaseList, Gate, HaltList, NodeList, Problem
from dashboards.noc.model import CaseCells, WallState
from dashboards.noc.server import STREAMS_OF_ONE, application
from dashboards.noc.site import Site
from schemas.settings import NocSettings
from tests.fixtures.noc import CASE, KB, NOW_MS, RUN, Reading, site_of
from tests.fixtures.noc_july import july

Client = TestClient[Request, Application]
TOKEN = "0123456789abcdef0123456789abcdef"
CASE_PATH = f"/api/v1/case/default/{CASE}"

T = TypeVar("T", bound=Struct)


class Served(Struct):
    """A server, what it knows, and what Kafka is to it."""

    client: Client
    site: Site
    reading: Reading


async def _serve(settings: NocSettings) -> AsyncIterator[Served]:
    site = site_of(*july())
    site.settings = settings
    reading = site.reading
    assert isinstance(reading, Reading)
    async with TestClient(TestServer(application(site, guard.load(settings)))) as client:
        yield Served(client, site, reading)
        site.hub.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async for one in _serve(NocSettings(streams=2)):
        yield one


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Served]:
    """With a token, and behind a proxy on an address that is not ours."""
    (tmp_path / "token").write_text(TOKEN)
    settings = NocSettings(
        token_file=str(tmp_path / "token"),
        proxy_header="X-Forwarded-User",
        proxy_addresses=("10.9.9.9",),
        names=("noc.example",),
    )
    async for one in _serve(settings):
        yield one


async def get(served: Served, path: str, kind: type[T], status: int = 200) -> T:
    async with served.client.get(path) as response:
        body = await response.read()
        assert (response.status, response.content_type) == (status, "application/json"), body
        return msgspec.json.decode(body, type=kind)


async def events(response: ClientResponse) -> AsyncIterator[dict[str, str]]:
    fields: dict[str, str] = {}
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name and value:
            fields[name] = value
        elif not line.strip() and "event" in fields:
            yield fields
            fields = {}


def seen_as(remote: str) -> Middleware:
    """As if every request came from there."""

    @middleware
    async def moved(request: Request, handler: Handler) -> StreamResponse:
        return await handler(request.clone(remote=remote))

    return moved


class TestAnswers:
    async def test_cases_come_worst_first(self, served: Served) -> None:
        found = await get(served, "/api/v1/cases", CaseList)

        assert [card.state for card in found.cases] == [
            "halt",
            "warn",
            "notice",
            "inconclusive",
            "quiet",
        ]
        assert (found.tick.server_ms, found.tick.connected) == (NOW_MS, True)

    async def test_cases_can_be_asked_for_by_fleet_and_state(self, served: Served) -> None:
        halted = await get(served, "/api/v1/cases?fleet=default&state=halt", CaseList)
        other = await get(served, "/api/v1/cases?fleet=lab", CaseList)

        assert [card.kb for card in halted.cases] == [KB]
        assert other.cases == ()

    async def test_a_case_has_its_halt_and_every_name(self, served: Served) -> None:
        found = await get(served, CASE_PATH, CaseDetail)

        assert found.halt is not None
        assert found.halt.state == "proposed"
        assert found.halt.actions == ()
        assert all(step.count == len(step.nodes) for step in found.card.steps)

    async def test_a_cases_matrix_fits_the_stream(self, served: Served) -> None:
        found = await get(served, f"{CASE_PATH}/nodes", CaseCells)

        assert (found.run, found.seq) == (RUN, served.site.hub.seq)
        assert found.states["c00-n1"] == "v"
        assert "sql000" not in found.states

    async def test_nodes_can_be_asked_for_by_place_and_state(self, served: Served) -> None:
        path = f"/api/v1/nodes?fleet=default&case={CASE}&state=staged"
        found = await get(served, path, NodeList)
        cluster = await get(served, "/api/v1/nodes?cluster=c10", NodeList)

        assert [row.node for row in found.nodes] == [
            "c01-n1",
            "c03-n1",
            "c05-n2",
            "c10-n4",
            "c23-n4",
        ]
        assert [(row.node, row.state, row.cases) for row in cluster.nodes] == [
            ("c10-n1", "victim", (f"default/{CASE}",)),
            ("c10-n2", "victim", (f"default/{CASE}",)),
            ("c10-n3", "exposed", (f"default/{CASE}",)),
            ("c10-n4", "staged", ()),
        ]

    async def test_halts_come_with_who_and_why(self, served: Served) -> None:
        found = await get(served, "/api/v1/halts", HaltList)

        assert {halt.state for halt in found.halts} == {"proposed", "lifted"}
        assert found.halts[1].history[-1].who in ("m.weber", "policy")

    async def test_the_gate_answers_with_reasons(self, served: Served) -> None:
        found = await get(served, f"/api/v1/gate?kb={KB}&branch=17763&ring=ring3", Gate)
        go = await get(served, "/api/v1/gate?kb=KB5062572&branch=20348", Gate)

        assert (found.answer, found.ring) == ("no-go", "ring3")
        assert found.reasons[0].startswith(f"the halt of {CASE} is proposed")
        assert (go.answer, go.server_ms) == ("go", NOW_MS)

    @pytest.mark.parametrize(
        ("path", "status", "says"),
        [
            ("/api/v1/gate", 400, "required field `kb`"),
            ("/api/v1/gate?kb=KB5062557", 400, "required field `branch`"),
            ("/api/v1/gate?kb=5062557&branch=17763", 400, "kb"),
            ("/api/v1/gate?kb=kb5062557&branch=17763", 400, "write it as KB5062557"),
            ("/api/v1/gate?kb=KB5062557&branch=17763.1", 400, "branch"),
            ("/api/v1/gate?kb=KB5062557&branch=17763&rign=r", 400, "rign"),
            ("/api/v1/gate?kb=KB5062557&kb=KB5062558&branch=17763", 400, "once"),
            ("/api/v1/cases?state=bad", 400, "state"),
            ("/api/v1/nodes?case=KB1@1", 404, "no open case KB1@1"),
            ("/api/v1/case/default/KB1@1", 404, "no open case KB1@1"),
            ("/api/v1/case/default/KB1@1/nodes", 404, "no open case KB1@1"),
            ("/api/v1/nothing", 404, "404 Not Found"),
            ("/static/%2e%2e/server.py", 404, "404 Not Found"),
            ("/static/../server.py", 404, "404 Not Found"),
        ],
    )
    async def test_what_is_wrong_is_said(
        self, served: Served, path: str, status: int, says: str
    ) -> None:
        assert says in (await get(served, path, Problem, status)).error

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    async def test_nothing_can_be_changed(self, served: Served, method: str) -> None:
        async with served.client.request(method, "/api/v1/halts") as response:
            assert response.status == 405


class TestReadiness:
    async def test_until_everything_was_read_nobody_gets_an_answer(self, served: Served) -> None:
        served.reading.ready = False
        served.reading.why = "reading what is there"

        for path in ("/events", "/api/v1/cases", f"/api/v1/gate?kb={KB}&branch=17763", "/readyz"):
            found = await get(served, path, Problem, 503)
            assert found.error == "not ready: reading what is there"
        async with served.client.get("/healthz") as response:
            assert response.status == 200

    async def test_while_kafka_is_away_the_page_goes_on_and_the_gate_does_not(
        self, served: Served
    ) -> None:
        served.reading.connected = False

        found = await get(served, "/api/v1/cases", CaseList)
        refused = await get(served, "/api/v1/gate?kb=KB5062572&branch=20348", Problem, 503)

        assert not found.tick.connected
        assert refused.error == "Kafka does not answer: nothing is known of now"


class TestStream:
    async def test_begins_with_the_state_and_goes_on(self, served: Served) -> None:
        async with served.client.get("/events") as response:
            assert response.content_type == "text/event-stream"
            stream = events(response)
            first = await anext(stream)
            served.site.hub.tick(served.site.tick())
            second = await anext(stream)

        state = msgspec.json.decode(first["data"], type=WallState)
        assert (first["event"], first["id"]) == ("state", f"{RUN}-0")
        assert len(state.cases) == 5
        assert second["event"] == "tick"

    async def test_has_room_for_as_many_browsers_as_was_said(self, served: Served) -> None:
        async with served.client.get("/events"), served.client.get("/events"):
            found = await get(served, "/events", Problem, 503)

            assert found.error == "2 browsers are connected already, see noc.streams"

    async def test_one_address_cannot_take_all_streams(self) -> None:
        """Whatever loopback and the proxies hold: many people may be behind them."""
        settings = NocSettings(proxy_header="X-User", proxy_addresses=("10.9.9.0/24", "127.0.0.1"))
        for remote, room in (("203.0.113.7", False), ("10.9.9.9", True), ("127.0.0.1", True)):
            site = site_of(*july())
            site.streams_of[remote] = STREAMS_OF_ONE
            app = application(site, guard.load(settings))
            app.middlewares.append(seen_as(remote))
            headers = {"X-User": "eve"}
            async with (
                TestClient(TestServer(app), headers=headers) as client,
                client.get("/events") as response,
            ):
                assert response.status == (200 if room else 503)
                if not room:
                    assert "203.0.113.7 has 20 streams already" in await response.text()
                site.hub.close()

    async def test_a_browser_that_left_makes_room(self, served: Served) -> None:
        for _ in range(5):
            async with served.client.get("/events") as response:
                await anext(events(response))
            while served.site.streams:
                served.site.hub.tick(served.site.tick())
                await asyncio.sleep(0)

        assert served.site.streams == 0
        assert not served.site.streams_of


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example:8710", "", "[::2]:8710", "noc.example"]
    )
    async def test_by_a_name_that_is_not_ours_nobody_gets_anything(
        self, served: Served, host: str
    ) -> None:
        for path in ("/", "/events", "/api/v1/cases", "/static/index.html"):
            async with served.client.get(path, headers={"Host": host}) as response:
                assert response.status == 421

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:1", "[::1]:8710"])
    async def test_by_a_name_of_ours_one_does(self, served: Served, host: str) -> None:
        async with served.client.get("/api/v1/cases", headers={"Host": host}) as response:
            assert response.status == 200

    async def test_another_sites_page_may_link_and_not_read(self, served: Served) -> None:
        cross = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

        async with served.client.get("/events", headers=cross) as response:
            assert response.status == 403
        async with served.client.get("/", headers=link) as response:
            assert response.status == 200

    async def test_with_a_token_set_it_has_to_be_shown(self, guarded: Served) -> None:
        for path in ("/", "/events", "/api/v1/gate", "/static/index.html"):
            async with guarded.client.get(path) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
        password = base64.b64encode(f"noc:{TOKEN}".encode()).decode()
        for shown in (f"Bearer {TOKEN}", f"Basic {password}"):
            headers = {"Authorization": shown}
            async with guarded.client.get("/api/v1/cases", headers=headers) as response:
                assert response.status == 200

    async def test_a_proxys_header_is_not_believed_from_elsewhere(self, guarded: Served) -> None:
        headers = {"X-Forwarded-User": "m.weber"}
        async with guarded.client.get("/api/v1/cases", headers=headers) as response:
            assert response.status == 401

    async def test_a_proxys_header_is_believed_from_the_proxy(self) -> None:
        settings = NocSettings(proxy_header="X-User", proxy_addresses=("127.0.0.0/8",))
        async for one in _serve(settings):
            for user, status in (("m.weber", 200), ("", 401), (" ", 401)):
                async with one.client.get("/api/v1/cases", headers={"X-User": user}) as response:
                    assert response.status == status

    async def test_probes_need_nothing(self, guarded: Served) -> None:
        for path in ("/healthz", "/readyz"):
            async with guarded.client.get(path, headers={"Host": "10.0.0.1"}) as response:
                assert response.status == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/static/index.html", "/api/v1/cases", "/api/v1/gate", "/events", "/nothing", "/healthz"],
)
async def test_every_answer_forbids_what_a_browser_could_do_wrong(
    served: Served, path: str
) -> None:
    async with served.client.get(path) as response:
        headers = response.headers
    policy = headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Server" not in headers


async def test_scripts_have_the_type_that_nosniff_wants(served: Served) -> None:
    async with served.client.get("/static/js/main.js") as response:
        assert response.status == 200
        assert response.content_type in ("text/javascript", "application/javascript")


async def test_what_a_node_said_stays_inside_json(served: Served) -> None:
    """A node named like markup is data here; the page puts it in as text."""
    async with served.client.get("/api/v1/nodes?site=ams&ring=") as response:
        assert response.content_type == "application/json"
        names = [row["node"] for row in json.loads(await response.text())["nodes"]]

    assert "<img src=x onerror=alert(1)>" in names


class TestOpenApi:
    async def test_the_document_is_served_and_up_to_date(self, served: Served) -> None:
        async with served.client.get("/api/v1/openapi.json") as response:
            assert await response.read() == openapi.FILE.read_bytes(), (
                "write it anew: python -m dashboards.noc.openapi"
            )

    async def test_it_describes_every_path_of_the_api_and_no_other(self, served: Served) -> None:
        app = served.client.app
        assert app is not None
        paths = {
            resource.canonical
            for resource in app.router.resources()
            if resource.canonical.startswith(("/api/", "/events"))
        }

        assert set(json.loads(openapi.document())["paths"]) == paths - {"/api/v1/openapi.json"}

    def test_every_reference_leads_somewhere(self) -> None:
        document = json.loads(openapi.document())
        text = json.dumps(document)
        names = {ref.partition('"')[0] for ref in text.split("#/components/schemas/")[1:]}

        assert names == set(document["components"]["schemas"])
