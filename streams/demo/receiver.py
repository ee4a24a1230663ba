"""A webhook receiver that checks signatures: what a patch pipeline has to do, on one page.

``python -m streams.demo.receiver --port 0 --secret-file FILE --out FILE`` prints ``{"port": N}``
when it listens (on 127.0.0.1 only) and appends one JSON line per request to the ``--out`` file.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def make_receiver(signer: Webhook, out: Path) -> web.Application:
    """A server that takes any POST; lines ``{received_ms, webhook_id, verified, body}`` go to
    ``out``. It answers 204 to what is signed with ``signer``'s secret, 401 to all else.
    """

    async def receive(request: web.Request) -> web.Response:
        body = (await request.read()).decode(errors="replace")
        try:
            signer.verify(body, dict(request.headers), json_parse=False)
            verified = True
        except (WebhookVerificationError, ValueError):
            # The library raises ValueError on a signature that is not base64 or has no version.
            verified = False
        line = {
            "received_ms": int(time.time() * 1000),
            "webhook_id": request.headers.get("webhook-id", ""),
            "verified": verified,
            "body": body,
        }
        with out.open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        return web.Response(status=204 if verified else 401)

    app = web.Application()
    app.router.add_post("/{path:.*}", receive)
    return app


async def _serve(signer: Webhook, out: Path, port: int) -> None:
    runner = web.AppRunner(make_receiver(signer, out), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _main() -> int:
    parser = argparse.ArgumentParser(prog="receiver", description="Receive signed webhooks.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--secret-file", type=Path, required=True, help="holds a whsec_ secret")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines are appended here")
    given = parser.parse_args()
    try:
        signer = Webhook(given.secret_file.read_text().strip())
        given.out.touch()
        asyncio.run(_serve(signer, given.out, given.port))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"receiver: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(_main())
