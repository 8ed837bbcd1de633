"""Rows as the client reads them. Reads; changes nothing."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.importance import Importance
from api_schemas.module_description import describe_canonical
from api_schemas.objectives import Direction
from api_schemas.pareto import HypervolumeHistory, ParetoFront, ParetoPoint
from api_schemas.proposals import Explanation
from api_schemas.studies import Budget, EarlyStopping, ReplicateCounts, StudyKind, StudyRead, TrialCounts
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ArtifactRecord, Measurement, ReplicateRead, TrialRead, TrialState
from service.storage import queries, typed_study
from service.storage.models import Replicate, Study, Trial


def represent_studies(session: Session, studies: Sequence[Study]) -> tuple[StudyRead, ...]:
    """Show studies with the counts of their trials and replicates."""
    ids = [study.id for study in studies]
    trials = queries.count_trials(session, ids)
    replicates = queries.count_replicates(session, ids)
    return tuple(_study(study, trials[study.id], replicates[study.id]) for study in studies)


def represent_study(session: Session, study: Study) -> StudyRead:
    """Show one study."""
    return represent_studies(session, [study])[0]


def represent_trials(session: Session, study: Study, trials: Sequence[Trial]) -> tuple[TrialRead, ...]:
    """Show trials with their replicates, artifacts and whether they stand on the front."""
    replicates = queries.replicates_of(session, [trial.id for trial in trials])
    firsts = {trial_id: found[0].attempt for trial_id, found in replicates.items()}
    measurements = queries.measurements_of(session, firsts)
    artifacts = queries.artifacts_of(session, trials)
    front = queries.latest_front(session, study.id)
    members = frozenset(front.member_trial_ids) if front else frozenset()
    return tuple(
        _trial(
            trial,
            replicates[trial.id],
            measurements[trial.id],
            artifacts[trial.id],
            on_front=trial.id in members,
        )
        for trial in trials
    )


def represent_front(session: Session, study: Study) -> ParetoFront:
    """Show the latest front; before the first result it is empty."""
    objectives = typed_study.objectives(study)
    front = queries.latest_front(session, study.id)
    members = queries.trials_by_id(session, front.member_trial_ids) if front else []
    first = objectives[0]
    members.sort(
        key=lambda trial: (trial.metrics[first.metric], trial.number),
        reverse=first.direction is Direction.MAXIMIZE,
    )
    replicates = queries.replicates_of(session, [trial.id for trial in members])
    return ParetoFront(
        study_id=study.id,
        sequence=front.sequence if front else 0,
        objectives=objectives,
        points=tuple(_point(trial, replicates[trial.id]) for trial in members),
        reference_point=_numbers(front.reference_point if front else study.reference_point),
        hypervolume=front.hypervolume if front else None,
    )


def represent_hypervolume_history(session: Session, study: Study) -> HypervolumeHistory:
    """Show the hypervolume after each accepted result."""
    # Checked in one go: thousands of records, one after the other, take a third more.
    records = [
        {"sequence": sequence, "trial_id": trial_id, "hypervolume": hypervolume, "recorded_at": recorded_at}
        for sequence, trial_id, hypervolume, recorded_at in queries.hypervolume_records(session, study.id)
    ]
    return HypervolumeHistory.model_validate({"study_id": study.id, "records": records})


def represent_importance(study: Study) -> Importance:
    """Show what matters to the objectives, as it was last estimated."""
    return typed_study.importance(study) or Importance(reason="no result yet")


def _study(study: Study, trials: TrialCounts, replicates: ReplicateCounts) -> StudyRead:
    return StudyRead(
        id=study.id,
        kind=StudyKind(study.kind),
        display_name=study.display_name,
        state=study.state,
        state_reason=study.state_reason,
        configuration=typed_study.configuration(study),
        search_space=typed_study.search_space(study),
        objectives=typed_study.objectives(study),
        constraints=typed_study.constraints(study),
        budget=Budget(trials=study.trial_budget),
        parallelism=study.parallelism,
        starting_points=tuple(study.starting_points),
        seed=study.seed,
        replicates=study.replicates,
        final_replicates=study.final_replicates,
        proposals=typed_study.proposals(study),
        early_stopping=EarlyStopping(study.early_stopping),
        backbone_shape=typed_study.backbone_shape(study),
        classes=study.classes,
        reference_point=_numbers(study.reference_point),
        hypervolume=study.hypervolume,
        trials=trials,
        replicate_counts=replicates,
        created_at=study.created_at,
        finished_at=study.finished_at,
    )


def _trial(
    trial: Trial,
    replicates: list[Replicate],
    measurements: list[Measurement],
    artifacts: list[ArtifactRecord],
    *,
    on_front: bool,
) -> TrialRead:
    configuration = _configuration(trial)
    return TrialRead(
        id=trial.id,
        study_id=trial.study_id,
        number=trial.number,
        state=trial.state,
        state_reason=trial.state_reason,
        generated_by=trial.generated_by,
        proposal_seconds=trial.proposal_seconds,
        explanation=None if trial.explanation is None else Explanation.model_validate(trial.explanation),
        parameters=trial.parameters,
        configuration=configuration,
        modules="" if configuration is None else describe_canonical(configuration),
        attempt=trial.attempt,
        metrics=trial.metrics,
        test_metrics=trial.test_metrics,
        metric_standard_errors=trial.metric_standard_errors,
        test_metric_standard_errors=trial.test_metric_standard_errors,
        collapsed=_collapsed(trial),
        # By name: to validate rows by their attributes takes several times as long.
        replicates=tuple(
            ReplicateRead(**{name: getattr(row, name) for name in ReplicateRead.model_fields})
            for row in replicates
        ),
        measurements=tuple(measurements),
        artifacts=tuple(artifacts),
        provenance=replicates[0].provenance,
        on_front=on_front,
        worker=replicates[0].worker,
        created_at=trial.created_at,
        started_at=trial.started_at,
        finished_at=trial.finished_at,
    )


def _point(trial: Trial, replicates: list[Replicate]) -> ParetoPoint:
    configuration = _configuration(trial)
    return ParetoPoint(
        trial_id=trial.id,
        number=trial.number,
        metrics=trial.metrics,
        test_metrics=trial.test_metrics,
        metric_standard_errors=trial.metric_standard_errors,
        test_metric_standard_errors=trial.test_metric_standard_errors,
        seeds=sum(replicate.state is TrialState.SUCCEEDED for replicate in replicates),
        collapsed=_collapsed(trial),
        parameters=trial.parameters,
        is_head_only=configuration is not None and configuration.is_head_only,
    )


def _configuration(trial: Trial) -> TrialConfiguration | None:
    return None if trial.configuration is None else TrialConfiguration.model_validate(trial.configuration)


def _collapsed(trial: Trial) -> bool:
    # A mean over replicates: more than zero means at least one of them. A custom metric may have any name.
    return bool(trial.configuration is not None and trial.metrics.get("collapsed", 0.0) > 0)


def _numbers(values: list[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)
