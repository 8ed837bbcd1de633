"""The routes under /v1/webhooks: for admins of a tenant, because they send its events elsewhere."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy.orm import Session

from api_schemas.base import WITHOUT_NUL
from api_schemas.webhooks import (
    DeliveryPage,
    WebhookCreate,
    WebhookCreated,
    WebhookPage,
    WebhookRead,
    WebhookReplay,
    WebhookReplayed,
)
from service.api.dependencies import AdminTenantDep, SessionDep
from service.api.protocol.entity_tags import NOT_MODIFIED
from service.api.protocol.idempotency import AdminIdempotentDep, accept_key, run_once
from service.api.protocol.problems import documented
from service.webhooks import registry
from service.webhooks.addresses import check_url, resolve

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], responses=documented(401, 422, 503))

PageSize = Annotated[int, Query(ge=1, le=500)]
WebhookId = Annotated[str, Path(pattern=WITHOUT_NUL, max_length=100)]
DeliveryToken = Annotated[
    str | None, Query(pattern=r"^std_[0-9a-f]{32}/[0-9]{1,9}$", examples=[f"std_{'0' * 32}/7"])
]
WebhookToken = Annotated[str | None, Query(pattern=r"^whk_[0-9a-f]{32}$", examples=[f"whk_{'0' * 32}"])]


@router.post("", status_code=201, response_model=WebhookCreated, responses=documented(400, 409, 415))
def create_webhook(request: WebhookCreate, posted: AdminIdempotentDep) -> Response:
    """Create a webhook: events are sent to its URL. Its secret is shown in this answer only."""
    # Without a database connection: a name may take long to look up.
    resolve(check_url(request.url))

    def effect(session: Session) -> WebhookCreated:
        webhook = registry.create_webhook(session, request, tenant_id=posted.tenant_id)
        shown = registry.webhook_reads(session, [webhook])[0]
        return WebhookCreated(**shown.model_dump(), secret=webhook.secret)

    return run_once(posted, effect, status=HTTPStatus.CREATED, hide="secret")


@router.get("", responses=NOT_MODIFIED)
def list_webhooks(
    session: SessionDep, tenant_id: AdminTenantDep, page_size: PageSize = 100, page_token: WebhookToken = None
) -> WebhookPage:
    """List the webhooks of your tenant, newest first."""
    webhooks = registry.list_webhooks(session, tenant_id=tenant_id, page_size=page_size, before=page_token)
    token = webhooks[-1].id if len(webhooks) == page_size else None
    return WebhookPage(webhooks=registry.webhook_reads(session, webhooks), next_page_token=token)


@router.get("/{webhook_id:id}", responses=NOT_MODIFIED | documented(404))
def get_webhook(webhook_id: WebhookId, session: SessionDep, tenant_id: AdminTenantDep) -> WebhookRead:
    """Read a webhook, with the number of waiting deliveries and the last error."""
    webhook = registry.get_webhook(session, webhook_id, tenant_id=tenant_id)
    return registry.webhook_reads(session, [webhook])[0]


@router.get("/{webhook_id:id}/deliveries", responses=NOT_MODIFIED | documented(404))
def list_deliveries(
    webhook_id: WebhookId,
    session: SessionDep,
    tenant_id: AdminTenantDep,
    page_size: PageSize = 100,
    page_token: DeliveryToken = None,
) -> DeliveryPage:
    """List what a webhook has not got: deliveries that wait for another attempt, or were given up."""
    webhook = registry.get_webhook(session, webhook_id, tenant_id=tenant_id)
    study_id, _, sequence = (page_token or "").partition("/")
    before = (study_id, int(sequence)) if page_token else None
    deliveries = registry.list_deliveries(session, webhook, page_size=page_size, before=before)
    last = deliveries[-1] if len(deliveries) == page_size else None
    token = f"{last.study_id}/{last.sequence}" if last else None
    return DeliveryPage(deliveries=deliveries, next_page_token=token)


@router.delete("/{webhook_id:id}", status_code=204, responses=documented(404))
def delete_webhook(webhook_id: WebhookId, session: SessionDep, tenant_id: AdminTenantDep) -> None:
    """Delete a webhook. Waiting deliveries are dropped."""
    registry.delete_webhook(session, webhook_id, tenant_id=tenant_id)


@router.post("/{webhook_id}:replay", responses=documented(400, 404, 415), dependencies=[Depends(accept_key)])
def replay_webhook(
    webhook_id: WebhookId, request: WebhookReplay, session: SessionDep, tenant_id: AdminTenantDep
) -> WebhookReplayed:
    """Send the events of a study after a given number again."""
    return WebhookReplayed(scheduled=registry.replay(session, webhook_id, request, tenant_id=tenant_id))
