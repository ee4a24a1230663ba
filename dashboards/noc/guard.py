"""Who may ask, and what a browser may do with the answer.

- Loopback by default; any other address needs a token or a reverse proxy that says who the user is.
- The Host header must be a name of ours, or a page elsewhere could have the browser resolve its own
  name to this server and read the answers (DNS rebinding).
- Scripts and styles from this server only, none inline; never in a frame; nothing is sniffed.
"""

import base64
import hmac
import ipaddress
import ssl
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec import Struct

from schemas.errors import KbwatchError
from schemas.settings import NocSettings

OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that tell nothing but whether the server lives: for probes, without a token."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TOKEN_LENGTH = 32
_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - what we look for, not what we bind to

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_log = structlog.get_logger(__name__)


class Guard(Struct, frozen=True):
    """What ``load`` made of the settings. The token shows in no message and no log."""

    names: frozenset[str]
    token: "Token | None"
    proxy_header: str
    proxies: tuple[_Network, ...]
    tls: ssl.SSLContext | None

    @property
    def is_open(self) -> bool:
        """Whether everybody who reaches the server may read."""
        return self.token is None and not self.proxy_header

    def is_proxy(self, address: str) -> bool:
        """Whether ``address`` is believed about who the user is."""
        try:
            remote = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(remote in network for network in self.proxies)


class Token:
    """A token that can be compared and not shown."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()

    def is_in(self, header: str) -> bool:
        """Whether an Authorization header has it: ``Bearer``, or ``Basic`` as the password."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "basic":
            try:
                _, _, value = base64.b64decode(value, validate=True).decode().partition(":")
            except ValueError:  # not Base64, not ASCII or not UTF-8
                return False
        elif scheme.lower() != "bearer":
            return False
        # aiohttp reads bytes that are no UTF-8 as surrogates.
        return hmac.compare_digest(value.strip().encode(errors="surrogatepass"), self._text)


def load(settings: NocSettings) -> Guard:
    """Check the settings and read the files they name.

    Raises KbwatchError for an address that others can reach without anything that keeps them out,
    and for files that are not what they should be.
    """
    token = _token(settings.token_file) if settings.token_file else None
    proxies = tuple(map(_network, settings.proxy_addresses))
    if bool(settings.proxy_header) != bool(proxies):
        raise KbwatchError(
            "noc.proxy_header and noc.proxy_addresses need each other: which header names the "
            "user, and from which addresses it is believed"
        )
    loopback = is_loopback(settings.host)
    if not loopback and token is None and not settings.proxy_header:
        raise KbwatchError(
            f"noc.host {settings.host}: others can reach it; set noc.token_file, or "
            "noc.proxy_header with noc.proxy_addresses, or listen on 127.0.0.1"
        )
    if settings.host in _ANY and not settings.names:
        raise KbwatchError(
            f"noc.host {settings.host}: say in noc.names by which host names browsers call it"
        )
    tls = _tls(settings)
    if not loopback and tls is None and token is not None:
        _log.warning("the token goes over the network unencrypted: set noc.tls_cert, noc.tls_key")
    names = {*_LOOPBACK, settings.host.lower(), *map(str.lower, settings.names)}
    return Guard(frozenset(names), token, settings.proxy_header, proxies, tls)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def middleware(guard: Guard) -> Middleware:
    """The check before every handler, and the headers on every answer."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN:
            refused = _refusal(guard, request)
            if refused is not None:
                return refused
        return await handler(request)

    return guarded


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer, errors included (a signal of aiohttp)."""
    response.headers.update(_HEADERS)
    kept = "no-cache" if request.path.startswith("/static/") else "no-store"
    response.headers.setdefault("Cache-Control", kept)
    response.headers.popall("Server", None)


def _refusal(guard: Guard, request: web.Request) -> web.Response | None:
    if _host_of(request.headers.get("Host", "")) not in guard.names:
        return _no(421, "unknown Host: call the server by a name in noc.names")
    cross_site = request.headers.get("Sec-Fetch-Site") == "cross-site"
    if cross_site and request.headers.get("Sec-Fetch-Mode") != "navigate":
        return _no(403, "other sites may link to this one, not read it")
    if guard.is_open or _let_in(guard, request):
        return None
    _log.warning("refused", remote=request.remote, path=request.path)
    refused = _no(401, "a token is needed: Authorization: Bearer …, or as the password")
    if guard.token is not None:
        refused.headers["WWW-Authenticate"] = 'Basic realm="kbwatch", charset="UTF-8"'
    return refused


def _let_in(guard: Guard, request: web.Request) -> bool:
    if guard.token is not None and guard.token.is_in(request.headers.get("Authorization", "")):
        return True
    if not guard.proxy_header or not request.headers.get(guard.proxy_header, "").strip():
        return False
    return guard.is_proxy(request.remote or "")


def _host_of(header: str) -> str:
    """The name in a Host header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.rpartition(":")[0].lower() if ":" in header else header.lower()


def _no(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)


def _token(path: str) -> Token:
    try:
        text = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise KbwatchError(f"noc.token_file {path}: {reason}") from None
    if len(text) < _TOKEN_LENGTH or not text.isascii() or not text.isprintable():
        raise KbwatchError(
            f"noc.token_file {path}: one line of {_TOKEN_LENGTH} or more printable ASCII "
            "characters, such as `openssl rand -hex 32` writes"
        )
    return Token(text)


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise KbwatchError(
            f"noc.proxy_addresses: {text!r} is no address or network, such as 10.0.0.0/24"
        ) from None


def _tls(settings: NocSettings) -> ssl.SSLContext | None:
    if not settings.tls_cert and not settings.tls_key:
        return None
    if not settings.tls_cert or not settings.tls_key:
        raise KbwatchError("noc.tls_cert and noc.tls_key need each other")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise KbwatchError(
            f"noc.tls_cert {settings.tls_cert}, noc.tls_key {settings.tls_key}: {error}"
        ) from None
    return context


def _no_password() -> str:
    # Else OpenSSL asks on the terminal, where nobody may be.
    raise ValueError("the key has a password; give one without")
