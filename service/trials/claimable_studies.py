"""Which studies a free worker may take a trial from, fairest first. Changes no state."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api_schemas.studies import StudyKind, StudyState
from api_schemas.trials import TrialState
from service.access import limits
from service.storage.models import Replicate, Study, Tenant


def claimable_studies(session: Session) -> list[str]:
    """Find active studies with a queued replicate and room for another running one.

    Those of the tenant with the fewest running trials come first, then the oldest wait. None of kind
    `custom`: what its trials are, only their own runners know.
    """
    running = (
        select(func.count())
        .where(Replicate.study_id == Study.id, Replicate.state == TrialState.RUNNING)
        .correlate(Study)
        .scalar_subquery()
    )
    waiting_since = (
        select(func.min(Replicate.created_at))
        .where(Replicate.study_id == Study.id, Replicate.state == TrialState.QUEUED)
        .correlate(Study)
        .scalar_subquery()
    )
    tenants = limits.running_by_tenant()
    running_of_tenant = func.coalesce(tenants.c.running, 0)
    query = (
        select(Study.id)
        .join(Tenant, Tenant.id == Study.tenant_id)
        .outerjoin(tenants, tenants.c.tenant_id == Tenant.id)
        .where(Study.state == StudyState.ACTIVE, waiting_since.is_not(None), running < Study.parallelism)
        .where(running_of_tenant < limits.running_limit(), Study.kind != StudyKind.CUSTOM)
        .order_by(running_of_tenant, waiting_since)
        .limit(20)
    )
    return list(session.scalars(query))
