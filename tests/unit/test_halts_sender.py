"""One attempt at a target, over a loopback socket: signed, no redirects, errors in words."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks.webhooks import Webhook

from schemas.halts import Delivery
from streams.demo.receiver import make_receiver
from streams.halts.deliveries import Outcome
from streams.halts.policy import Target
from streams.halts.sender import attempt
from tests.fixtures.halts import SECRET

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DELIVERY = Delivery(
    v=1,
    webhook_id="msg_1",
    halt_id="halt_1",
    fleet="default",
    case="KB5062557@17763",
    target="pipeline",
    transition="active",
    state="pending",
    body='{"type":"halt.active","ü":1}',
    created_ms=1000,
)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def target_at(url: str, secret: str = SECRET) -> Target:
    return Target(name="pipeline", url=url, signer=Webhook(secret), timeout_s=5)


async def answered(session: aiohttp.ClientSession, answer: Answer) -> Outcome:
    app = web.Application()
    app.router.add_post("/hook/s3cr3t", answer)
    async with TestServer(app) as server:
        return await attempt(session, target_at(str(server.make_url("/hook/s3cr3t"))), _DELIVERY)


def always(status: int, text: str = "", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


async def test_the_library_verifies_what_is_sent(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    out = tmp_path / "received.jsonl"
    async with TestServer(make_receiver(Webhook(SECRET), out)) as server:
        outcome = await attempt(session, target_at(str(server.make_url("/"))), _DELIVERY)
    assert outcome == Outcome(204)
    received = msgspec.json.decode(out.read_bytes())
    assert received["verified"] is True
    assert received["webhook_id"] == "msg_1"
    assert received["body"] == _DELIVERY.body


async def test_the_receiver_answers_401_to_another_secret(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    out = tmp_path / "received.jsonl"
    other = SECRET.replace("whsec_d", "whsec_e")
    async with TestServer(make_receiver(Webhook(SECRET), out)) as server:
        outcome = await attempt(session, target_at(str(server.make_url("/")), other), _DELIVERY)
    assert outcome.status == 401
    assert msgspec.json.decode(out.read_bytes())["verified"] is False


@pytest.mark.parametrize("signature", ["", "nonsense", "v1,%%%", "v1,AAAA v2,x,y"])
async def test_the_receiver_answers_401_to_a_mangled_signature(
    session: aiohttp.ClientSession, tmp_path: Path, signature: str
) -> None:
    headers = {"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": signature}
    async with TestServer(make_receiver(Webhook(SECRET), tmp_path / "out")) as server:
        url = server.make_url("/")
        async with session.post(url, data=b"{}", headers=headers) as response:
            assert response.status == 401


async def test_a_redirect_is_a_failure_and_is_not_followed(session: aiohttp.ClientSession) -> None:
    outcome = await answered(session, always(307, location="/elsewhere"))
    assert outcome == Outcome(307, "answered 307: redirects are not followed")


async def test_what_a_target_says_is_kept_short_and_on_one_line(
    session: aiohttp.ClientSession,
) -> None:
    outcome = await answered(session, always(500, "no\nroute\x1b[31m " + 5000 * "x"))
    assert outcome.status == 500
    assert outcome.error.startswith("answered 500 Internal Server Error: no route [31m x")
    assert outcome.error.isprintable()
    assert len(outcome.error) < 300


async def test_nobody_listens(session: aiohttp.ClientSession) -> None:
    server = TestServer(web.Application())
    await server.start_server()
    url = str(server.make_url("/hook/s3cr3t"))
    await server.close()
    outcome = await attempt(session, target_at(url), _DELIVERY)
    assert outcome.status == 0
    assert outcome.error.startswith("can't connect: ")
    assert "s3cr3t" not in outcome.error


async def test_a_connection_that_breaks(session: aiohttp.ClientSession) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    outcome = await answered(session, hang_up)
    assert outcome.status == 0
    assert outcome.error.startswith("the connection broke: ")
