"""The client for a ClickHouse server, over the wire, to a server whose engine is chDB."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.opening import open_store
from schemas.clickhouse.server_store import ServerStore
from schemas.clickhouse.store import Store
from schemas.errors import KbwatchError
from schemas.settings import StoreSettings
from tests.contract.store_behaviour import StoreBehaviour, boots
from tests.fixtures.native_server import NativeServer
from tests.integration.secure_kafka import authority, certificate

pytestmark = pytest.mark.slow


def server_settings(server: NativeServer) -> StoreSettings:
    return StoreSettings(host="127.0.0.1", port=server.port, tls=False, timeout_s=10)


class TestServerStore(StoreBehaviour):
    """Over the native protocol, to a server whose engine is chDB (tests.fixtures.native_server)."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[NativeServer]:
        engine = ChdbStore(tmp_path / "store")
        server = NativeServer(engine)
        yield server
        server.close()
        engine.close()

    @pytest.fixture
    def bare(self, server: NativeServer) -> Iterator[Store]:
        store = ServerStore(server_settings(server))
        yield store
        store.close()

    def test_statements_at_one_time_have_connections_of_their_own(
        self, server: NativeServer, store: Store
    ) -> None:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda t_ms: store.insert("boots", boots(t_ms), f"{t_ms}"), range(40)))
        assert store.query("SELECT count() FROM boots FINAL", {}).rows == ((40,),)
        assert server.connections <= 4

    def test_an_insert_without_an_answer_is_tried_again_with_its_token(
        self, server: NativeServer, store: Store
    ) -> None:
        server.silent_after = ["INSERT INTO boots"]
        with pytest.raises(KbwatchError, match=r"store\.host 127\.0\.0\.1: no answer"):
            store.insert("boots", boots(1, 2, clean=[None, True]), "token")
        server.silent_after = []
        assert store.insert("boots", boots(1, 2, clean=[None, True]), "token") == 2
        assert store.query("SELECT t_ms, clean FROM boots", {}).rows == ((1, None), (2, True))

    def test_a_server_that_says_nothing_is_given_up_after_the_timeout(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            settings = StoreSettings(
                host="127.0.0.1", port=deaf.getsockname()[1], tls=False, timeout_s=0.2
            )
            with (
                pytest.raises(KbwatchError, match="no answer"),
                closing(ServerStore(settings)) as store,
            ):
                store.query("SELECT 1", {})

    def test_a_server_that_is_not_there_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(KbwatchError, match=r"store\.host 127\.0\.0\.1: no answer"):
            open_store(StoreSettings(host="127.0.0.1", port=port, tls=False))

    def test_a_server_too_old_to_keep_the_promises_is_refused(self, server: NativeServer) -> None:
        server.version = (25, 3)
        with pytest.raises(KbwatchError, match=r"25\.3.* is too old, kbwatch needs 25\.8"):
            open_store(server_settings(server))

    @pytest.mark.parametrize("where", ["file", "environment"])
    def test_the_password_comes_from_a_file_or_the_environment(
        self,
        server: NativeServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        where: str,
    ) -> None:
        server.password = "right"
        (tmp_path / "password").write_text("right\n")
        monkeypatch.setenv("STORE_PASSWORD", "right")
        given = {"file": {"password_file": str(tmp_path / "password")}}.get(
            where, {"password_env": "STORE_PASSWORD"}
        )
        with closing(open_store(replace(server_settings(server), **given))) as store:
            assert store.query("SELECT 1", {}).rows == ((1,),)

    def test_a_wrong_password_is_said_and_never_shown(
        self, server: NativeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.password = "right"
        (tmp_path / "password").write_text("no-secret-of-mine")
        settings = replace(server_settings(server), password_file=str(tmp_path / "password"))
        with (
            caplog.at_level("DEBUG"),
            pytest.raises(KbwatchError, match="its password is wrong") as error,
        ):
            open_store(settings)
        assert "no-secret-of-mine" not in caplog.text + str(error.value)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"password_file": "/no/such/file"}, r"store\.password_file /no/such/file: No such"),
            ({"password_env": "NOT_SET_HERE"}, "no environment variable NOT_SET_HERE"),
            ({"password_file": "a", "password_env": "B"}, "set one of them"),
            ({"tls": True, "ca_file": "/no/ca.pem"}, r"store\.ca_file /no/ca\.pem: No such file"),
        ],
    )
    def test_what_the_settings_name_and_is_not_there_is_said(
        self, server: NativeServer, given: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(KbwatchError, match=message):
            open_store(replace(server_settings(server), **given))

    def test_a_cluster_needs_a_server(self) -> None:
        with pytest.raises(KbwatchError, match=r"store\.cluster needs a server"):
            open_store(StoreSettings(cluster="kbw"))


class TestTlsToTheServer:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "tls"
        folder.mkdir()
        for name in ("ca", "other-ca"):
            authority(folder, name)
        certificate(folder, "server", "IP:127.0.0.1")
        certificate(folder, "elsewhere", "DNS:elsewhere.example")
        return folder

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[ChdbStore]:
        engine = ChdbStore(tmp_path / "store")
        yield engine
        engine.close()

    def asked(self, engine: ChdbStore, folder: Path, name: str, ca: str) -> object:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        server = NativeServer(engine, tls=context)
        settings = StoreSettings(
            host="127.0.0.1", port=server.port, timeout_s=10, ca_file=str(folder / f"{ca}.pem")
        )
        try:
            with closing(open_store(settings)) as store:
                return store.query("SELECT 1", {}).rows
        finally:
            server.close()

    def test_a_server_of_the_right_authority_is_used(self, engine: ChdbStore, folder: Path) -> None:
        assert self.asked(engine, folder, "server", "ca") == ((1,),)

    @pytest.mark.parametrize(("name", "ca"), [("server", "other-ca"), ("elsewhere", "ca")])
    def test_a_server_that_cannot_prove_its_name_is_not_used(
        self, engine: ChdbStore, folder: Path, name: str, ca: str
    ) -> None:
        with pytest.raises(KbwatchError, match=r"certificate verify failed"):
            self.asked(engine, folder, name, ca)
