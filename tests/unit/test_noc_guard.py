"""Who may ask: loopback by default, a token or a proxy otherwise, and only by a name of ours."""

import base64
from pathlib import Path

import msgspec
import pytest

from dashboards.noc.guard import Guard, Token, is_loopback, load
from schemas.errors import KbwatchError
from schemas.settings import NocSettings

TOKEN = "0123456789abcdef0123456789abcdef"
EVERY = "0.0.0.0"  # noqa: S104 - never listened on


def made(**changes: object) -> Guard:
    return load(msgspec.structs.replace(NocSettings(), **changes))


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return str(path)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_on_loopback_nothing_more_is_needed() -> None:
    guard = made()

    assert guard.is_open
    assert guard.names == {"127.0.0.1", "localhost", "::1"}


@pytest.mark.parametrize("host", [EVERY, "::", "", "10.0.0.5", "noc.example"])
def test_elsewhere_it_refuses_to_start_without_anything_that_keeps_others_out(host: str) -> None:
    with pytest.raises(KbwatchError, match=r"others can reach it; set noc\.token_file"):
        made(host=host, names=("noc.example",))


def test_elsewhere_a_token_will_do(token_file: str) -> None:
    assert not made(host="10.0.0.5", token_file=token_file).is_open


def test_elsewhere_a_proxy_will_do() -> None:
    guard = made(host="10.0.0.5", proxy_header="X-User", proxy_addresses=("10.0.0.0/24",))

    assert not guard.is_open


def test_on_every_address_it_wants_to_know_its_names(token_file: str) -> None:
    with pytest.raises(KbwatchError, match=r"say in noc\.names"):
        made(host=EVERY, token_file=token_file)


@pytest.mark.parametrize(
    "half",
    [
        {"proxy_header": "X-User"},
        {"proxy_addresses": ("10.0.0.1",)},
        {"tls_cert": "cert.pem"},
        {"tls_key": "key.pem"},
    ],
)
def test_half_a_setting_is_none(half: dict[str, object]) -> None:
    with pytest.raises(KbwatchError, match="need each other"):
        made(**half)


@pytest.mark.parametrize("text", ["", "short", "x" * 31, "ä" * 40, "two\nlines" * 8])
def test_a_token_that_could_be_guessed_or_sent_wrongly_is_refused(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "token").write_text(text)

    with pytest.raises(KbwatchError, match="32 or more printable ASCII"):
        made(token_file=str(tmp_path / "token"))


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(KbwatchError, match=r"token_file .*absent: No such file"):
        made(token_file=str(tmp_path / "absent"))
    with pytest.raises(KbwatchError, match=r"tls_cert .*absent"):
        made(tls_cert=str(tmp_path / "absent"), tls_key=str(tmp_path / "absent"))


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(KbwatchError, match=r"'proxy' is no address or network"):
        made(proxy_header="X-User", proxy_addresses=("proxy",))


@pytest.mark.parametrize(
    "header",
    [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic("", TOKEN), basic("anybody", TOKEN)],
)
def test_the_token_may_come_as_bearer_or_as_a_password(header: str) -> None:
    assert Token(TOKEN).is_in(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Digest {TOKEN}",
        basic(TOKEN, ""),
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Bearer ä",
        "Bearer \udcff\udcfe",
        "Basic \udcff",
        "Basic ä",
    ],
)
def test_anything_else_is_no_token(header: str) -> None:
    assert not Token(TOKEN).is_in(header)


def test_the_token_shows_in_no_representation() -> None:
    assert TOKEN not in repr(Token(TOKEN))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("::", False)],
)
def test_loopback_is_what_only_this_machine_can_reach(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
