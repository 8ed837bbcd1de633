"""A study's recommendation, from its rows: the chosen trial, how sure it is, and how to train it again."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from api_schemas.module_description import describe_modules
from api_schemas.objectives import KNOWN_METRICS, Metric, Objective, OutcomeConstraint
from api_schemas.recommendation import Recommendation, RecommendationQuery
from api_schemas.search_space import SearchSpace, SearchSpaceRequest
from api_schemas.studies import Budget, EarlyStopping, StudyCreate, StudyKind
from api_schemas.tasks import ScoreMetric
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import TrialState
from service.errors import WrongState
from service.models import Study, Trial
from service.studies import front_certainty, pareto_front, recommendation, repository


def recommend(session: Session, study: Study, query: RecommendationQuery) -> Recommendation:
    """Choose a point of the latest front by the rule that the query asks for.

    Raises:
        WrongState: If the front is empty.
        InvalidChoice: If the query does not fit the front.
    """
    front = repository.latest_front(session, study.id)
    if front is None or not front.member_trial_ids:
        raise WrongState(
            "The study has no front yet: ask again once a trial has succeeded within its limits."
        )
    objectives = [Objective.model_validate(item) for item in study.objectives]
    succeeded = repository.trials_in(session, study.id, [TrialState.SUCCEEDED])
    members = [trial for trial in succeeded if trial.id in set(front.member_trial_ids)]
    points = [recommendation.Point(trial.id, trial.number, trial.metrics) for trial in members]
    choice = recommendation.choose(objectives, points, query)
    chosen = members[choice.position]
    rows = _rows_behind_accuracy(session, study, chosen)
    probability, reason = _certainty(objectives, _feasible(study, succeeded), chosen, rows=rows)
    configuration = (
        None if chosen.configuration is None else TrialConfiguration.model_validate(chosen.configuration)
    )
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
        modules="" if configuration is None else describe_modules(configuration),
        configuration=configuration,
        lost=recommendation.lost_alternatives(objectives, points, choice.position),
        front_probability=probability,
        front_probability_reason=reason,
        artifacts=tuple(row.name for row in repository.artifacts_of(session, [chosen])[chosen.id]),
        study_file=_study_of(study, chosen, configuration),
    )


def _feasible(study: Study, trials: Sequence[Trial]) -> list[Trial]:
    constraints = [OutcomeConstraint.model_validate(item) for item in study.constraints]
    return [trial for trial in trials if pareto_front.satisfies(constraints, trial.metrics)]


def _certainty(
    objectives: Sequence[Objective], trials: Sequence[Trial], chosen: Trial, *, rows: int | None
) -> tuple[float | None, str]:
    if all(objective.metric in KNOWN_METRICS for objective in objectives):
        return 1.0, "Every objective is known exactly."
    errors = []
    for trial in trials:
        own = {objective.metric: _error(trial, objective.metric, rows=rows) for objective in objectives}
        unknown = [name for name, error in own.items() if error is None]
        if unknown:
            return None, (
                f"How far {unknown[0].replace('_', ' ')} may be off is not known for trial {trial.number}, "
                "which has one seed. More seeds tell: replicates of a study."
            )
        errors.append({name: error for name, error in own.items() if error is not None})
    probability = front_certainty.front_probability(
        objectives, [trial.metrics for trial in trials], errors, position=trials.index(chosen)
    )
    return probability, _basis(trials, rows=rows)


def _error(trial: Trial, metric: str, *, rows: int | None) -> float | None:
    if metric in KNOWN_METRICS:
        return 0.0
    found: Mapping[str, float] = trial.metric_standard_errors
    if metric in found:
        return found[metric]
    if metric == Metric.SCORE and rows is not None:
        return front_certainty.binomial_error(trial.metrics[metric], rows)
    return None


def _basis(trials: Sequence[Trial], *, rows: int | None) -> str:
    single = sum(not trial.metric_standard_errors for trial in trials)
    of_seeds, of_split = "the standard errors over seeds", f"the binomial error of {rows} validation texts"
    if not single:
        return f"From {of_seeds}."
    if single == len(trials):
        return f"From {of_split}."
    return f"From {of_seeds}; for trials with one seed, from {of_split}."


def _rows_behind_accuracy(session: Session, study: Study, trial: Trial) -> int | None:
    """Say how many texts each score is a share of; None where it is no share or nobody wrote it down."""
    if study.configuration is None:
        return None
    task = TrialConfiguration.model_validate(study.configuration).task
    if task.resolved_score is not ScoreMetric.ACCURACY:
        return None
    # Every trial of a study is scored on the same split.
    first = repository.replicates_of(session, [trial.id])[trial.id][0]
    rows = first.provenance.get("validation_rows")
    return rows if isinstance(rows, int) else task.validation_rows


def _study_of(study: Study, trial: Trial, configuration: TrialConfiguration | None) -> StudyCreate:
    return StudyCreate(
        display_name=f"{study.display_name[:150]}, trial {trial.number} again",
        kind=StudyKind(study.kind),
        configuration=configuration,
        search_space=SearchSpaceRequest(parameters=SearchSpace.model_validate(study.search_space).parameters),
        objectives=tuple(Objective.model_validate(item) for item in study.objectives),
        constraints=tuple(OutcomeConstraint.model_validate(item) for item in study.constraints),
        budget=Budget(trials=1),
        starting_points=(trial.parameters,),
        early_stopping=EarlyStopping.NEVER,
        replicates=study.replicates,
    )
