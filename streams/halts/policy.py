"""The halt policy: a TOML file, checked when it is loaded, so that it can't fail at 3 o'clock.

Secrets are read here and nowhere else. They live inside a signer, which shows nothing of them.
"""

import base64
import binascii
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from standardwebhooks.webhooks import Webhook

from schemas.errors import KbwatchError
from schemas.halts import Mode, Scope

ACCEPT_UNSIGNED = "I accept that unsigned reports can halt a KB"
ACCEPT_DEFAULT_CALIBRATION = "I accept that the default calibration can halt a KB"

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of Standard Webhooks secrets
_SECRET_BYTES = range(24, 65)

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
_Kb = Annotated[str, Meta(pattern=r"^[Kk][Bb][0-9]{4,9}$")]
_Branch = Annotated[str, Meta(pattern=r"^[0-9]{1,7}$")]
_Timeout = Annotated[float, Meta(gt=0, le=60)]

_RIGHT = {
    "mode": '"observe", "approve" or "auto"',
    "scope": '"branch" or "rule"',
    "kbs": 'a list such as ["KB5062557"], empty for all',
    "branches": 'a list such as ["17763"], empty for all',
    "name": 'lower-case letters, digits and hyphens, such as "pipeline"',
    "url": 'a URL such as "https://pipeline.example/hooks/kbwatch"',
    "secret_file": "the path of a file that holds a whsec_… secret",
    "secret_env": "the name of an environment variable that holds a whsec_… secret",
    "timeout_s": "seconds, more than 0 and at most 60",
    "acknowledge_unsigned_reports": f'the sentence "{ACCEPT_UNSIGNED}"',
    "acknowledge_default_calibration": f'the sentence "{ACCEPT_DEFAULT_CALIBRATION}"',
}


class Match(Struct, frozen=True, forbid_unknown_fields=True):
    """Which cases the policy is about; an empty list means all."""

    kbs: tuple[_Kb, ...] = ()
    branches: tuple[_Branch, ...] = ()

    def covers(self, kb: str, branch: str) -> bool:
        """Whether a case is meant; names are compared without case."""
        return (not self.kbs or kb.upper() in {name.upper() for name in self.kbs}) and (
            not self.branches or branch in self.branches
        )


class Target(Struct, frozen=True):
    """Where a halt is delivered. ``signer`` holds the secret and shows nothing of it."""

    name: str
    url: str
    signer: Webhook
    timeout_s: float


class Policy(Struct, frozen=True):
    """What becomes of a verdict that says halt. The default observes and tells nobody."""

    mode: Mode = "observe"
    scope: Scope = "branch"
    """Whom a halt is meant for: the branch, or the nodes under the rule where one is found."""
    match: Match = Match()
    accepts_unsigned: bool = False
    accepts_default_calibration: bool = False
    targets: tuple[Target, ...] = ()


class _TargetTable(Struct, frozen=True, forbid_unknown_fields=True):
    name: _Name
    url: str
    secret_file: str = ""
    secret_env: str = ""
    timeout_s: _Timeout = 10.0


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    mode: Mode = "observe"
    scope: Scope = "branch"
    match: Match = Match()
    acknowledge_unsigned_reports: str = ""
    acknowledge_default_calibration: str = ""
    target: tuple[_TargetTable, ...] = ()


def load_policy(path: str, environ: Mapping[str, str] | None = None) -> Policy:
    """Read the policy at ``path`` with its secrets; an empty path is the default policy.

    A relative ``secret_file`` starts at the policy's folder. Raises KbwatchError that names the
    file, the key and what would be right.
    """
    if not path:
        return Policy()
    file = Path(path)
    table = _convert(path, _read(file))
    _check_sentence(path, "acknowledge_unsigned_reports", table.acknowledge_unsigned_reports)
    _check_sentence(path, "acknowledge_default_calibration", table.acknowledge_default_calibration)
    names = [target.name for target in table.target]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise _wrong(path, f"target[{index}].name", f'"{name}" is there twice', "unique names")
    environ = os.environ if environ is None else environ
    return Policy(
        mode=table.mode,
        scope=table.scope,
        match=table.match,
        accepts_unsigned=bool(table.acknowledge_unsigned_reports),
        accepts_default_calibration=bool(table.acknowledge_default_calibration),
        targets=tuple(
            Target(
                name=target.name,
                url=_checked_url(path, f"target[{index}].url", target.url),
                signer=_signer(file, f"target[{index}]", target, environ),
                timeout_s=target.timeout_s,
            )
            for index, target in enumerate(table.target)
        ),
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise KbwatchError(
            f"policy {file}: {error.strerror}; halts.policy must be the path of a TOML file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KbwatchError(f"policy {file}: not TOML: {error}") from None


def _convert(path: str, tree: dict[str, Any]) -> _File:
    try:
        return msgspec.convert(tree, _File)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        key = where.removesuffix("`").removeprefix(".")
        if named := re.search(r"(unknown|required) field `(.+)`", problem):
            key = f"{key}.{named[2]}".removeprefix(".")
            problem = "there is no such key" if named[1] == "unknown" else "is missing"
        right = _RIGHT.get(key.rsplit(".", 1)[-1].partition("[")[0]) or (
            f"one of {', '.join(_keys_at(key))}"
        )
        raise _wrong(path, key, problem, right) from None


def _keys_at(key: str) -> tuple[str, ...]:
    if key.startswith("target"):
        return _TargetTable.__struct_fields__
    return Match.__struct_fields__ if key.startswith("match.") else _File.__struct_fields__


def _check_sentence(path: str, key: str, said: str) -> None:
    if said and f'the sentence "{said}"' != _RIGHT[key]:
        raise _wrong(path, key, "is not the sentence that accepts it", _RIGHT[key])


def _checked_url(path: str, key: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise _wrong(path, key, str(error), _RIGHT["url"]) from None
    if parts.scheme not in ("http", "https") or not host:
        raise _wrong(path, key, "is not a web address", _RIGHT["url"])
    if parts.username is not None or parts.password is not None:
        raise _wrong(path, key, "holds a password", "no password: the signature is the proof")
    if parts.scheme == "http" and not _is_loopback(host):
        raise _wrong(path, key, "is not encrypted", "https (http only to this machine itself)")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _signer(file: Path, key: str, target: _TargetTable, environ: Mapping[str, str]) -> Webhook:
    if bool(target.secret_file) == bool(target.secret_env):
        raise _wrong(
            str(file), key, "needs one secret", "exactly one of secret_file and secret_env"
        )
    if target.secret_env:
        key = f"{key}.secret_env"
        secret = environ.get(target.secret_env, "")
        if not secret:
            raise _wrong(str(file), key, f"{target.secret_env} is not set", _RIGHT["secret_env"])
    else:
        key = f"{key}.secret_file"
        try:
            secret = (file.parent / target.secret_file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise _wrong(
                str(file), key, f"{target.secret_file}: {reason}", _RIGHT["secret_file"]
            ) from None
    return _checked_secret(str(file), key, secret.strip())


def _checked_secret(path: str, key: str, secret: str) -> Webhook:
    right = (
        f"{_SECRET_PREFIX} and the base64 of {_SECRET_BYTES.start} to {_SECRET_BYTES.stop - 1} "
        "random bytes"
    )
    encoded = secret.removeprefix(_SECRET_PREFIX)
    if encoded == secret:
        raise _wrong(path, key, f"the secret does not begin with {_SECRET_PREFIX}", right)
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(path, key, "the secret is not base64", right) from None
    if len(raw) not in _SECRET_BYTES:
        raise _wrong(path, key, f"the secret has {len(raw)} bytes", right)
    return Webhook(raw)


def _wrong(path: str, key: str, problem: str, right: str) -> KbwatchError:
    return KbwatchError(f"policy {path}: {key}: {problem}; right is {right}")
