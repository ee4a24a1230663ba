"""The Windows service: hands the stop of the service manager to the runtime. Windows only.

The program itself is hosted (``kbwatch-collector service``), frozen or run by a private Python, so
no ``pythonservice.exe`` has to find its libraries. It runs for months: the libraries of the command
line, a quarter of its memory, are left out.
"""

import argparse
import importlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from collectors.command.install import SERVICE
from collectors.durable import keep_files_private
from collectors.log import Log, configure, set_level
from collectors.runtime.parts import WindowsParts
from collectors.runtime.runtime import Runtime, served
from collectors.settings import data_dir_of
from collectors.settings_file import SettingsFile
from schemas.errors import KbwatchError

LOG_FILE = Path("log") / "collector.log"

_log = Log("service")

_STOPS_WITHIN_MS = 15_000
_STARTED_BY_HAND = 1063  # ERROR_FAILED_SERVICE_CONTROLLER_CONNECT


def main(words: Sequence[str]) -> None:
    """``kbwatch-collector service --config FILE``, for the service manager. Raises KbwatchError."""
    parser = argparse.ArgumentParser("kbwatch-collector service")
    parser.add_argument("--config", required=True)
    config = parser.parse_args(words).config
    keep_files_private()
    try:
        # The log comes first: what is wrong with the settings is said there.
        _open_log(Path(data_dir_of(config)[0]))
        settings = SettingsFile(config)
        set_level(settings.current.log_level)
        runtime = Runtime(settings, WindowsParts())
        with served(settings.current, runtime.status):
            host(runtime)
    except KbwatchError as error:
        _log.warning("can't start", error=error)
        _tell_windows(str(error))
        raise


def _open_log(data_dir: Path) -> None:
    try:
        configure("info", data_dir / LOG_FILE)
    except OSError as error:
        raise KbwatchError(f"data_dir {data_dir}: {error.strerror}") from None


def _tell_windows(text: str) -> None:
    """Into the log Application, where the log of the collector may not be there."""
    with suppress(Exception):  # what is wrong already is what shall be known
        manager: Any = importlib.import_module("servicemanager")
        manager.LogErrorMsg(f"{SERVICE}: {text}")


class Stoppable(Protocol):
    """What runs as a service."""

    def run(self) -> None:
        """Run until ``stop``."""

    def stop(self) -> None:
        """Ask ``run`` to end."""


def host(runtime: Stoppable) -> None:
    """Run as the service that Windows has started; returns when it has stopped.

    Raises KbwatchError where there is no pywin32, or when a person started this.
    """
    try:
        manager: Any = importlib.import_module("servicemanager")
        service: Any = importlib.import_module("win32service")
        util: Any = importlib.import_module("win32serviceutil")
    except ImportError as error:
        raise KbwatchError(f"the service needs Windows and pywin32 ({error})") from None

    class Collector(util.ServiceFramework):  # type: ignore[misc]  # pywin32 has no types
        _svc_name_ = SERVICE
        _svc_display_name_ = SERVICE

        def SvcStop(self) -> None:  # the name that pywin32 asks for
            self.ReportServiceStatus(service.SERVICE_STOP_PENDING, _STOPS_WITHIN_MS)
            runtime.stop()

        SvcShutdown = SvcStop

        def SvcDoRun(self) -> None:  # the name that pywin32 asks for
            self.ReportServiceStatus(service.SERVICE_RUNNING)
            try:
                runtime.run()
            except Exception as error:
                # The service manager only hears that it ended; recovery starts it again.
                _log.fault("ended", error=error)
                raise

    manager.Initialize()
    manager.PrepareToHostSingle(Collector)
    try:
        manager.StartServiceCtrlDispatcher()
    except service.error as error:
        if error.winerror != _STARTED_BY_HAND:
            raise
        raise KbwatchError(
            "service is for Windows' service manager: use `kbwatch-collector run` in a console, "
            f"or `sc start {SERVICE}`"
        ) from None
