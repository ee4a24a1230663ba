"""A Kafka that only talks TLS: mutual TLS on one listener, SASL over TLS on the other."""

import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local import kafka

PASSWORD = "correct horse"


@dataclass(frozen=True)
class SecureKafka:
    """Where it listens, and the files that a client needs."""

    mtls: str
    sasl: str
    plaintext: str
    """For the tests' own errands (topics)."""
    ca_file: str
    other_ca_file: str
    cert_file: str
    key_file: str
    child: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it, by its own handle."""
        self.child.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(20)
        self.child.kill()
        self.child.wait()


def _openssl(folder: Path, *arguments: str) -> None:
    command = ["openssl", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> None:
    _openssl(
        folder,
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2"),
    )


def certificate(folder: Path, name: str, subject_alt_name: str) -> None:
    _openssl(
        folder,
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName={subject_alt_name}"),
        *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
    )
    _openssl(
        folder,
        *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-copy_extensions", "copy", "-days", "2", "-out", f"{name}.pem"),
    )


def start(folder: Path) -> SecureKafka:
    """Make certificates, format, start; does not wait until it answers."""
    authority(folder, "ca")
    authority(folder, "other")
    # For 127.0.0.1 alone: under the name localhost it must be refused.
    certificate(folder, "broker", "IP:127.0.0.1")
    certificate(folder, "node", "DNS:node01")
    store = folder / "broker-store.pem"
    store.write_text((folder / "broker.key").read_text() + (folder / "broker.pem").read_text())
    ports: list[int] = []
    for _ in range(4):
        ports.append(kafka._free_port(0, *ports[-1:]))
    plaintext, controller, mtls, sasl = ports
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    plain = (
        f'org.apache.kafka.common.security.plain.PlainLoginModule required user_node="{PASSWORD}";'
    )
    token = (
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
        'unsecuredLoginStringClaim_sub="node";'
    )
    unsecured = "org.apache.kafka.common.security.oauthbearer.internals.unsecured"
    properties = folder / "server.properties"
    properties.write_text(
        f"""
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=BROKER://127.0.0.1:{plaintext},CONTROLLER://127.0.0.1:{controller},\
MTLS://127.0.0.1:{mtls},SASL://127.0.0.1:{sasl}
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,MTLS:SSL,SASL:SASL_SSL
log.dirs={folder / "data"}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
ssl.keystore.type=PEM
ssl.keystore.location={store}
ssl.truststore.type=PEM
ssl.truststore.location={folder / "ca.pem"}
listener.name.mtls.ssl.client.auth=required
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config={plain}
listener.name.sasl.scram-sha-256.sasl.jaas.config={scram}
listener.name.sasl.scram-sha-512.sasl.jaas.config={scram}
listener.name.sasl.oauthbearer.sasl.jaas.config={token}
listener.name.sasl.oauthbearer.sasl.server.callback.handler.class=\
{unsecured}.OAuthBearerUnsecuredValidatorCallbackHandler
"""
    )
    kafka.fetch()
    java = [kafka._java(), *kafka._HEAP, "-cp", f"{kafka.LIBS}/*"]
    java[1:1] = [f"-Dlog4j2.configurationFile={kafka.HERE / 'log4j2.properties'}"]
    subprocess.run(
        [
            *(*java, "kafka.tools.StorageTool", "format", "--standalone"),
            *("--cluster-id=4L6g3nShT-eMCtK--X86sw", "-c", str(properties)),
            *("--add-scram", f"SCRAM-SHA-256=[name=node,password={PASSWORD}]"),
            *("--add-scram", f"SCRAM-SHA-512=[name=node,password={PASSWORD}]"),
        ],
        check=True,
        capture_output=True,
    )
    with (folder / "broker.log").open("wb") as output:
        child = subprocess.Popen(
            [*java, "kafka.Kafka", str(properties)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return SecureKafka(
        mtls=f"127.0.0.1:{mtls}",
        sasl=f"127.0.0.1:{sasl}",
        plaintext=f"127.0.0.1:{plaintext}",
        ca_file=str(folder / "ca.pem"),
        other_ca_file=str(folder / "other.pem"),
        cert_file=str(folder / "node.pem"),
        key_file=str(folder / "node.key"),
        child=child,
    )


def await_answer(broker: SecureKafka) -> None:
    """Return when the broker takes connections and knows itself."""
    port = int(broker.plaintext.rpartition(":")[2])
    while not kafka._answers(port):
        if broker.child.poll() is not None:
            raise RuntimeError("the broker ended")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            pass
