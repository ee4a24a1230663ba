"""``kbwatch gate``: what a patch pipeline's script sees."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec import Struct

from dashboards.noc import guard
from dashboards.noc.server import application
from schemas.settings import NocSettings
from tests.fixtures.noc import Reading, site_of
from tests.fixtures.noc_july import july

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef0123456789abcdef"


class Ran(Struct, frozen=True):
    code: int
    out: str
    err: str


async def gate(*words: str, **environ: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemas",
        "gate",
        *words,
        cwd=ROOT,
        env=os.environ | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def reading() -> Reading:
    return Reading()


@pytest.fixture
async def url(reading: Reading, tmp_path: Path) -> AsyncIterator[str]:
    """A server that wants a token, in July."""
    (tmp_path / "token").write_text(TOKEN)
    site = site_of(*july())
    site.reading = reading
    settings = NocSettings(token_file=str(tmp_path / "token"))
    async with TestServer(application(site, guard.load(settings))) as server:
        yield str(server.make_url(""))


@pytest.mark.parametrize(
    ("words", "code", "first"),
    [
        (("KB5062572", "--branch", "20348"), 0, "go"),
        (("kb5062557", "--branch", "17763", "--ring", "ring3"), 1, "no-go"),
        (("KB5063878", "--branch", "26100"), 3, "inconclusive"),
        (("KB5062572", "--branch", "20348", "--cluster", "c9"), 3, "inconclusive"),
        (("KB5062572", "--branch", "20348", "--cluster", "c00"), 0, "go"),
    ],
)
async def test_the_answer_is_the_exit_code(
    url: str, tmp_path: Path, words: tuple[str, ...], code: int, first: str
) -> None:
    ran = await gate(*words, "--url", url, "--token-file", str(tmp_path / "token"))

    assert (ran.code, ran.out.splitlines()[0], ran.err) == (code, first, "")
    assert ran.out.splitlines()[1].startswith("  ")


async def test_json_is_the_servers_answer(url: str, tmp_path: Path) -> None:
    """Asked as the server's own settings say, token and all."""
    port = url.rpartition(":")[2]
    token_file = str(tmp_path / "token")
    ran = await gate(
        "KB5062572",
        "--branch",
        "20348",
        "--json",
        KBW_NOC_PORT=port,
        KBW_NOC_TOKEN_FILE=token_file,
    )

    assert (ran.code, json.loads(ran.out)["observed"]) == (0, 150)


async def test_the_servers_own_token_goes_to_nobody_else(url: str, tmp_path: Path) -> None:
    ran = await gate(
        "KB5062572", "--branch", "20348", "--url", url, KBW_NOC_TOKEN_FILE=str(tmp_path / "token")
    )

    assert ran.code == 2
    assert "answers 401: a token is needed" in ran.err


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://noc.example:8710", "https only"),
        ("http://10.0.0.5", "https only"),
        ("https://eve:hunter2@noc.example", "has a user name or password in it"),
        ("eve:hunter2@noc.example", "has a user name or password in it"),
        ("http://[", "is no URL"),
    ],
)
async def test_a_secret_is_not_sent_in_clear_nor_shown(
    tmp_path: Path, url: str, complaint: str
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    right = ("--token-file", str(tmp_path / "token"))
    ran = await gate("KB5062572", "--branch", "20348", "--url", url, *right)

    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err
    assert "hunter2" not in ran.err


async def test_no_answer_is_never_a_go(url: str, tmp_path: Path, reading: Reading) -> None:
    reading.connected = False
    ran = await gate(
        "KB5062572", "--branch", "20348", "--url", url, "--token-file", str(tmp_path / "token")
    )

    assert (ran.code, ran.out) == (4, "")
    assert ran.err.endswith("answers 503: Kafka does not answer: nothing is known of now\n")


async def test_nobody_there_is_no_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        ran = await gate("KB5062572", "--branch", "20348", "--set", f"noc.port={port}")

    assert ran.code == 4
    assert ran.err.startswith(f"kbwatch: unavailable: the NOC server at http://127.0.0.1:{port} ")


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, "<html>"), (200, "{}"), (200, '{"answer":"go"}'), (302, ""), (500, ""), (204, "")],
)
async def test_anybody_else_there_is_no_answer(status: int, body: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={"Location": "/api/v1/go"})

    app = web.Application()
    app.router.add_get("/api/v1/gate", answer)
    async with TestServer(app) as server:
        ran = await gate("KB5062572", "--branch", "20348", "--url", str(server.make_url("")))

    assert (ran.code, ran.out) == (4, "")


async def test_a_wrong_question_is_the_askers_fault(url: str, tmp_path: Path) -> None:
    right = ("--url", url, "--token-file", str(tmp_path / "token"))
    wrong_kb = await gate("5062557", "--branch", "17763", *right)
    no_token = await gate("KB5062557", "--branch", "17763", "--url", url)
    no_file = await gate("KB5062557", "--branch", "17763", "--token-file", "absent")
    no_url = await gate("KB5062557", "--branch", "17763", "--url", "::")

    assert [ran.code for ran in (wrong_kb, no_token, no_file, no_url)] == [2, 2, 2, 2]
    assert "answers 400: Expected `str` matching regex" in wrong_kb.err
    assert "answers 401: a token is needed" in no_token.err
    assert "--token-file absent" in no_file.err
    assert "'::' is no URL" in no_url.err


async def test_what_a_node_said_does_not_steer_the_terminal() -> None:
    async def answer(_: web.Request) -> web.Response:
        gate = {
            "answer": "no-go",
            **dict.fromkeys(("kb", "branch", "fleet", "ring", "cluster"), ""),
            "reasons": ["\x1b[2Jgo"],
            **dict.fromkeys(("observed", "needed", "p_5pct", "rate_95"), 0),
            "cases": [],
            **dict.fromkeys(("asof_ms", "server_ms"), 0),
        }
        return web.json_response(gate)

    app = web.Application()
    app.router.add_get("/api/v1/gate", answer)
    async with TestServer(app) as server:
        ran = await gate("KB5062572", "--branch", "20348", "--url", str(server.make_url("")))

    assert (ran.code, ran.out) == (1, "no-go\n  �[2Jgo\n")
