"""The shipper on a real Kafka that is late, goes away, comes back, and asks who is there."""

import base64
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from collectors.settings import KafkaSettings, SpoolSettings
from collectors.shipping.kafka_client import probe
from collectors.shipping.shipper import Shipper, ship
from collectors.spool.bundle import Bundle, Priority
from collectors.spool.spool import Entry, Spool
from deploy.local import kafka
from schemas.codec import decode
from schemas.errors import KbwatchError
from schemas.reports import Event, NodeReport
from schemas.settings import KafkaSettings as ServerKafkaSettings
from schemas.settings import Settings
from schemas.topics import NODE_REPORTS, all_topics
from streams.topics_admin import apply_topics
from tests.integration import secure_kafka
from tests.integration.secure_kafka import PASSWORD, SecureKafka

DEADLINE_S = 60.0


def report(number: int, domain: str = "", size_bytes: int = 1000) -> NodeReport:
    domain = domain or f"domain{number % 5}"
    event = Event(t_ms=number, channel="System", provider="p", id=1, data={"x": "x" * size_bytes})
    return NodeReport(
        v=1, fleet="f", node=domain, domain=domain, site="s", sent_ms=0, records=[event]
    )


def number(of: NodeReport) -> int:
    record = of.records[0]
    assert isinstance(record, Event)
    return record.t_ms


def arrived(bootstrap: str, topic: str) -> list[Any]:
    """Every record of the topic, in the order of each partition."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, metrics_enabled=False)
    try:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        records = []
        while any(consumer.position(p) < end for p, end in ends.items()):
            for batch in consumer.poll(timeout_ms=500).values():
                records += batch
        return records
    finally:
        consumer.close()


def pump(spool: Spool, shipper: Shipper, until_depth: int = 0) -> set[int]:
    """What a collector's loop does, until no more than ``until_depth`` records wait."""
    end_s = time.monotonic() + DEADLINE_S
    waiting: list[Entry] = []
    acked_seqs: set[int] = set()
    while spool.depth > until_depth:
        assert time.monotonic() < end_s, f"{spool.depth} are left: {shipper.trouble}"
        waiting += spool.take(8 - len(waiting))
        while waiting and shipper.submit(waiting[0]):
            waiting.pop(0)
        acked, failed = shipper.poll(0.05)
        acked_seqs |= {*acked}
        for seq in acked:
            spool.done(seq)
        if failed:
            spool.give_back()
            waiting.clear()
    return acked_seqs


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A broker that these tests may stop; it keeps its port."""
    folder = tmp_path_factory.mktemp("own-kafka")
    try:
        yield folder, kafka.start(folder).bootstrap
    finally:
        kafka.stop(folder)


@pytest.fixture
def to_own(own_broker: tuple[Path, str], namespace: str) -> KafkaSettings:
    folder, bootstrap = own_broker
    kafka.start(folder)
    apply_topics(Settings(kafka=ServerKafkaSettings(bootstrap=bootstrap, namespace=namespace)))
    return KafkaSettings(bootstrap=bootstrap, namespace=namespace, timeout_s=2.0)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool", SpoolSettings())
    yield opened
    opened.close()


def bundles(first: int, last: int) -> list[Bundle]:
    return [
        Bundle(report(n), Priority(n % 3), {"eventlog": str(n)}) for n in range(first, last + 1)
    ]


def assert_in_order(to: KafkaSettings, last: int) -> None:
    """Everything is there, and first arrivals are in order for each key."""
    seen: dict[bytes, list[int]] = defaultdict(list)
    for record in arrived(to.bootstrap, to.namespace + NODE_REPORTS):
        found = decode(record.value, NodeReport)
        assert record.key == f"f|{found.domain}".encode()
        assert 0 <= record.timestamp - found.sent_ms < 60_000
        if number(found) not in seen[record.key]:
            seen[record.key].append(number(found))
    assert sorted(n for numbers in seen.values() for n in numbers) == list(range(1, last + 1))
    for numbers in seen.values():
        assert numbers == sorted(numbers)


def test_a_broker_that_is_late_and_one_that_goes_away(
    own_broker: tuple[Path, str], to_own: KafkaSettings, spool: Spool
) -> None:
    folder, _ = own_broker
    kafka.stop(folder)
    spool.append(bundles(1, 100))
    shipper = Shipper(to_own)
    (entry,) = spool.take(1)
    assert not shipper.submit(entry)
    spool.give_back()
    while not shipper.trouble:
        assert shipper.poll(0.05) == ([], [])
    assert "no answer" in shipper.trouble

    kafka.start(folder)
    pump(spool, shipper, until_depth=50)
    assert shipper.trouble == ""

    kafka.stop(folder)
    spool.append(bundles(101, 300))
    while shipper.connected:  # until what is in flight is given up
        for entry in spool.take(1):
            shipper.submit(entry)
        for seq in shipper.poll(0.05)[0]:
            spool.done(seq)
    spool.give_back()
    assert spool.acked.get("eventlog", "0") != "300"

    kafka.start(folder)
    pump(spool, shipper)
    shipper.close(5.0)
    assert spool.acked == {"eventlog": "300"}
    assert_in_order(to_own, 300)


def test_what_waits_for_an_answer_is_bounded(
    own_broker: tuple[Path, str], to_own: KafkaSettings
) -> None:
    folder, _ = own_broker
    bound = replace(to_own, in_flight_bytes=200_000)
    with Shipper(bound) as shipper:
        assert ship(shipper, [report(1)], 10.0) == 1
        kafka.stop(folder)
        taken = []
        for seq in range(2, 100):
            entry = Entry(seq, Bundle(report(seq), Priority.NOISE), 15_000)
            if shipper.submit(entry):
                taken.append(seq)
        assert len(taken) <= 200_000 // 15_000
        failed: list[int] = []
        while len(failed) < len(taken):
            acked, more = shipper.poll(0.5)
            assert acked == []
            failed += more
        assert failed == taken
        assert "not acknowledged" in shipper.trouble or "no answer" in shipper.trouble


def test_an_entry_larger_than_the_bound_goes_alone(kafka_settings: ServerKafkaSettings) -> None:
    to = KafkaSettings(
        bootstrap=kafka_settings.bootstrap, namespace=kafka_settings.namespace, in_flight_bytes=1
    )
    with Shipper(to) as shipper:
        assert ship(shipper, [report(n, size_bytes=400_000) for n in range(1, 4)], 10.0) == 3


def test_what_kafka_will_never_take_is_counted_and_passed(
    kafka_settings: ServerKafkaSettings,
) -> None:
    to = KafkaSettings(bootstrap=kafka_settings.bootstrap, namespace=kafka_settings.namespace)
    with Shipper(to) as shipper:
        ship(shipper, [report(1)], 10.0)
        too_large = Bundle(report(2, size_bytes=600_000), Priority.NOISE)
        assert shipper.submit(Entry(7, too_large, 600_000))
        assert shipper.poll(10.0) == ([7], [])
        assert shipper.refused == 1
        assert shipper.connected


def test_a_topic_that_is_not_there_is_told(bare_settings: Settings) -> None:
    to = bare_settings.kafka
    kafka = KafkaSettings(bootstrap=to.bootstrap, namespace=to.namespace, timeout_s=1.0)
    with pytest.raises(KbwatchError, match="create it with `kbwatch topics apply`"):
        probe(kafka)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    broker = secure_kafka.start(tmp_path_factory.mktemp("secure-kafka"))
    try:
        secure_kafka.await_answer(broker)
        apply_topics(Settings(kafka=ServerKafkaSettings(bootstrap=broker.plaintext)))
        yield broker
    finally:
        broker.stop()


def secured(secure: SecureKafka, **settings: object) -> KafkaSettings:
    sasl = {"bootstrap": secure.sasl, "tls": True, "ca_file": secure.ca_file, "timeout_s": 3.0}
    return KafkaSettings(**{**sasl, **settings})  # type: ignore[arg-type]


def unsecured_token(subject: str) -> str:
    """What Kafka's validator for tests takes: a JSON web token without a signature."""

    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    now_s = int(time.time())
    claims = {"sub": subject, "iat": now_s, "exp": now_s + 600}
    return f"{part({'alg': 'none'})}.{part(claims)}."


def test_mutual_tls(secure: SecureKafka) -> None:
    to = secured(
        secure, bootstrap=secure.mtls, cert_file=secure.cert_file, key_file=secure.key_file
    )
    with Shipper(to) as shipper:
        assert ship(shipper, [report(n) for n in range(10)], 10.0) == 10
    assert f"{NODE_REPORTS} has {all_topics()[NODE_REPORTS].partitions} partitions" in probe(to)


@pytest.mark.parametrize("sasl", ["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"])
def test_sasl_over_tls(secure: SecureKafka, tmp_path: Path, sasl: str) -> None:
    file = tmp_path / "secret"
    if sasl == "oauthbearer":
        file.write_text(unsecured_token("node"))
        to = secured(secure, sasl=sasl, token_file=str(file))
    else:
        file.write_text(f"{PASSWORD}\n")
        to = secured(secure, sasl=sasl, username="node", password_file=str(file))
    with Shipper(to) as shipper:
        assert ship(shipper, [report(n) for n in range(10)], 10.0) == 10


def test_what_is_not_trusted_is_refused_with_the_reason(
    secure: SecureKafka, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("tr0ub4dor")
    scram = {"sasl": "scram-sha-512", "username": "node", "password_file": str(wrong)}
    localhost = secure.sasl.replace("127.0.0.1", "localhost")
    for to, says in (
        (secured(secure, ca_file=secure.other_ca_file, **scram), "CERTIFICATE_VERIFY_FAILED"),
        (secured(secure, bootstrap=localhost, **scram), "CERTIFICATE_VERIFY_FAILED"),
        (secured(secure, **scram), "(?i)authentication"),
        (secured(secure, bootstrap=secure.mtls), "no answer"),
    ):
        with pytest.raises(KbwatchError, match=says) as told:
            probe(to)
        assert "tr0ub4dor" not in str(told.value)
