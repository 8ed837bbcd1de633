"""What a valid study would be if it were stored: settled, with its first trials and an estimate of its time.

Reads what its tenant has; stores nothing.
"""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from api_schemas.exact_metrics import exact_metrics
from api_schemas.peft.description import describe_modules
from api_schemas.search_space import Parameterization, SearchSpaceRequest
from api_schemas.studies import StudyCreate
from api_schemas.study_validation import MOST_FIRST_TRIALS, FirstTrial, RunEstimate, StudyValidation
from api_schemas.trial_configuration import TrialConfiguration, patch
from service.storage import queries, typed_study
from service.studies.creation import with_what_the_tenant_has
from service.studies.race_checks import settled_race
from service.studies.starting_points import starting_parameterization
from service.studies.validation import ValidStudy

LOOKED_THROUGH = 50
"""Ended studies, newest first, among which one like the new one is looked for."""


def preview(session: Session, valid: ValidStudy, *, tenant_id: str) -> StudyValidation:
    """Return what a study of the tenant would be.

    Raises:
        InvalidStudy: If it cannot learn from the studies that it names.
    """
    valid = with_what_the_tenant_has(session, valid, tenant_id=tenant_id)
    return StudyValidation(
        study=_settled(valid),
        backbone_shape=valid.backbone_shape,
        classes=valid.classes,
        natural_references=valid.reference_defaults,
        first_trials=tuple(_first_trial(valid, point) for point in valid.starting_points[:MOST_FIRST_TRIALS]),
        estimate=next(_estimates(session, valid, tenant_id=tenant_id), None),
        dropped=dict(valid.dropped),
        one_shot_trainings=0 if valid.one_shot is None else valid.one_shot.trainings,
    )


def _settled(valid: ValidStudy) -> StudyCreate:
    request, configuration = valid.request, valid.configuration
    if configuration is not None:
        configuration = configuration.model_copy(update={"task": configuration.task.as_posted()})
    space = valid.search_space
    return request.model_copy(
        update={
            "configuration": configuration,
            "search_space": SearchSpaceRequest(parameters=space.parameters, identity=space.identity),
            "race": settled_race(request),
        }
    )


def _first_trial(valid: ValidStudy, point: Parameterization) -> FirstTrial:
    base, shape, classes = valid.configuration, valid.backbone_shape, valid.classes
    if base is None or shape is None or classes is None:
        return FirstTrial(parameters=point, modules=None, configuration=None)
    parameters = starting_parameterization(valid.search_space, base, point)
    configuration = patch(base, parameters)
    return FirstTrial(
        parameters=parameters,
        modules=describe_modules(configuration),
        configuration=configuration,
        exact_metrics=exact_metrics(configuration, shape=shape, classes=classes),
    )


def _estimates(session: Session, valid: ValidStudy, *, tenant_id: str) -> Iterator[RunEstimate]:
    """Yield an estimate by each ended study with the same backbone, task and recipe, newest first."""
    base, request = valid.configuration, valid.request
    if base is None:
        return
    trainings = request.budget.trials * request.replicates
    for study in queries.ended_studies(session, tenant_id=tenant_id, limit=LOOKED_THROUGH):
        former = typed_study.configuration(study)
        if former is None or _what_takes_time(former) != _what_takes_time(base):
            continue
        measured, mean = queries.training_seconds(session, study.id)
        if measured:
            yield RunEstimate(
                trainings=trainings,
                seconds_per_training=mean,
                seconds=trainings * mean / min(request.parallelism, trainings),
                study_id=study.id,
                measured_trainings=measured,
            )


def _what_takes_time(configuration: TrialConfiguration) -> tuple[object, ...]:
    training, task = configuration.training, configuration.task
    # The same bytes are the same rows, whatever they are called.
    rows = (task.sha256 or task.name, task.revision, task.train_rows, task.validation_rows, task.test_rows)
    recipe = (training.epochs, training.measurements_per_epoch, training.batch_size, training.max_length)
    return (configuration.backbone, configuration.quantisation, *rows, *recipe)
