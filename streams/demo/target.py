"""Where the demo's halt goes: a receiver that checks the signature, and a policy that halts."""

import base64
import json
import os
import secrets
from pathlib import Path

from msgspec import Struct

from schemas.errors import KbwatchError
from streams.demo.processes import Processes
from streams.halts.policy import ACCEPT_DEFAULT_CALIBRATION, ACCEPT_UNSIGNED


class Target(Struct, frozen=True):
    """The running receiver; ``receipts`` has a JSON line per request it got."""

    receipts: Path

    @classmethod
    def start(cls, processes: Processes, out: Path) -> "Target":
        """Start the receiver on a free loopback port, and write the policy that leads to it."""
        folder = out / "data"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret_file = folder / "demo.secret"
        descriptor = os.open(secret_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
        receipts = folder / "receipts.jsonl"
        process = processes.start(
            "receiver",
            "streams.demo.receiver",
            *("--port", "0", "--secret-file", str(secret_file), "--out", str(receipts)),
        )
        answer = process.stdout.readline() if process.stdout else b""
        if not answer:
            raise KbwatchError(
                "the webhook receiver did not start; its log is in logs/receiver.log"
            )
        port = int(json.loads(answer)["port"])
        (folder / "policy.toml").write_text(
            'mode = "auto"\n'
            f'acknowledge_unsigned_reports = "{ACCEPT_UNSIGNED}"\n'
            f'acknowledge_default_calibration = "{ACCEPT_DEFAULT_CALIBRATION}"\n\n'
            "[[target]]\n"
            'name = "demo"\n'
            f'url = "http://127.0.0.1:{port}/"\n'
            f'secret_file = "{secret_file.name}"\n'
        )
        return cls(receipts)
