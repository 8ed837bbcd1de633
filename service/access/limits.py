"""What a tenant may have at once: active studies, running trials, bytes of artifacts and uploads.

A limit is the tenant's own, else the setting's; without either there is none. Each limit is checked in
one place, under the tenant's row lock, so that requests and claims side by side cannot pass it together.
Lock order: a study's row before its tenant's.
"""

from sqlalchemy import ColumnElement, Subquery, func, select
from sqlalchemy.orm import Session

from api_schemas.access import Limit, Limits
from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from service.catalogue.kept_uploads import kept_bytes
from service.catalogue.tasks.places import upload_folder
from service.errors import LimitReached
from service.settings import settings
from service.storage.models import Artifact, Replicate, Study, Tenant, Trial

OPEN_STATES = (StudyState.ACTIVE, StudyState.PAUSED, StudyState.CANCELLING)
"""A paused study counts: it can be resumed at any time."""

UNLIMITED = 2**31 - 1


def check_new_study(session: Session, tenant_id: str) -> None:
    """Check that a tenant may have one more active study.

    Raises:
        LimitReached: If it has as many as it may, or its artifacts use up its bytes.
    """
    tenant = lock_tenant(session, tenant_id)
    studies = _or_default(tenant.active_studies, settings().tenant_active_studies)
    if studies is not None and _open_studies(session, tenant_id) >= studies:
        raise LimitReached(
            f"This tenant may have {studies} active studies, paused ones among them. "
            "Cancel one or wait until one ends."
        )
    limit = _or_default(tenant.artifact_bytes, settings().tenant_artifact_bytes)
    if limit is not None and (kept := _kept_bytes(session, tenant_id)) >= limit:
        raise LimitReached(
            f"This tenant's artifacts and uploads take {kept:,} bytes of {limit:,}. "
            "Delete studies or files that are no longer needed, or ask the operator for more."
        )


def usage(session: Session, tenant_id: str) -> Limits:
    """Return what a tenant has and may have: a look that locks nothing."""
    tenant, defaults = session.get_one(Tenant, tenant_id), settings()
    return Limits(
        active_studies=Limit(
            used=_open_studies(session, tenant_id),
            limit=_or_default(tenant.active_studies, defaults.tenant_active_studies),
        ),
        running_trials=Limit(
            used=_running_trials(session, tenant_id),
            limit=_or_default(tenant.running_trials, defaults.tenant_running_trials),
        ),
        artifact_bytes=Limit(
            used=_kept_bytes(session, tenant_id),
            limit=_or_default(tenant.artifact_bytes, defaults.tenant_artifact_bytes),
        ),
    )


def lock_tenant(session: Session, tenant_id: str) -> Tenant:
    """Lock a tenant until the commit: nothing else creates a study of it or changes its files meanwhile."""
    # key_share: rows that only refer to the tenant are not held up.
    query = select(Tenant).where(Tenant.id == tenant_id).with_for_update(key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def bytes_left(session: Session, tenant_id: str) -> int | None:
    """Lock a tenant and return how many more bytes it may keep: None without a limit, negative if over it."""
    tenant = lock_tenant(session, tenant_id)
    limit = _or_default(tenant.artifact_bytes, settings().tenant_artifact_bytes)
    return None if limit is None else limit - _kept_bytes(session, tenant_id)


def trials_that_may_start(session: Session, tenant_id: str) -> int | None:
    """Return how many more trials of a tenant may run now, and keep it so until the commit; None is no limit.

    The caller holds the lock of the study that wants to start them.
    """
    default = settings().tenant_running_trials
    if default is None:
        # A tenant without a limit is not locked: its claims go side by side.
        own = session.scalar(select(Tenant.running_trials).where(Tenant.id == tenant_id))
        if own is None:
            return None
    limit = _or_default(lock_tenant(session, tenant_id).running_trials, default)
    return None if limit is None else limit - _running_trials(session, tenant_id)


def is_at_running_limit(session: Session, tenant_id: str) -> bool:
    """Return whether a tenant runs all that it may: a look that locks nothing, and may be over at once."""
    limit = session.scalars(select(running_limit()).where(Tenant.id == tenant_id)).one()
    return limit != UNLIMITED and _running_trials(session, tenant_id) >= limit


def running_by_tenant() -> Subquery:
    """Count the running trials of every tenant that has some: columns `tenant_id` and `running`."""
    return (
        select(Study.tenant_id, func.count().label("running"))
        .join(Replicate, Replicate.study_id == Study.id)
        .where(Replicate.state == TrialState.RUNNING)
        .group_by(Study.tenant_id)
        .subquery()
    )


def running_limit() -> ColumnElement[int]:
    """Return the expression, in a query over tenants, of how many trials each may run."""
    default = settings().tenant_running_trials
    return func.coalesce(Tenant.running_trials, UNLIMITED if default is None else default)


def _kept_bytes(session: Session, tenant_id: str) -> int:
    data_dir = settings().data_dir
    uploads = 0 if data_dir is None else kept_bytes(upload_folder(data_dir, tenant_id=tenant_id))
    query = (
        select(func.coalesce(func.sum(Artifact.size_bytes), 0))
        .join(Trial, Trial.id == Artifact.trial_id)
        .join(Study, Study.id == Trial.study_id)
        .where(Study.tenant_id == tenant_id)
    )
    return int(session.scalars(query).one()) + uploads


def _open_studies(session: Session, tenant_id: str) -> int:
    query = select(func.count()).where(Study.tenant_id == tenant_id, Study.state.in_(OPEN_STATES))
    return session.scalars(query).one()


def _running_trials(session: Session, tenant_id: str) -> int:
    query = (
        select(func.count())
        .select_from(Replicate)
        .join(Study, Study.id == Replicate.study_id)
        .where(Study.tenant_id == tenant_id, Replicate.state == TrialState.RUNNING)
    )
    return session.scalars(query).one()


def _or_default(own: int | None, default: int | None) -> int | None:
    return default if own is None else own
