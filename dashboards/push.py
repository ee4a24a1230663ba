"""Bring a Grafana to what the code says: folder, data source, boards, alert rules.

Idempotent: what is so already is left alone, so a second push changes nothing but the data source,
whose password is always sent. "So already" means that everything we say is there; what Grafana adds
of itself (ids, versions, defaults) is its own.
"""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from dashboards import alerts
from dashboards.boards.source import TYPE, UID
from dashboards.build import board_files, plain
from dashboards.client import Grafana, Json
from schemas.errors import KbwatchError
from schemas.secret import read_secret
from schemas.settings import Settings

Action = Literal["create", "update", "same"]
_ITS_OWN = ("id", "version")


class Change(Struct, frozen=True):
    """One thing in Grafana, and what is done with it."""

    action: Action
    what: str
    name: str

    def __str__(self) -> str:
        return f"{self.action:6}  {self.what} {self.name}"


def push(grafana: Grafana, settings: Settings, dry_run: bool = False) -> Iterator[Change]:
    """Make Grafana so, one thing after the other; ``dry_run`` only looks. Raises KbwatchError at
    the first thing that can't be done: what was done before it stays.
    """
    yield _folder(grafana, dry_run)
    source = data_source(settings)
    if source is not None:
        yield _source(grafana, source, dry_run)
    for board in wanted_boards(settings):
        yield _board(grafana, board, dry_run)
    for rule in wanted_rules():
        yield _rule(grafana, rule, dry_run)


def differences(grafana: Grafana, settings: Settings) -> Iterator[str]:
    """Unified diffs of boards and rules: from what Grafana has to what the code says."""
    for board in wanted_boards(settings):
        there = grafana.get_board(board["uid"])
        yield from _diff(f"boards/{board['uid']}", there and there["dashboard"], board)
    for rule in wanted_rules():
        yield from _diff(f"alerting/{rule['uid']}", grafana.get_rule(rule["uid"]), rule)


def wanted_boards(settings: Settings) -> list[Json]:
    """The boards, with links to this installation's NOC page."""
    boards: list[Json] = [plain(board) for board in board_files().values()]
    if settings.grafana.noc_url:
        for board in boards:
            for variable in board["templating"]["list"]:
                if variable["name"] == "noc":
                    variable["query"] = settings.grafana.noc_url.rstrip("/")
    return boards


def wanted_rules() -> list[Json]:
    """The alert rules as the API takes them."""
    return [plain(rule) for rule in alerts.rules()]


def data_source(settings: Settings) -> Json | None:
    """The data source for the server of ``store.host``; None where the store is embedded, for
    Grafana can only ask a server.
    """
    store, grafana = settings.store, settings.grafana
    if not store.host:
        return None
    password = read_secret(
        "grafana.store_password", grafana.store_password_file, grafana.store_password_env
    )
    secrets = {"password": password} if password else {}
    if store.ca_file:
        secrets["tlsCACert"] = _read_ca(store.ca_file)
    return {
        "uid": UID,
        "name": "kbwatch",
        "type": TYPE,
        "access": "proxy",
        "jsonData": {
            "host": store.host,
            "port": store.port or (9440 if store.tls else 9000),
            "protocol": "native",
            "secure": store.tls,
            "tlsAuthWithCACert": bool(store.ca_file),
            "username": grafana.store_user,
            "defaultDatabase": store.database,
        },
        "secureJsonData": secrets,
    }


def holds(there: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether everything of ``wanted`` is in ``there``; what is null may be absent."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            holds(there.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(there, list) and len(there) == len(wanted) and all(map(holds, there, wanted))
        )
    return bool(there == wanted)


def _folder(grafana: Grafana, dry_run: bool) -> Change:
    there = grafana.get_folder(alerts.FOLDER_UID)
    action: Action = "create" if there is None else "update"
    if there is not None and there.get("title") == alerts.FOLDER:
        action = "same"
    if not dry_run and action == "create":
        grafana.create_folder(alerts.FOLDER_UID, alerts.FOLDER)
    elif not dry_run and action == "update":
        grafana.update_folder(alerts.FOLDER_UID, alerts.FOLDER)
    return Change(action, "folder", alerts.FOLDER)


def _source(grafana: Grafana, source: Json, dry_run: bool) -> Change:
    there = grafana.get_source(UID)
    action: Action = "create" if there is None else "update"
    if there is not None:
        shown = {key: value for key, value in source.items() if key != "secureJsonData"}
        # Grafana never shows a secret, so nobody can tell whether it still has the right one.
        if holds(there, shown) and not source["secureJsonData"]:
            action = "same"
    if not dry_run and action == "create":
        grafana.create_source(source)
    elif not dry_run and action == "update":
        grafana.update_source(source)
    return Change(action, "data source", source["name"])


def _board(grafana: Grafana, board: Json, dry_run: bool) -> Change:
    there = grafana.get_board(board["uid"])
    action: Action = "create" if there is None else "update"
    if there is not None:
        in_folder = there.get("meta", {}).get("folderUid") == alerts.FOLDER_UID
        if in_folder and holds(there["dashboard"], board):
            action = "same"
        board = {**board, "version": there["dashboard"].get("version")}
    if not dry_run and action != "same":
        grafana.put_board(board, alerts.FOLDER_UID, "kbwatch dashboards push")
    return Change(action, "board", board["uid"])


def _rule(grafana: Grafana, rule: Json, dry_run: bool) -> Change:
    there = grafana.get_rule(rule["uid"])
    action: Action = "create" if there is None else "update"
    if there is not None and holds(there, rule):
        action = "same"
    if not dry_run and action == "create":
        grafana.create_rule(rule)
    elif not dry_run and action == "update":
        grafana.update_rule(rule)
    return Change(action, "alert rule", rule["uid"])


def _read_ca(path: str) -> str:
    try:
        return Path(path).read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not PEM"
        raise KbwatchError(f"store.ca_file {path}: {reason}") from None


def _diff(name: str, there: Json | None, wanted: Json) -> list[str]:
    if there is not None and holds(there, wanted):
        return []
    before = _lines(there) if there is not None else []
    after = _lines(wanted)
    return list(difflib.unified_diff(before, after, f"grafana/{name}", f"code/{name}", "", "", 2))


def _lines(what: Json) -> list[str]:
    shown = {key: value for key, value in what.items() if key not in _ITS_OWN}
    return json.dumps(shown, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
