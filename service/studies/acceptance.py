"""What the owner of a study decides for: one of its trials. Recommends nothing and changes no state."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api_schemas.acceptance import Acceptance, AcceptedTrial
from api_schemas.errors import FieldError
from api_schemas.events import EventType
from api_schemas.trials import TrialState
from service.errors import InvalidChoice, WrongState
from service.runtime import request_context
from service.storage import typed_study
from service.storage.event_log import record_event
from service.storage.models import ApiKey, Study, Trial


def accept(session: Session, study: Study, acceptance: Acceptance) -> Study:
    """Record under the study's lock that one of its trials is taken; saying the same again changes nothing.

    Raises:
        InvalidChoice: If the study has no such trial.
        WrongState: If the trial has no result to take.
    """
    trial = session.get(Trial, acceptance.trial_id)
    if trial is None or trial.study_id != study.id:
        detail = f"The study has no trial '{acceptance.trial_id}'."
        raise InvalidChoice(detail, errors=[FieldError(pointer="/trial_id", detail=detail)])
    if trial.state is not TrialState.SUCCEEDED:
        raise WrongState(
            f"Trial {trial.number} is {trial.state} and has no result; accept one that succeeded."
        )
    known = typed_study.accepted(study)
    if known is not None and (known.trial_id, known.reason) == (trial.id, acceptance.reason):
        return study
    context = request_context.current()
    key = session.get(ApiKey, context.key_id) if context and context.key_id else None
    accepted = AcceptedTrial(
        trial_id=trial.id,
        number=trial.number,
        reason=acceptance.reason,
        key_id=None if key is None else key.id,
        accepted_by=None if key is None else key.name,
        accepted_at=session.scalars(select(func.clock_timestamp())).one(),
    )
    study.accepted = accepted.model_dump(mode="json")
    body = accepted.model_dump(mode="json", exclude={"trial_id", "accepted_at"})
    record_event(session, study, EventType.STUDY_ACCEPTED, trial=trial, **body)
    return study
