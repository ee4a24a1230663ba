"""Secrets come from files and from the environment, and are named by the setting that leads there.

What is read here is never logged, and no setting holds it: ``--print-config`` shows where it is.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import KbwatchError


def read_secret(
    setting: str, file: str, variable: str, environ: Mapping[str, str] | None = None
) -> str:
    """The secret of ``<setting>_file`` (its first line) or ``<setting>_env``; empty when neither is
    set. Raises KbwatchError that names the setting when both are, or when there is nothing to read.
    """
    if file and variable:
        raise KbwatchError(f"{setting}_file and {setting}_env: set one of them")
    if variable:
        found = (os.environ if environ is None else environ).get(variable)
        if not found:
            raise KbwatchError(f"{setting}_env: there is no environment variable {variable}")
        return found
    if not file:
        return ""
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise KbwatchError(f"{setting}_file {file}: {reason}") from None
    if not lines or not lines[0].strip():
        raise KbwatchError(f"{setting}_file {file}: its first line is empty")
    return lines[0].strip()
