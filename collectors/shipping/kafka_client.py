"""From settings to a connected Kafka producer, secured as the settings say."""

import ipaddress
import logging
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from collectors.settings import KafkaSettings
from collectors.shipping.kafka_sockets import TlsSocket, direct
from schemas.codec import MAX_MESSAGE_BYTES
from schemas.errors import KbwatchError
from schemas.topics import NODE_REPORTS

# A report's `sent_ms` is set before it waits for its acknowledgement; beyond five minutes a delay
# would be taken for a clock that is wrong.
_MAX_DELIVERY_S = 120.0
_MAX_CONNECT_S = 10.0
_PROBE_S = 5.0
_MAX_PORT = 65_535
_BATCH_BYTES = 128 * 1024
_MECHANISMS = {
    "plain": "PLAIN",
    "scram-sha-256": "SCRAM-SHA-256",
    "scram-sha-512": "SCRAM-SHA-512",
    "oauthbearer": "OAUTHBEARER",
    "gssapi": "GSSAPI",
}
_BACKOFF = re.compile(r" \(backoff [\d.]+ secs\)")
_NEEDS_PASSWORD = ("plain", "scram-sha-256", "scram-sha-512")
_TELLING = ("SSL", "Sasl", "SASL", "Authorization")
_SHOWS_SECRET = ("plain", "oauthbearer")


class Secret(str):
    """Text that shows as ``***`` wherever it would be printed; its content is still there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, _spec: str) -> str:
        return "***"


def check_security(kafka: KafkaSettings) -> None:
    """Refuse settings that can't work, or would show a secret on the wire, or do less than they
    seem to. Raises KbwatchError; reads no file.
    """
    _check_addresses(kafka.bootstrap)
    if not kafka.tls:
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(kafka, name):
                raise KbwatchError(f"kafka.{name} is set, but kafka.tls is false: set it to true")
    if kafka.key_file and not kafka.cert_file:
        raise KbwatchError("kafka.key_file is set, but kafka.cert_file is not")
    password, token = kafka.sasl in _NEEDS_PASSWORD, kafka.sasl == "oauthbearer"
    for name, wanted in (
        ("username", password),
        ("password_file", password),
        ("token_file", token),
    ):
        if bool(getattr(kafka, name)) != wanted:
            what = "needs to be" if wanted else "must not be"
            raise KbwatchError(f"kafka.{name} {what} set with kafka.sasl = {kafka.sasl!r}")
    if kafka.sasl in _SHOWS_SECRET and not kafka.tls and not _is_loopback(kafka.bootstrap):
        raise KbwatchError(
            f"kafka.sasl = {kafka.sasl!r} without TLS would show the secret to the network: set "
            "kafka.tls to true, or use scram-sha-512"
        )


def producer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """The keyword arguments of kafka-python's KafkaProducer.

    Reads the files of certificates and secrets, so a new connection uses what they hold then;
    touches no network. Raises KbwatchError for settings or files that can't work.
    """
    check_security(kafka)
    timeout_s = min(kafka.timeout_s, _MAX_DELIVERY_S / 2)
    options: dict[str, Any] = {
        "bootstrap_servers": _servers(kafka.bootstrap),
        "client_id": "kbwatch-collector",
        "security_protocol": f"{'SASL_' if kafka.sasl else ''}"
        f"{'SSL' if kafka.tls else 'PLAINTEXT'}",
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": "zstd",
        "batch_size": _BATCH_BYTES,
        "max_request_size": 2 * MAX_MESSAGE_BYTES,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
        "bootstrap_timeout_ms": int(min(timeout_s, _MAX_CONNECT_S) * 1000),
        "max_block_ms": int(min(timeout_s, _MAX_CONNECT_S) * 1000),
        "request_timeout_ms": int(timeout_s * 1000),
        "delivery_timeout_ms": int(2 * timeout_s * 1000),
        "reconnect_backoff_max_ms": 5_000,
    }
    if kafka.tls:
        options["ssl_context"] = _tls(kafka)
    if kafka.sasl:
        options["sasl_mechanism"] = _MECHANISMS[kafka.sasl]
    if kafka.sasl in _NEEDS_PASSWORD:
        options["sasl_plain_username"] = kafka.username
        options["sasl_plain_password"] = _secret("kafka.password_file", kafka.password_file)
    if kafka.sasl == "oauthbearer":
        _secret("kafka.token_file", kafka.token_file)
        options["sasl_oauth_token_provider"] = _token_provider(kafka.token_file)
    return options


def connect(kafka: KafkaSettings, topic: str) -> Any:  # noqa: ANN401 - kafka-python has no types
    """A KafkaProducer that knows the topic's partitions.

    Waits at most twice ``min(kafka.timeout_s, 10)`` seconds. Raises KbwatchError that says why not.
    """
    from kafka import KafkaProducer, errors  # costs start-up time
    from kafka.net.compat import KafkaNetClient

    options = producer_options(kafka) | {"proxy_url": direct()}
    clients: list[Any] = []

    def client(**configs: object) -> Any:  # noqa: ANN401 - the same
        clients.append(KafkaNetClient(**configs))
        return clients[-1]

    where = f"Kafka at {kafka.bootstrap}"
    with _LastWords() as said:
        try:
            producer = KafkaProducer(kafka_client=client, **options)
        except (errors.KafkaError, OSError, ValueError, RuntimeError) as error:
            for half_open in clients:
                half_open.close()
            wait_s = options["bootstrap_timeout_ms"] / 1000
            raise KbwatchError(
                f"{where}: no answer within {wait_s:g} s ({said.last or error}); "
                "is the broker running, are the address and kafka.tls / kafka.sasl right?"
            ) from None
        try:
            producer.partitions_for(topic)
        except errors.AuthorizationError:
            drop(producer)
            raise KbwatchError(
                f"{where}: this user may not write to {topic}; grant Write and Describe on it"
            ) from None
        except errors.KafkaError as error:
            drop(producer)
            if isinstance(error, errors.UnknownTopicOrPartitionError | errors.KafkaTimeoutError):
                why = "topic is not there; create it with `kbwatch topics apply`"
                raise KbwatchError(f"{where}: {topic}: {why}") from None
            raise KbwatchError(f"{where}: {said.last or error}") from None
    return producer


def drop(producer: Any, timeout_s: float = 5.0) -> None:  # noqa: ANN401 - the same
    """Disconnect at once: what is not acknowledged fails."""
    from kafka.errors import KafkaError

    # close() would wait for a broker that is gone, and complain on standard error: the sender must
    # drop what it holds first, and only it can.
    producer._sender.force_close()
    producer._sender.join(timeout_s)
    with suppress(KafkaError):
        producer.close(timeout=0)


def probe(kafka: KafkaSettings) -> str:
    """Connect, look for the topic, disconnect; one line that says what was found.

    Raises KbwatchError that says why it can't be shipped to.
    """
    topic = kafka.namespace + NODE_REPORTS
    # A person waits for the answer.
    producer = connect(replace(kafka, timeout_s=min(kafka.timeout_s, _PROBE_S)), topic)
    try:
        partitions = len(producer.partitions_for(topic))
    finally:
        drop(producer)
    return f"{kafka.bootstrap} answers, {topic} has {partitions} partitions"


class _LastWords(logging.Handler):
    """What kafka-python said last while it is entered: its exceptions don't say why."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self._logger = logging.getLogger("kafka")

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the reasons, not the waiting."""
        message = _BACKOFF.sub("", " ".join(record.getMessage().split()))
        if "failed" not in message or message.startswith("Bootstrap failed"):
            return
        # A broker that refuses may also just hang up on the next attempt.
        if not any(word in self.last for word in _TELLING) or any(w in message for w in _TELLING):
            self.last = message

    def __enter__(self) -> "_LastWords":
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)


def _servers(bootstrap: str) -> list[str]:
    servers = [server.strip() for server in bootstrap.split(",") if server.strip()]
    if not servers:
        raise KbwatchError("kafka.bootstrap is empty: name at least one HOST:PORT")
    return servers


def _check_addresses(bootstrap: str) -> None:
    if "@" in bootstrap:  # not shown: what stands before it may be a password
        raise KbwatchError(
            "kafka.bootstrap: write HOST:PORT without user and password; they belong to "
            "kafka.username and kafka.password_file"
        )
    for server in _servers(bootstrap):
        port = server.rpartition("]")[2].rpartition(":")[2]
        if port.isdigit() and not 0 < int(port) <= _MAX_PORT:
            raise KbwatchError(f"kafka.bootstrap: {server}: a port is a number from 1 to 65535")


def _is_loopback(bootstrap: str) -> bool:
    return all(_loops(server.rpartition(":")[0] or server) for server in _servers(bootstrap))


def _loops(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _tls(kafka: KafkaSettings) -> ssl.SSLContext:
    def no_password() -> str:
        raise KbwatchError(f"{kafka.key_file or kafka.cert_file}: the key is encrypted; decrypt it")

    named = kafka.ca_file
    try:
        context = ssl.create_default_context(cafile=kafka.ca_file or None)
        context.sslsocket_class = TlsSocket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if kafka.cert_file:
            named = f"{kafka.cert_file}, {kafka.key_file}" if kafka.key_file else kafka.cert_file
            context.load_cert_chain(kafka.cert_file, kafka.key_file or None, no_password)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, FileNotFoundError) else str(error)
        raise KbwatchError(f"{named}: not usable for TLS: {why}") from None
    return context


def _secret(setting: str, path: str) -> Secret:
    try:
        text = Path(path).read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not text"
        raise KbwatchError(f"{setting}: {path}: {why}") from None
    if not text:
        raise KbwatchError(f"{setting}: {path}: is empty")
    return Secret(text)


def _token_provider(path: str) -> Any:  # noqa: ANN401 - the same
    from kafka.net.sasl.oauth import AbstractTokenProvider

    class _Token(AbstractTokenProvider):  # type: ignore[misc]
        def token(self) -> str:
            return str.__str__(_secret("kafka.token_file", path))

    return _Token()
