"""Send what the outbox holds: a task of each API process. No transaction is open while it waits.

Batches of different webhooks are sent concurrently, so a receiver that hangs delays only its own events.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from ipaddress import IPv6Address
from typing import TypeVar
from urllib.parse import SplitResult

import httpx
import structlog
from anyio import to_thread
from sqlalchemy.exc import OperationalError

from api_schemas.webhooks import WebhookMessage
from service.errors import InvalidWebhook
from service.settings import settings
from service.webhooks import outbox
from service.webhooks.addresses import Address, check_url, resolve
from service.webhooks.outbox import Claim
from service.webhooks.signatures import signed_headers

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

SIDE_BY_SIDE = 16
ATTEMPT_SECONDS = 15.0
"""For all of it: looking the name up, connecting, sending, and the first line of the answer."""


async def send_webhooks() -> None:
    """Send what is due every `sweep_seconds`, until cancelled."""
    sending: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            await start_batches(sending)
            if sending:
                # More may be due for a webhook whose batch has ended.
                await asyncio.wait(
                    sending.values(), timeout=settings().sweep_seconds, return_when=asyncio.FIRST_COMPLETED
                )
            else:
                await asyncio.sleep(settings().sweep_seconds)
    finally:
        for task in sending.values():
            task.cancel()
        await asyncio.gather(*sending.values(), return_exceptions=True)


async def start_batches(sending: dict[str, asyncio.Task[None]]) -> None:
    """Start a task for each webhook with due deliveries, and forget ended ones. No error leaves it."""
    for webhook_id in [webhook_id for webhook_id, task in sending.items() if task.done()]:
        del sending[webhook_id]
    if len(sending) == SIDE_BY_SIDE:
        return
    try:
        free = SIDE_BY_SIDE - len(sending)
        batches = await _whole(partial(outbox.claim, busy=set(sending), most_webhooks=free))
    except OperationalError as error:
        log.warning("the database is away; webhooks wait", reason=type(error).__name__)
        return
    except Exception:
        log.exception("webhooks were not looked for; trying again soon")
        return
    for batch in batches:
        sending[batch[0].webhook_id] = asyncio.create_task(_send_batch(batch))


async def _send_batch(batch: Sequence[Claim]) -> None:
    """Send a batch. The edge of the task: no error leaves it, and what is not settled is claimed again."""
    try:
        async with httpx.AsyncClient(
            verify=_tls(), trust_env=False, follow_redirects=False, timeout=ATTEMPT_SECONDS
        ) as client:
            for claimed in batch:
                await _send(client, claimed)
    except OperationalError as error:
        log.warning("the database is away; webhooks are sent again", reason=type(error).__name__)
    except Exception:
        log.exception("a webhook was not sent; trying again later", webhook_id=batch[0].webhook_id)


async def _send(client: httpx.AsyncClient, claimed: Claim) -> None:
    gone = False
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            status = await _post(client, claimed)
        reason = None if httpx.codes.is_success(status) else f"The receiver answered {status}."
        gone = status == httpx.codes.GONE
    except InvalidWebhook as error:
        reason = error.detail
    except TimeoutError:
        reason = f"The receiver did not answer within {ATTEMPT_SECONDS:g} s."
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = f"The receiver cannot be reached ({type(error).__name__})."
    if reason is None:
        await _whole(partial(outbox.settle_accepted, claimed))
        return
    log.info("webhook not delivered", webhook_id=claimed.webhook_id, attempt=claimed.attempts, reason=reason)
    await _whole(partial(outbox.settle_refused, claimed, reason=reason, gone=gone))


async def _post(client: httpx.AsyncClient, claimed: Claim) -> int:
    """Try the addresses of the receiver in order until one accepts the connection. Return the status."""
    parts = check_url(claimed.url)
    addresses = await to_thread.run_sync(resolve, parts)
    for address in addresses[:-1]:
        try:
            return await _post_to(client, claimed, parts, address)
        except httpx.ConnectError:
            continue
    return await _post_to(client, claimed, parts, addresses[-1])


async def _post_to(client: httpx.AsyncClient, claimed: Claim, parts: SplitResult, address: Address) -> int:
    event = claimed.event
    message = WebhookMessage(type=event.type, timestamp=event.recorded_at, data=event)
    body = message.model_dump_json().encode()
    # The same for every attempt and every replay, so that a receiver can recognise duplicates.
    message_id = f"{event.study_id}_{event.sequence}"
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": "Paretune-Webhooks/1",
        **signed_headers(claimed.secret, body, message_id=message_id, timestamp=int(time.time())),
    }
    # Connect to the address that was checked; the certificate must still match the name.
    host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    port = "" if parts.port is None else f":{parts.port}"
    target = f"{parts.scheme}://{host}{port}{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    request = client.stream(
        "POST", target, content=body, headers=headers, extensions={"sni_hostname": parts.hostname}
    )
    # The body of the answer is not read: it could be endless.
    async with request as answer:
        return answer.status_code


async def _whole(transaction: Callable[[], Result]) -> Result:
    """Run a transaction in a thread; a cancelled caller waits until it has ended."""
    running = asyncio.ensure_future(to_thread.run_sync(transaction))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
