"""The server: the page, its stream, the API, and the tasks that keep them fed."""

import asyncio
import secrets
import signal
import time
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from importlib import resources
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from dashboards.noc import api, guard, openapi
from dashboards.noc.answers import Problem
from dashboards.noc.book import Book
from dashboards.noc.follow import Follower
from dashboards.noc.gate import Terms
from dashboards.noc.model import TICK_S
from dashboards.noc.past import recall
from dashboards.noc.site import SITE, Site, answered, not_ready, refused
from schemas.errors import KbwatchError
from schemas.settings import NocSettings, Settings, StoreSettings

_FLUSH_S = 0.05
"""How long changes are gathered before browsers hear of them."""
_SLOW_FLUSHES = 20
"""Layouts, and cards on which only numbers of nodes moved, are due with every so many flushes."""
_CHUNK = 64 * 1024
_WRITE_S = 30.0
"""A browser that takes nothing for so long is let go."""
STREAMS_OF_ONE = 20
"""Streams of one address, or one could take all; not so for loopback and the proxies, behind which
there may be many people.
"""
_KEEPER: web.AppKey[guard.Guard] = web.AppKey("keeper", guard.Guard)

_log = structlog.get_logger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises KbwatchError for settings that can't be, for an address
    that is taken, and when Kafka refuses for good.
    """
    keeper = guard.load(settings.noc)
    terms = Terms(settings.noc.well_s, settings.noc.stale_after_s)
    book = Book(terms)
    follower = Follower(settings.kafka, book, _now_ms)
    site = Site(settings.noc, book, follower, secrets.token_hex(4), _now_ms)
    runner = web.AppRunner(
        application(site, keeper), access_log=None, shutdown_timeout=1.0, handle_signals=False
    )
    await runner.setup()
    try:
        url = await _listen(runner, settings.noc, keeper)
        _log.info("listening", url=url, open_to_all=keeper.is_open)
        past = [_recall(site, settings.store)] if settings.noc.history else []
        await _until_stopped(follower.run(), _publish(site), _tick(site), *past)
    finally:
        site.hub.close()
        await runner.cleanup()


def application(site: Site, keeper: guard.Guard) -> web.Application:
    """The application, without anything that runs beside it."""
    app = web.Application(middlewares=[guard.middleware(keeper), _errors])
    app[SITE] = site
    app[_KEEPER] = keeper
    app.on_response_prepare.append(guard.add_headers)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/events", _events)
    app.router.add_get("/", _page)
    app.router.add_get("/favicon.ico", _favicon)
    app.router.add_get("/api/v1/openapi.json", _openapi)
    app.router.add_routes(api.routes())
    app.router.add_static("/static", _static(), append_version=False)
    return app


def publish(site: Site, *, cards: bool) -> None:
    """Send what changed on its way; ``cards`` as in ``Book.changes``."""
    if site.reading.ready:
        site.hub.publish(site.book.changes(cards=cards))


async def _publish(site: Site) -> None:
    flushes = 0
    while True:
        await asyncio.sleep(_FLUSH_S)
        flushes += 1
        publish(site, cards=flushes % _SLOW_FLUSHES == 0)


async def _tick(site: Site) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        if site.reading.ready:
            site.book.sweep(site.clock_ms())
            site.hub.tick(site.tick())


async def _recall(site: Site, store: StoreSettings) -> None:
    while not site.reading.ready:
        await asyncio.sleep(_FLUSH_S)
    await recall(site.book, store)
    await asyncio.Event().wait()


async def _events(request: web.Request) -> web.StreamResponse:
    site = request.app[SITE]
    refusal = not_ready(site)
    if refusal is not None:
        return refusal
    if site.streams >= site.settings.streams:
        return refused(503, f"{site.streams} browsers are connected already, see noc.streams")
    remote = request.remote or ""
    many = guard.is_loopback(remote) or request.app[_KEEPER].is_proxy(remote)
    if site.streams_of[remote] >= STREAMS_OF_ONE and not many:
        return refused(503, f"{remote} has {STREAMS_OF_ONE} streams already: close some pages")
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # nginx would hold events back
        }
    )
    last = request.headers.get("Last-Event-ID", "") or request.query.get("last", "")
    site.streams += 1
    site.streams_of[remote] += 1
    try:
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        async for piece in site.hub.stream(last):
            await _write(response, piece)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass
    finally:
        site.streams -= 1
        site.streams_of -= Counter({remote: 1})  # drops those at zero
    return response


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    view = memoryview(piece)
    for start in range(0, len(view), _CHUNK):
        async with asyncio.timeout(_WRITE_S):
            await response.write(bytes(view[start : start + _CHUNK]))


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="alive\n")


async def _readyz(request: web.Request) -> web.Response:
    refusal = not_ready(request.app[SITE])
    return refusal or web.Response(text="ready\n")


async def _page(_: web.Request) -> web.StreamResponse:
    return web.FileResponse(f"{_static()}/index.html", headers={"Cache-Control": "no-cache"})


async def _favicon(_: web.Request) -> web.StreamResponse:
    raise web.HTTPMovedPermanently("/static/icons/ok.svg")


async def _openapi(_: web.Request) -> web.Response:
    return web.Response(body=openapi.document(), content_type="application/json")


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What goes wrong in words, as JSON, and without a stack."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return answered(Problem(f"{error.status} {error.reason}"), error.status)


def _static() -> str:
    return str(resources.files("dashboards.noc").joinpath("static"))


async def _listen(runner: web.AppRunner, settings: NocSettings, keeper: guard.Guard) -> str:
    try:
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=keeper.tls)
        await site.start()
    except OSError as error:
        raise KbwatchError(
            f"can't listen on {settings.host}:{settings.port} ({error.strerror}): "
            "is another server there? see noc.host, noc.port"
        ) from None
    host, port = runner.addresses[0][:2]
    return f"{'https' if keeper.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"


async def _until_stopped(*works: Coroutine[None, None, None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(work) for work in works]
    tasks.append(asyncio.create_task(stop.wait()))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, KbwatchError):
                await task


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
