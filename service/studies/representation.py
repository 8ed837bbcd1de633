"""Rows as the client reads them. Reads; changes nothing."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.backbones import BackboneShape
from api_schemas.objectives import Direction, Objective
from api_schemas.pareto import HypervolumeHistory, HypervolumeRecord, ParetoFront, ParetoPoint
from api_schemas.search_space import SearchSpace
from api_schemas.studies import Budget, StudyRead, TrialCounts
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ArtifactRecord, Measurement, TrialRead, TrialState
from service.models import Artifact, Study, Trial, TrialMeasurement
from service.studies import repository


def represent_studies(session: Session, studies: Sequence[Study]) -> tuple[StudyRead, ...]:
    """Show studies with their trial counts."""
    counts = repository.count_trials(session, [study.id for study in studies])
    return tuple(_study(study, counts[study.id]) for study in studies)


def represent_study(session: Session, study: Study) -> StudyRead:
    """Show one study."""
    return represent_studies(session, [study])[0]


def represent_trials(session: Session, study: Study, trials: Sequence[Trial]) -> tuple[TrialRead, ...]:
    """Show trials with their measurements, artifacts and whether they stand on the front."""
    measurements = repository.measurements_of(session, trials)
    artifacts = repository.artifacts_of(session, trials)
    front = repository.latest_front(session, study.id)
    members = frozenset(front.member_trial_ids) if front else frozenset()
    return tuple(
        _trial(trial, measurements[trial.id], artifacts[trial.id], on_front=trial.id in members)
        for trial in trials
    )


def represent_front(session: Session, study: Study) -> ParetoFront:
    """Show the latest front; before the first result it is empty."""
    objectives = tuple(Objective.model_validate(item) for item in study.objectives)
    front = repository.latest_front(session, study.id)
    by_id = {trial.id: trial for trial in repository.trials_in(session, study.id, [TrialState.SUCCEEDED])}
    members = [by_id[trial_id] for trial_id in front.member_trial_ids] if front else []
    first = objectives[0]
    members.sort(
        key=lambda trial: (trial.metrics[first.metric], trial.number),
        reverse=first.direction is Direction.MAXIMIZE,
    )
    return ParetoFront(
        study_id=study.id,
        sequence=front.sequence if front else 0,
        objectives=objectives,
        points=tuple(_point(trial) for trial in members),
        reference_point=_numbers(front.reference_point if front else study.reference_point),
        hypervolume=front.hypervolume if front else None,
    )


def represent_hypervolume_history(session: Session, study: Study) -> HypervolumeHistory:
    """Show the hypervolume after each accepted result."""
    return HypervolumeHistory(
        study_id=study.id,
        records=tuple(
            HypervolumeRecord.model_validate(front) for front in repository.list_fronts(session, study.id)
        ),
    )


def _study(study: Study, counts: TrialCounts) -> StudyRead:
    return StudyRead(
        id=study.id,
        display_name=study.display_name,
        state=study.state,
        state_reason=study.state_reason,
        configuration=TrialConfiguration.model_validate(study.configuration),
        search_space=SearchSpace.model_validate(study.search_space),
        objectives=tuple(study.objectives),
        constraints=tuple(study.constraints),
        budget=Budget(trials=study.trial_budget),
        parallelism=study.parallelism,
        starting_points=tuple(study.starting_points),
        seed=study.seed,
        backbone_shape=BackboneShape.model_validate(study.backbone_shape),
        classes=study.classes,
        reference_point=_numbers(study.reference_point),
        hypervolume=study.hypervolume,
        trials=counts,
        created_at=study.created_at,
        finished_at=study.finished_at,
    )


def _trial(
    trial: Trial, measurements: list[TrialMeasurement], artifacts: list[Artifact], *, on_front: bool
) -> TrialRead:
    return TrialRead(
        id=trial.id,
        study_id=trial.study_id,
        number=trial.number,
        state=trial.state,
        state_reason=trial.state_reason,
        generated_by=trial.generated_by,
        proposal_seconds=trial.proposal_seconds,
        parameters=trial.parameters,
        configuration=TrialConfiguration.model_validate(trial.configuration),
        attempt=trial.attempt,
        metrics=trial.metrics,
        test_metrics=trial.test_metrics,
        measurements=tuple(Measurement.model_validate(row) for row in measurements),
        artifacts=tuple(ArtifactRecord.model_validate(row) for row in artifacts),
        provenance=trial.provenance,
        on_front=on_front,
        worker=trial.worker,
        created_at=trial.created_at,
        started_at=trial.started_at,
        finished_at=trial.finished_at,
    )


def _point(trial: Trial) -> ParetoPoint:
    return ParetoPoint(
        trial_id=trial.id,
        number=trial.number,
        metrics=trial.metrics,
        test_metrics=trial.test_metrics,
        parameters=trial.parameters,
        is_head_only=TrialConfiguration.model_validate(trial.configuration).is_head_only,
    )


def _numbers(values: list[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)
