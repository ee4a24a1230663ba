"""One attempt to deliver a webhook: signed, time-limited, without redirects."""

import ssl
import time
from datetime import UTC, datetime

import aiohttp

from schemas.halts import Delivery
from streams.halts.deliveries import Outcome
from streams.halts.policy import Target

_READ_AT_MOST_BYTES = 1024
_SHOWN_AT_MOST = 200
_AGENT = "kbwatch"


async def attempt(session: aiohttp.ClientSession, target: Target, delivery: Delivery) -> Outcome:
    """POST ``delivery`` to ``target``. What goes wrong is in the outcome, in words.

    A redirect is a failure: the signature is meant for the address in the policy. Errors never
    hold the URL, which may itself be a secret.
    """
    now_s = int(time.time())
    signature = target.signer.sign(
        delivery.webhook_id, datetime.fromtimestamp(now_s, UTC), delivery.body
    )
    try:
        async with session.post(
            target.url,
            data=delivery.body.encode(),
            headers={
                "content-type": "application/json",
                "user-agent": _AGENT,
                "webhook-id": delivery.webhook_id,
                "webhook-timestamp": str(now_s),
                "webhook-signature": signature,
            },
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=target.timeout_s),
        ) as response:
            if 200 <= response.status < 300:
                return Outcome(response.status)
            said = await response.content.read(_READ_AT_MOST_BYTES)
            return Outcome(response.status, _answered(response, said))
    except TimeoutError:
        return Outcome(0, f"no answer within {target.timeout_s:g} s")
    except aiohttp.ClientConnectorCertificateError as error:
        return Outcome(0, f"its TLS certificate is not accepted: {error.certificate_error}")
    except aiohttp.ClientConnectorDNSError:
        return Outcome(0, "its host name does not resolve")
    except aiohttp.ClientConnectorError as error:
        return Outcome(0, f"can't connect: {_reason(error.os_error)}")
    except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
        return Outcome(0, f"the connection broke: {type(error).__name__}")


def _answered(response: aiohttp.ClientResponse, said: bytes) -> str:
    if 300 <= response.status < 400:
        return f"answered {response.status}: redirects are not followed"
    text = "".join(c if c.isprintable() else " " for c in said.decode(errors="replace"))
    shown = " ".join(text.split())[:_SHOWN_AT_MOST]
    head = f"answered {response.status} {response.reason or ''}".rstrip()
    return f"{head}: {shown}" if shown else head


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
