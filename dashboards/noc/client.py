"""Asks the server: one call, one answer."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from dashboards.noc.answers import Problem
from dashboards.noc.guard import is_loopback
from schemas.errors import KbwatchError
from schemas.settings import NocSettings

T = TypeVar("T", bound=Struct)


class UnavailableError(Exception):
    """There is no answer: nothing may be concluded. Its text says why."""


def own_url(settings: NocSettings) -> str:
    """Where a server with these settings is to be found from this machine."""
    scheme = "https" if settings.tls_cert else "http"
    host = settings.names[0] if settings.names and not is_loopback(settings.host) else settings.host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


async def ask(
    url: str,
    path: str,
    query: Mapping[str, str],
    kind: type[T],
    *,
    token_file: str = "",
    ca_file: str = "",
    timeout_s: float = 10.0,
) -> T:
    """GET ``path`` of the server at ``url`` as ``kind``.

    Raises UnavailableError when there is no answer or none that can be used, KbwatchError when the
    question, the token or a file is wrong, and when a secret would be seen on its way.
    """
    _check(url, bool(token_file))
    headers = {"Authorization": f"Bearer {_read(token_file)}"} if token_file else {}
    tls = _tls(ca_file) if ca_file else True
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    where = f"the NOC server at {url}"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(
                f"{url.rstrip('/')}{path}", params=query, ssl=tls, allow_redirects=False
            ) as response,
        ):
            status, body = response.status, await response.read()
    except aiohttp.InvalidURL:
        raise _no_url(url) from None
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UnavailableError(
            f"{where} does not answer: {str(error) or type(error).__name__}"
        ) from None
    if status == 200:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise UnavailableError(f"{where} says what can't be used: {error}") from None
    said = f"{where} answers {status}: {_problem(body)}"
    if status in (400, 401, 403, 404, 421):
        raise KbwatchError(said)
    raise UnavailableError(said)


def _check(url: str, has_token: bool) -> None:
    if "@" in url:
        raise KbwatchError(
            "the URL of the NOC server has a user name or password in it: leave it out, a token "
            "comes from --token-file"
        )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _no_url(url) from None
    if has_token and parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise KbwatchError(
            f"{url}: https only, or on this machine: the token would go over the net in clear"
        )


def _no_url(url: str) -> KbwatchError:
    return KbwatchError(f"{url!r} is no URL such as https://noc.example:8710")


def _problem(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Problem).error
    except msgspec.DecodeError:
        return "nothing that can be read; is it a kbwatch server?"


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KbwatchError(f"--token-file {path}: {error}") from None


def _tls(path: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise KbwatchError(f"--ca-file {path}: {error}") from None
