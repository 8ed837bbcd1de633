"""A study's recommendation, from its rows: the chosen trial, how sure it is, and how to train it again."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.module_description import describe_modules
from api_schemas.objectives import Metric, Objective, OutcomeConstraint
from api_schemas.recommendation import Recommendation, RecommendationQuery
from api_schemas.search_space import SearchSpace, SearchSpaceRequest
from api_schemas.studies import Budget, EarlyStopping, StudyCreate, StudyKind
from api_schemas.tasks import ScoreMetric
from api_schemas.trial_configuration import TrialConfiguration
from service.errors import WrongState
from service.models import Study, Trial
from service.studies import front_certainty, pareto_front, recommendation, repository
from service.studies.repository import Result

EXACT_METRICS = frozenset({Metric.TRAINABLE_PARAMETERS})


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
    members = repository.trials_by_id(session, front.member_trial_ids)
    points = [recommendation.Point(trial.id, trial.number, trial.metrics) for trial in members]
    choice = recommendation.choose(objectives, points, query)
    chosen = members[choice.position]
    rows = _rows_behind_accuracy(session, study, chosen)
    rivals = _feasible(study, repository.results_of(session, study.id))
    probability, reason = _certainty(objectives, rivals, chosen, rows=rows)
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


def _feasible(study: Study, results: list[Result]) -> list[Result]:
    constraints = [OutcomeConstraint.model_validate(item) for item in study.constraints]
    return [result for result in results if pareto_front.satisfies(constraints, result.metrics)]


def _certainty(
    objectives: Sequence[Objective], results: Sequence[Result], chosen: Trial, *, rows: int | None
) -> tuple[float | None, str]:
    if all(objective.metric in EXACT_METRICS for objective in objectives):
        return 1.0, "Every objective is known exactly."
    names: list[str] = [objective.metric for objective in objectives]
    errors: list[dict[str, float]] = []
    for result in results:
        own = _errors(result, names, rows=rows)
        if len(own) < len(names):
            unknown = next(name for name in names if name not in own)
            return None, (
                f"How far {unknown.replace('_', ' ')} may be off is not known for trial {result.number}, "
                "which has one seed. More seeds tell: replicates of a study."
            )
        errors.append(own)
    position = next(place for place, result in enumerate(results) if result.trial_id == chosen.id)
    probability = front_certainty.front_probability(
        objectives, [result.metrics for result in results], errors, position=position
    )
    return probability, _basis(results, rows=rows)


def _errors(result: Result, metrics: Sequence[str], *, rows: int | None) -> dict[str, float]:
    """Give the standard error of each metric, and leave out what is not known."""
    known = result.metric_standard_errors
    found = {
        name: 0.0 if name in EXACT_METRICS else known[name]
        for name in metrics
        if name in EXACT_METRICS or name in known
    }
    if Metric.SCORE in metrics and Metric.SCORE not in found and rows is not None:
        found[Metric.SCORE] = front_certainty.binomial_error(result.metrics[Metric.SCORE], rows)
    return found


def _basis(results: Sequence[Result], *, rows: int | None) -> str:
    single = sum(not result.metric_standard_errors for result in results)
    of_seeds, of_split = "the standard errors over seeds", f"the binomial error of {rows} validation texts"
    if not single:
        return f"From {of_seeds}."
    if single == len(results):
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
