"""Which code and which calibration a result belongs to.

Results of other code are not mixed in. The digest is over the syntax trees without docstrings, so
that a better comment does not cost a night of computing.
"""

import ast
import hashlib
from importlib.resources import files
from pathlib import Path

from schemas.errors import KbwatchError

_DIGITS = 8
_DETECTION = "streams.detection"
_BENCH = "streams.regbench.bench"
# They work on what has been generated and judged, and change neither.
_AFTERWARDS = {"bounds.py", "generate_cli.py", "score.py", "score_table.py", "score_variants.py"}


def version_of(calibration: Path | None) -> str:
    """``code-calibration``, eight hex digits each; KbwatchError for an unreadable calibration."""
    return f"{_digest(_code())}-{_digest(_margins(calibration))}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _code() -> bytes:
    sources = (
        f"{package}/{name}\n{essence(content.decode())}"
        for package in (_DETECTION, _BENCH)
        for name, content in _contents(package, ".py")
        if name not in _AFTERWARDS
    )
    return "\n".join(sources).encode()


def _contents(package: str, suffix: str) -> list[tuple[str, bytes]]:
    inside = [path for path in files(package).iterdir() if path.name.endswith(suffix)]
    return sorted((path.name, path.read_bytes()) for path in inside)


def essence(source: str) -> str:
    """Python source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [s for s in body if not _is_text(s)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _margins(calibration: Path | None) -> bytes:
    if calibration is None:
        return b"".join(content for _, content in _contents(_DETECTION, ".toml"))
    try:
        return calibration.read_bytes()
    except OSError as error:
        raise KbwatchError(f"{calibration}: {error.strerror}") from None
