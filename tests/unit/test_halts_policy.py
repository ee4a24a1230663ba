"""The halt policy: what it refuses, in which words, and that its secrets stay secret."""

import base64
import logging
from pathlib import Path

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook

from schemas.errors import KbwatchError
from streams.halts.policy import (
    ACCEPT_DEFAULT_CALIBRATION,
    ACCEPT_UNSIGNED,
    Match,
    Policy,
    load_policy,
)
from tests.fixtures.halts import SECRET

_EXAMPLE = Path(__file__).parents[2] / "deploy" / "webhooks" / "policy.example.toml"
_TARGET = '[[target]]\nname = "pipeline"\nurl = "https://pipeline.example/hook"\n'
_ENVIRON = {"PIPELINE": SECRET}


def policy_of(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return load_policy(str(path), _ENVIRON)


def secret_of(size_bytes: int) -> str:
    return "whsec_" + base64.b64encode(bytes(size_bytes)).decode()


def test_without_a_file_the_policy_observes_and_tells_nobody() -> None:
    assert load_policy("") == Policy(mode="observe", targets=())


def test_the_example_loads() -> None:
    policy = load_policy(str(_EXAMPLE), {"PIPELINE_WEBHOOK_SECRET": SECRET})
    assert policy.mode == "observe"
    assert [target.name for target in policy.targets] == ["pipeline"]
    assert not policy.accepts_unsigned


def test_the_example_shows_the_sentences_that_are_accepted() -> None:
    text = _EXAMPLE.read_text()
    assert f'acknowledge_unsigned_reports = "{ACCEPT_UNSIGNED}"' in text
    assert f'acknowledge_default_calibration = "{ACCEPT_DEFAULT_CALIBRATION}"' in text


@pytest.mark.parametrize(("text", "scope"), [("", "branch"), ('scope = "rule"', "rule")])
def test_a_halt_is_for_the_whole_branch_unless_the_policy_says_so(
    tmp_path: Path, text: str, scope: str
) -> None:
    assert policy_of(tmp_path, text).scope == scope


def test_the_exact_sentences_acknowledge(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path,
        f'mode = "auto"\nacknowledge_unsigned_reports = "{ACCEPT_UNSIGNED}"\n'
        f'acknowledge_default_calibration = "{ACCEPT_DEFAULT_CALIBRATION}"\n',
    )
    assert policy.accepts_unsigned
    assert policy.accepts_default_calibration


@pytest.mark.parametrize(
    ("text", "key", "right"),
    [
        ('mode = "automatic"', "mode", '"observe", "approve" or "auto"'),
        ('modes = "auto"', "modes: there is no such key", "mode, scope, match"),
        ('scope = "cluster"', "scope", '"branch" or "rule"'),
        ('match = "all"', "match", "mode, scope, match"),
        ('[match]\nkb = ["KB5062557"]', "match.kb: there is no such key", "kbs, branches"),
        ('[match]\nkbs = "KB5062557"', "match.kbs", '["KB5062557"]'),
        ('[match]\nkbs = ["5062557"]', "match.kbs[0]", '["KB5062557"]'),
        ("[match]\nbranches = [17763]", "match.branches[0]", '["17763"]'),
        (
            'acknowledge_unsigned_reports = "yes"',
            "acknowledge_unsigned_reports",
            ACCEPT_UNSIGNED,
        ),
        ("acknowledge_unsigned_reports = true", "acknowledge_unsigned_reports", ACCEPT_UNSIGNED),
        (
            f'acknowledge_unsigned_reports = "{ACCEPT_UNSIGNED.lower()}"',
            "acknowledge_unsigned_reports",
            ACCEPT_UNSIGNED,
        ),
        (
            f'acknowledge_default_calibration = "{ACCEPT_UNSIGNED}"',
            "acknowledge_default_calibration",
            ACCEPT_DEFAULT_CALIBRATION,
        ),
        ('[[target]]\nname = "pipeline"', "target[0].url: is missing", "https://"),
        (_TARGET, "target[0]: needs one secret", "secret_file and secret_env"),
        (
            _TARGET + 'secret_file = "a"\nsecret_env = "PIPELINE"',
            "target[0]: needs one secret",
            "exactly one",
        ),
        (_TARGET + 'secret_env = "NOWHERE"', "target[0].secret_env: NOWHERE", "variable"),
        (_TARGET + 'secret_file = "nowhere"', "target[0].secret_file: nowhere", "a file"),
        (_TARGET + 'secret_env = "PIPELINE"\ntimeout_s = 0', "target[0].timeout_s", "seconds"),
        (_TARGET + 'secret_env = "PIPELINE"\nretries = 3', "target[0].retries", "timeout_s"),
        (
            2 * (_TARGET + 'secret_env = "PIPELINE"\n'),
            'target[1].name: "pipeline" is there twice',
            "unique",
        ),
    ],
)
def test_an_error_names_the_file_the_key_and_what_is_right(
    tmp_path: Path, text: str, key: str, right: str
) -> None:
    with pytest.raises(KbwatchError) as error:
        policy_of(tmp_path, text)
    assert str(error.value).startswith(f"policy {tmp_path / 'policy.toml'}: {key}")
    assert right in str(error.value).partition("; right is ")[2]


@pytest.mark.parametrize("content", [None, "mode = ", b"\xff\xfe"])
def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "policy.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(KbwatchError, match=r"policy\.toml: (No such file|not TOML)"):
        load_policy(str(path))


@pytest.mark.parametrize(
    "url",
    [
        "http://pipeline.example/hook",
        "http://10.0.0.7/hook",
        "http://127.0.0.1.evil.example/hook",
        "ftp://pipeline.example/hook",
        "pipeline.example/hook",
        "https://user:word@pipeline.example/hook",
        "https://pipeline.example:port/hook",
    ],
)
def test_a_url_that_is_refused(tmp_path: Path, url: str) -> None:
    text = f'[[target]]\nname = "p"\nurl = "{url}"\nsecret_env = "PIPELINE"'
    with pytest.raises(KbwatchError, match=r"target\[0\]\.url"):
        policy_of(tmp_path, text)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080/hook", "http://[::1]:8080/", "http://localhost/", "https://p.example"],
)
def test_a_url_that_is_accepted(tmp_path: Path, url: str) -> None:
    text = f'[[target]]\nname = "p"\nurl = "{url}"\nsecret_env = "PIPELINE"'
    assert policy_of(tmp_path, text).targets[0].url == url


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("correct horse battery staple", "does not begin with whsec_"),
        ("whsec_not base64!", "is not base64"),
        (secret_of(23), "has 23 bytes"),
        (secret_of(65), "has 65 bytes"),
    ],
)
def test_a_bad_secret_is_refused_without_being_shown(
    tmp_path: Path, secret: str, problem: str
) -> None:
    (tmp_path / "secret").write_text(secret)
    with pytest.raises(KbwatchError) as error:
        policy_of(tmp_path, _TARGET + 'secret_file = "secret"')
    assert problem in str(error.value)
    assert secret.removeprefix("whsec_") not in str(error.value)


@pytest.mark.parametrize("size_bytes", [24, 64])
def test_a_secret_beside_the_policy_signs(tmp_path: Path, size_bytes: int) -> None:
    secret = secret_of(size_bytes)
    (tmp_path / "secret").write_text(secret.rstrip("=") + "\n")
    signer = policy_of(tmp_path, _TARGET + 'secret_file = "secret"').targets[0].signer
    assert signer._whsecret == Webhook(secret)._whsecret


def test_a_secret_is_never_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policy = policy_of(tmp_path, _TARGET + 'secret_env = "PIPELINE"')
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("streams").info("policy %r %s", policy, policy.targets[0])
    shown = f"{policy!r} {policy} {policy.targets[0]!r} {caplog.text}"
    assert "pipeline" in shown
    assert SECRET.removeprefix("whsec_") not in shown
    assert str(base64.b64decode(SECRET.removeprefix("whsec_"))) not in shown
    with pytest.raises(TypeError):
        msgspec.json.encode(policy)


@pytest.mark.parametrize(
    ("match", "covered"),
    [
        (Match(), True),
        (Match(kbs=("kb5062557",)), True),
        (Match(kbs=("KB5062557",), branches=("17763",)), True),
        (Match(kbs=("KB506255",)), False),
        (Match(branches=("20348",)), False),
        (Match(kbs=("KB5062557",), branches=("20348",)), False),
    ],
)
def test_what_a_policy_covers(match: Match, *, covered: bool) -> None:
    assert match.covers("KB5062557", "17763") is covered
