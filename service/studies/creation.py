"""Store a valid study: settle which studies it learns from, make its row, take over results of its source."""

from sqlalchemy.orm import Session

from api_schemas.access import AuditEventType
from api_schemas.events import EventType
from api_schemas.one_shot import OneShotRun
from api_schemas.studies import StudyState
from service.access import limits
from service.catalogue.tasks.sources import settled
from service.settings import settings
from service.storage.audit_log import record_audit_event
from service.storage.event_log import record_event
from service.storage.ids import new_id
from service.storage.models import Study
from service.studies import steering
from service.studies.inherited_trials import inherit_trials
from service.studies.one_shot import behind_baselines
from service.studies.own_winners import with_own_winners
from service.studies.race_checks import settled_race
from service.studies.validation import ValidStudy
from service.studies.warm_start import with_former_studies
from service.trials.wake_ups import wake_study_worker


def create_study(
    session: Session, valid: ValidStudy, *, tenant_id: str, source: Study | None = None
) -> Study:
    """Store a valid study and wake the study worker, unless it is PAUSED; with results of a source that fit.

    Raises:
        InvalidStudy: If it cannot learn from the studies that it names.
        LimitReached: If its tenant may have no further one.
        UnknownTask: If the file that it trains on was deleted since it was validated.
        InvalidTask: If that file was replaced.
    """
    valid = with_what_the_tenant_has(session, valid, tenant_id=tenant_id)
    study = new_study(tenant_id, valid)
    limits.check_new_study(session, tenant_id)
    session.add(study)
    session.flush()
    record_event(session, study, EventType.STUDY_CREATED)
    record_audit_event(session, tenant_id, AuditEventType.STUDY_CREATED, subject=study.id)
    # The database has made it due, for versions before that do not; here its wake-up goes with it.
    study.turn_due_at = None
    if valid.request.state is StudyState.PAUSED:
        steering.pause(session, study)
    else:
        wake_study_worker(session, study)
    # Under the tenant's lock, without which no file of its is replaced or deleted.
    if valid.configuration is not None and valid.configuration.task.is_file:
        settled(valid.configuration.task, data_dir=settings().data_dir, tenant_id=tenant_id)
    if source is not None:
        inherit_trials(session, source, study)
    return study


def with_what_the_tenant_has(session: Session, valid: ValidStudy, *, tenant_id: str) -> ValidStudy:
    """Return the study with the former ones that it learns from, and what won the tenant's own.

    Raises:
        InvalidStudy: If it cannot learn from the studies that it names.
    """
    valid = with_former_studies(session, valid, tenant_id=tenant_id)
    return with_own_winners(session, valid, tenant_id=tenant_id)


def new_study(tenant_id: str, valid: ValidStudy) -> Study:
    """Return the row of a valid study, not stored yet."""
    request, configuration, shape = valid.request, valid.configuration, valid.backbone_shape
    posted = request.model_dump(mode="json", by_alias=True)
    # Without `known: null`, which versions before would refuse to read.
    stated = request.model_dump(mode="json", include={"objectives", "constraints"}, exclude_none=True)
    run = _one_shot(valid)
    return Study(
        id=new_id("std"),
        tenant_id=tenant_id,
        kind=posted["kind"],
        display_name=request.display_name,
        configuration=None if configuration is None else configuration.model_dump(mode="json"),
        search_space=valid.search_space.model_dump(mode="json", by_alias=True, exclude_none=True),
        objectives=stated["objectives"],
        constraints=stated["constraints"],
        starting_points=list(valid.starting_points),
        trial_budget=request.budget.trials,
        parallelism=request.parallelism,
        seed=request.seed,
        proposals=posted["proposals"],
        replicates=request.replicates,
        final_replicates=request.final_replicates,
        race_share=settled_race(request).share,
        early_stopping=request.early_stopping,
        notes=request.notes,
        tags=list(request.tags),
        backbone_shape=None if shape is None else shape.model_dump(mode="json"),
        classes=valid.classes,
        reference_defaults=list(valid.reference_defaults),
        one_shot=None if run is None else run.model_dump(mode="json"),
        trials_created=0 if run is None else run.trainings,
    )


def _one_shot(valid: ValidStudy) -> OneShotRun | None:
    """Return its super-network with the place that its starting points get among those it has by now."""
    run, base, shape = valid.one_shot, valid.configuration, valid.backbone_shape
    if run is None or base is None or shape is None:
        return None
    return run.model_copy(update={"place": behind_baselines(valid.starting_points, base, shape=shape)})
