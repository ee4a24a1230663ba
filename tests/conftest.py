"""What every test may use."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's KBW_* variables must not change what a test sees."""
    for variable in list(os.environ):
        if variable.startswith("KBW_"):
            monkeypatch.delenv(variable)
