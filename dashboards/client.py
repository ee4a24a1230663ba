"""Grafana's HTTP API as far as kbwatch needs it: a shell round grafana-api.

Calls are by uid, because Grafana 13 has no numeric ids any more. grafana-api knows no data sources
by uid and no alert rules, so these go through its ``api`` by path. Every answer that is no success
becomes a KbwatchError that says what was asked, what Grafana said and what to do.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from grafana_api.grafana_api import GrafanaException
from grafana_api.grafana_face import GrafanaFace

from schemas.errors import KbwatchError
from schemas.secret import read_secret
from schemas.settings import GrafanaSettings

Json = dict[str, Any]
_LOCAL = ("127.0.0.1", "::1", "localhost")
# Without it Grafana locks what was provisioned against changes in its own pages.
_UNLOCKED = {"X-Disable-Provenance": "true"}
_WHAT_TO_DO = {
    400: "Grafana does not take it; is it older than 12, or the board provisioned from a file?",
    401: "the token is not accepted: grafana.token_file or grafana.token_env must hold the token "
    "of a service account",
    403: "the token may not do that: its service account needs the role Admin",
    404: "there is no such address: is grafana.url the root of Grafana?",
    409: "something else has that name or uid",
    412: "somebody changed it at the same time: look at `kbwatch dashboards diff`, then push again",
}
T = TypeVar("T")


class Grafana:
    """One Grafana. ``get_*`` return None for what is not there."""

    def __init__(self, settings: GrafanaSettings, token: str | None = None) -> None:
        """Raises KbwatchError when the address or the token can't be used."""
        if not settings.url:
            raise KbwatchError("grafana.url is not set: where is Grafana?")
        if "@" in settings.url:
            raise KbwatchError(
                "grafana.url: leave out the user name and password; the token is what counts, see "
                "grafana.token_file"
            )
        parts = urlsplit(settings.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise KbwatchError(f"grafana.url {settings.url}: write it as https://grafana.example/")
        if parts.scheme == "http" and parts.hostname not in _LOCAL:
            raise KbwatchError(
                f"grafana.url {settings.url}: https only, the token would go over the net in clear"
            )
        token = token or read_secret("grafana.token", settings.token_file, settings.token_env)
        if not token:
            raise KbwatchError("no token: set grafana.token_file or grafana.token_env")
        self.url = settings.url.rstrip("/")
        path = parts.path.strip("/")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._face = GrafanaFace(
            auth=token,
            host=host,
            port=parts.port,
            url_path_prefix=f"{path}/" if path else "",
            protocol=parts.scheme,
            timeout=settings.timeout_s,
        )

    def get_folder(self, uid: str) -> Json | None:
        """A folder."""
        return self._found(f"folder {uid}", lambda: self._face.folder.get_folder(uid))

    def create_folder(self, uid: str, title: str) -> None:
        """Make a folder."""
        self._ask(f"folder {uid}", lambda: self._face.folder.create_folder(title, uid))

    def update_folder(self, uid: str, title: str) -> None:
        """Give a folder its title."""
        self._ask(
            f"folder {uid}", lambda: self._face.folder.update_folder(uid, title, overwrite=True)
        )

    def get_source(self, uid: str) -> Json | None:
        """A data source."""
        return self._found(f"data source {uid}", lambda: self._get(f"/datasources/uid/{uid}"))

    def create_source(self, source: Json) -> None:
        """Make a data source."""
        self._ask(
            f"data source {source['uid']}", lambda: self._face.datasource.create_datasource(source)
        )

    def update_source(self, source: Json) -> None:
        """Change a data source."""
        path = f"/datasources/uid/{source['uid']}"
        self._ask(f"data source {source['uid']}", lambda: self._face.api.PUT(path, json=source))

    def get_board(self, uid: str) -> Json | None:
        """A board: ``dashboard`` and ``meta``."""
        return self._found(f"board {uid}", lambda: self._face.dashboard.get_dashboard(uid))

    def put_board(self, board: Json, folder_uid: str, message: str) -> None:
        """Make a board, or change the version that ``board`` names: 412 when there is a newer."""
        body = {
            "dashboard": board,
            "folderUid": folder_uid,
            "message": message,
            "overwrite": False,
        }
        self._ask(f"board {board['uid']}", lambda: self._face.dashboard.update_dashboard(body))

    def get_rule(self, uid: str) -> Json | None:
        """An alert rule."""
        path = f"/v1/provisioning/alert-rules/{uid}"
        return self._found(f"alert rule {uid}", lambda: self._get(path))

    def create_rule(self, rule: Json) -> None:
        """Make an alert rule."""
        path = "/v1/provisioning/alert-rules"
        self._ask(
            f"alert rule {rule['uid']}",
            lambda: self._face.api.POST(path, json=rule, headers=_UNLOCKED),
        )

    def update_rule(self, rule: Json) -> None:
        """Change an alert rule."""
        path = f"/v1/provisioning/alert-rules/{rule['uid']}"
        self._ask(
            f"alert rule {rule['uid']}",
            lambda: self._face.api.PUT(path, json=rule, headers=_UNLOCKED),
        )

    def _get(self, path: str) -> Json:
        answer: Json = self._face.api.GET(path)
        return answer

    def _found(self, what: str, call: Callable[[], Json]) -> Json | None:
        try:
            return self._ask(what, call)
        except _NotThereError:
            return None

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        where = f"Grafana at {self.url}, {what}"
        try:
            return call()
        except GrafanaException as error:
            said = _said(error)
            if error.status_code == 404 and "not found" in said.lower():
                raise _NotThereError(f"{where}: {said}") from None
            advice = _WHAT_TO_DO.get(error.status_code, "look at Grafana's log")
            raise KbwatchError(f"{where}: {error.status_code} {said}; {advice}") from None
        # A page of a proxy: grafana-api takes its text for JSON.
        except (TypeError, ValueError):
            raise KbwatchError(
                f"{where}: the answer is not Grafana's; is grafana.url its root, and nothing in "
                "between that asks for a login?"
            ) from None
        except OSError as error:  # every failure of requests is one
            reason = str(error).partition("\n")[0][:200]
            raise KbwatchError(f"{where}: no answer ({reason})") from None


class _NotThereError(KbwatchError):
    """Grafana does not know the uid."""


def _said(error: GrafanaException) -> str:
    response = error.response
    if isinstance(response, dict):
        return str(response.get("message") or response)[:300]
    return str(response).strip()[:120] or "(nothing)"
