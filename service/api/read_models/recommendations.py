"""The recommendation of a study as a client reads it: the trial, how sure it is, how to train it again."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from api_schemas.objectives import ConstraintOp, Metric, Objective
from api_schemas.peft.description import describe_canonical
from api_schemas.recommendation import Recommendation, RecommendationQuery
from api_schemas.search_space import SearchSpaceRequest
from api_schemas.studies import Budget, EarlyStopping, StudyCreate, StudyKind
from api_schemas.tasks import ScoreMetric
from api_schemas.trial_configuration import TrialConfiguration
from service.api.read_models.trials import trial_configuration
from service.errors import WrongState
from service.storage import queries, typed_study
from service.storage.models import Study, Trial
from service.trials import front_certainty, recommendation
from service.trials.results import ResultColumns, result_columns


def recommend(session: Session, study: Study, query: RecommendationQuery) -> Recommendation:
    """Choose a point of the latest front by the rule that the query asks for.

    Raises:
        WrongState: If the front is empty.
        InvalidChoice: If the query does not fit the front.
    """
    front = queries.latest_front(session, study)
    if front is None or not front.member_trial_ids:
        raise WrongState(
            "The study has no front yet: ask again once a trial has succeeded within its limits."
        )
    objectives = typed_study.objectives(study)
    members = queries.trials_by_id(session, front.member_trial_ids)
    points = [recommendation.Point(trial.id, trial.number, trial.metrics) for trial in members]
    choice = recommendation.choose(objectives, points, query)
    chosen = members[choice.position]
    rows = _rows_behind_accuracy(session, study, chosen)
    rivals = _feasible_results(session, study)
    probability, reason = _certainty(objectives, rivals, chosen, rows=rows)
    configuration = trial_configuration(chosen)
    return Recommendation(
        study_id=study.id,
        rule=query.rule,
        reason=choice.reason,
        trial_id=chosen.id,
        number=chosen.number,
        metrics=chosen.metrics,
        metric_standard_errors=chosen.metric_standard_errors,
        test_metrics=chosen.test_metrics,
        parameters=chosen.parameters,
        modules="" if configuration is None else describe_canonical(configuration),
        configuration=configuration,
        lost=recommendation.lost_alternatives(objectives, points, choice.position),
        front_probability=probability,
        front_probability_reason=reason,
        artifacts=tuple(row.name for row in queries.artifacts_of(session, [chosen])[chosen.id]),
        study_file=_study_of(study, chosen, configuration),
    )


def _feasible_results(session: Session, study: Study) -> ResultColumns:
    constraints = typed_study.constraints(study)
    results = result_columns(session, study.id, typed_study.named_metrics(study))
    kept = np.ones(len(results.numbers), dtype=np.bool_)
    for constraint in constraints:
        values = results.values[constraint.metric]
        kept &= (
            values <= constraint.bound
            if constraint.op is ConstraintOp.AT_MOST
            else values >= constraint.bound
        )
    return results.where(kept) if constraints else results


def _certainty(
    objectives: Sequence[Objective], results: ResultColumns, chosen: Trial, *, rows: int | None
) -> tuple[float | None, str]:
    if all(objective.is_known for objective in objectives):
        return 1.0, "Every objective is known exactly."
    errors = {objective.metric: _errors(results, objective, rows=rows) for objective in objectives}
    for name, column in errors.items():
        unknown = np.flatnonzero(np.isnan(column))
        if len(unknown):
            return None, (
                f"How far {name.replace('_', ' ')} may be off is not known for trial "
                f"{results.numbers[int(unknown[0])]}, which has one seed. "
                "More seeds tell: replicates of a study."
            )
    probability = front_certainty.front_probability(
        objectives, results.values, errors, position=results.trial_ids.index(chosen.id)
    )
    return probability, _basis(results, rows=rows)


def _errors(results: ResultColumns, objective: Objective, *, rows: int | None) -> NDArray[np.float64]:
    """Return the standard error of a metric at each trial; not a number where it is unknown."""
    metric = objective.metric
    known = results.standard_errors[metric]
    if objective.is_known:
        return np.zeros_like(known)
    if metric == Metric.SCORE and rows is not None:
        return np.where(np.isnan(known), front_certainty.binomial_errors(results.values[metric], rows), known)
    return known


def _basis(results: ResultColumns, *, rows: int | None) -> str:
    single = int(results.has_one_seed.sum())
    of_seeds, of_split = "the standard errors over seeds", f"the binomial error of {rows} validation texts"
    if not single:
        return f"From {of_seeds}."
    if single == len(results.numbers):
        return f"From {of_split}."
    return f"From {of_seeds}; for trials with one seed, from {of_split}."


def _rows_behind_accuracy(session: Session, study: Study, trial: Trial) -> int | None:
    """Return how many texts each score is a share of; None if it is no share or they are unknown."""
    configuration = typed_study.configuration(study)
    if configuration is None:
        return None
    task = configuration.task
    if task.resolved_score is not ScoreMetric.ACCURACY:
        return None
    # Every trial of a study is scored on the same split.
    first = queries.replicates_of(session, [trial.id])[trial.id][0]
    rows = first.provenance.get("validation_rows")
    return rows if isinstance(rows, int) else task.validation_rows


def _study_of(study: Study, trial: Trial, configuration: TrialConfiguration | None) -> StudyCreate:
    return StudyCreate(
        display_name=f"{study.display_name[:150]}, trial {trial.number} again",
        kind=StudyKind(study.kind),
        configuration=configuration,
        search_space=SearchSpaceRequest(parameters=typed_study.search_space(study).parameters),
        objectives=typed_study.objectives(study),
        constraints=typed_study.constraints(study),
        budget=Budget(trials=1),
        starting_points=(trial.parameters,),
        early_stopping=EarlyStopping.NEVER,
        replicates=study.replicates,
    )
