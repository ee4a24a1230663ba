"""Settings → the producer's arguments: nothing insecure by accident, no secret in sight."""

import socket
import ssl
import struct
import subprocess
from pathlib import Path

import pytest

from collectors.settings import KafkaSettings
from collectors.shipping.kafka_client import Secret, check_security, producer_options
from collectors.shipping.kafka_sockets import TcpSocket
from schemas.errors import KbwatchError


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    return str(path)


def test_what_is_always_so() -> None:
    options = producer_options(KafkaSettings(bootstrap="a:1, b:2"))
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["acks"] == "all"
    assert options["enable_idempotence"] is True
    assert options["compression_type"] == "zstd"
    assert options["allow_auto_create_topics"] is False
    assert options["security_protocol"] == "PLAINTEXT"


@pytest.mark.parametrize("timeout_s", [0.1, 30.0, 86_400.0])
def test_a_report_is_sent_or_given_up_within_two_minutes(timeout_s: float) -> None:
    options = producer_options(KafkaSettings(timeout_s=timeout_s))
    assert options["request_timeout_ms"] <= options["delivery_timeout_ms"] <= 120_000
    assert options["bootstrap_timeout_ms"] <= 10_000
    assert options["max_block_ms"] <= 10_000


def test_tls_checks_certificate_and_host_name() -> None:
    options = producer_options(KafkaSettings(tls=True))
    context = options["ssl_context"]
    assert options["security_protocol"] == "SSL"
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.get_ca_certs()


@pytest.mark.parametrize("sasl", ["plain", "scram-sha-256", "scram-sha-512"])
def test_passwords_come_from_a_file_and_never_show(sasl: str, password_file: str) -> None:
    kafka = KafkaSettings(
        tls=True,
        sasl=sasl,  # type: ignore[arg-type]
        username="node",
        password_file=password_file,
    )
    options = producer_options(kafka)
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == sasl.upper()
    assert options["sasl_plain_username"] == "node"
    assert options["sasl_plain_password"] == "hunter2"
    assert "hunter2" not in f"{options} {options!r}"


def test_a_secret_is_there_but_does_not_show() -> None:
    secret = Secret("hunter2")
    assert secret == "hunter2"
    assert "\0".join(["u", secret]) == "u\0hunter2"
    assert secret.encode() == b"hunter2"
    for shown in (str(secret), repr(secret), f"{secret}", "%s" % secret, f"{[secret]}"):  # noqa: UP031
        assert "hunter2" not in shown


def test_the_token_is_read_anew_at_each_connection(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    kafka = KafkaSettings(tls=True, sasl="oauthbearer", token_file=str(path))
    provider = producer_options(kafka)["sasl_oauth_token_provider"]
    assert f"{provider.token()}" == "one"
    path.write_text("two\n")
    assert f"{provider.token()}" == "two"
    assert "two" not in repr(vars(provider))


def test_gssapi_needs_no_secret() -> None:
    options = producer_options(KafkaSettings(sasl="gssapi"))
    assert options["sasl_mechanism"] == "GSSAPI"
    assert options["security_protocol"] == "SASL_PLAINTEXT"


@pytest.mark.parametrize(
    "bootstrap", ["127.0.0.1:9092", "localhost:9092,[::1]:9093", "127.8.8.8:1"]
)
def test_plain_without_tls_is_for_this_machine_alone(bootstrap: str) -> None:
    check_security(
        KafkaSettings(bootstrap=bootstrap, sasl="plain", username="u", password_file="p")
    )


@pytest.mark.parametrize("bootstrap", ["kafka:9092", "127.0.0.1:9092,kafka:9092", "10.0.0.1:9092"])
@pytest.mark.parametrize("sasl", ["plain", "oauthbearer"])
def test_secrets_do_not_go_over_an_open_network(bootstrap: str, sasl: str) -> None:
    plain = sasl == "plain"
    kafka = KafkaSettings(
        bootstrap=bootstrap,
        sasl=sasl,  # type: ignore[arg-type]
        username="u" if plain else "",
        password_file="p" if plain else "",
        token_file="" if plain else "t",
    )
    with pytest.raises(KbwatchError, match=r"without TLS.*kafka\.tls"):
        check_security(kafka)


@pytest.mark.parametrize(
    ("kafka", "says"),
    [
        (KafkaSettings(ca_file="ca.pem"), r"kafka\.ca_file is set, but kafka\.tls is false"),
        (KafkaSettings(cert_file="c.pem"), r"kafka\.cert_file is set, but kafka\.tls is false"),
        (KafkaSettings(tls=True, key_file="k.pem"), r"kafka\.cert_file is not"),
        (KafkaSettings(username="u"), r"kafka\.username must not be set"),
        (KafkaSettings(sasl="plain", password_file="p"), r"kafka\.username needs to be set"),
        (KafkaSettings(sasl="scram-sha-512", username="u"), r"kafka\.password_file needs to be"),
        (KafkaSettings(sasl="oauthbearer"), r"kafka\.token_file needs to be set"),
        (KafkaSettings(sasl="gssapi", username="u"), r"kafka\.username must not be set"),
        (KafkaSettings(bootstrap=" , "), r"kafka\.bootstrap is empty"),
        (KafkaSettings(tls=True, ca_file="/nowhere/ca.pem"), r"/nowhere/ca\.pem: not usable"),
        (
            KafkaSettings(sasl="scram-sha-256", username="u", password_file="/nowhere/pw"),
            r"kafka\.password_file: /nowhere/pw: No such file",
        ),
    ],
)
def test_settings_that_cannot_work_are_one_line(kafka: KafkaSettings, says: str) -> None:
    with pytest.raises(KbwatchError, match=says):
        producer_options(kafka)


@pytest.mark.parametrize(("content", "says"), [(b"\n", "is empty"), (b"\xff\xfe", "is not text")])
def test_a_password_file_without_a_password(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    kafka = KafkaSettings(sasl="scram-sha-256", username="u", password_file=str(path))
    with pytest.raises(KbwatchError, match=says):
        producer_options(kafka)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-subj", "/CN=n", "-passout", "pass:x", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    with pytest.raises(KbwatchError, match="the key is encrypted"):
        producer_options(KafkaSettings(tls=True, cert_file=str(cert), key_file=str(key)))


@pytest.mark.parametrize("reset", [False, True])
def test_what_came_before_the_end_is_read_before_the_end(reset: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, TcpSocket() as client:
        client.connect(listening.getsockname())
        broker, _ = listening.accept()
        if reset:
            broker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        broker.sendall(b"SASL_AUTHENTICATION_FAILED")
        assert client.recv(5, socket.MSG_WAITALL) == b"SASL_"
        broker.close()
        assert client.recv(100) == b"AUTHENTICATION_FAILED"
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(100)
        assert client.recv(100) == b""
