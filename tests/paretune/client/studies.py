"""Custom studies with queued trials, as the optimiser would queue them, and where their trials stand."""

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.studies import StudyCreate
from service.storage.database import transaction
from service.storage.models import Replicate, Study, Tenant
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.trials import lifecycle

DOCUMENT = {
    "kind": "custom",
    "display_name": "mine",
    "search_space": {"parameters": [{"type": "float", "name": "x", "low": 0.0, "high": 1.0}]},
    "objectives": [
        {"metric": "cost", "direction": "minimize", "reference": 2.0},
        {"metric": "gain", "direction": "maximize", "reference": 0.0},
    ],
    "budget": {"trials": 4},
    "parallelism": 4,
}


def custom_study(**changes: object) -> StudyCreate:
    return StudyCreate.model_validate({**DOCUMENT, **changes})


def queued_study(*, trials: int = 1, **changes: object) -> str:
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        valid = validate_study(custom_study(**changes), tenant_id=tenant_id)
        study = create_study(session, valid, tenant_id=tenant_id)
        queue_trials(session, study, trials)
        return study.id


def queue_trials(session: Session, study: Study, trials: int) -> None:
    for number in range(trials):
        lifecycle.add_trial(
            session, study, parameters={"x": (number + 1) / 10}, configuration=None,
            configuration_key=uuid.uuid4().hex, generated_by="test", proposal_seconds=0.0,
        )  # fmt: skip


def replicate_of(trial_id: str) -> Replicate:
    with transaction() as session:
        return session.get_one(Replicate, (trial_id, 0))
