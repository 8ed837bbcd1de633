"""The recommendation of a study as a client reads it: the trial, how sure it is, how to train it again."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from api_schemas.architecture import depth_caution
from api_schemas.objectives import Objective
from api_schemas.pareto import FrontBasis
from api_schemas.peft.description import describe_canonical
from api_schemas.recommendation import (
    AgainstDefault,
    Recommendation,
    RecommendationQuery,
    RecommendationRule,
)
from api_schemas.search_space import SearchSpaceRequest
from api_schemas.studies import Budget, EarlyStopping, StudyCreate, StudyKind
from api_schemas.trial_configuration import TrialConfiguration
from service.api.read_models.evidence import Evidence, believed_evidence, observed_evidence
from service.api.read_models.trials import trial_configuration
from service.errors import WrongState
from service.storage import queries, typed_study
from service.storage.models import Study, Trial
from service.trials import beliefs, recommendation
from service.trials.default_protection import protect
from service.trials.recommendation import Choice

NOTHING_CHOSEN = "No trial is recommended."
BELIEVED_NUMBERS = "Noisy metrics are as the models believe them."


def recommend(session: Session, study: Study, query: RecommendationQuery) -> Recommendation:
    """Choose a point of the front by the rule that the query asks for; none if it has no clear knee.

    The front is the believed one where metrics are noisy and there is a model.

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
    belief = beliefs.belief_of(session, study)
    if belief is None:
        evidence = observed_evidence(session, study, front)
    else:
        evidence = believed_evidence(session, study, belief)
    choice, against = _choose(session, objectives, evidence, query)
    if choice.position is None:
        return _nothing(study, evidence, query, reason=choice.reason)
    return _chosen(session, study, evidence, query, choice=choice, against=against)


def _choose(
    session: Session, objectives: Sequence[Objective], evidence: Evidence, query: RecommendationQuery
) -> tuple[Choice, AgainstDefault | None]:
    members = evidence.points[: evidence.members]
    choice = recommendation.choose(objectives, members, query, floor=evidence.floor)
    default = evidence.default
    # What somebody weighs is a wish of their own; the default has no say in it.
    if default is None or query.rule is RecommendationRule.WEIGHTS:
        return choice, None
    metrics = evidence.points[default.position].metrics
    if not all(bound.holds(metrics[bound.metric]) for bound in query.bounds):
        return choice, None
    is_smaller = choice.position is not None and _keeps_a_part(
        session, evidence.points[choice.position].trial_id
    )
    return protect(objectives, evidence.points, choice, default, is_smaller=is_smaller)


def _keeps_a_part(session: Session, trial_id: str) -> bool:
    """Return whether a trial leaves out something of its backbone."""
    (trial,) = queries.trials_by_id(session, [trial_id])
    configuration = trial_configuration(trial)
    return configuration is not None and configuration.architecture is not None


def _nothing(study: Study, evidence: Evidence, query: RecommendationQuery, *, reason: str) -> Recommendation:
    members = evidence.points[: evidence.members]
    return Recommendation(
        study_id=study.id,
        rule=query.rule,
        **_basis(evidence),
        reason=_worded(reason, evidence),
        trial_id=None,
        number=None,
        metrics={},
        metric_standard_errors={},
        test_metrics={},
        parameters={},
        modules="",
        configuration=None,
        ranges=recommendation.front_ranges(typed_study.objectives(study), members),
        against_default=None,
        lost=(),
        front_probability=None,
        front_probability_reason=NOTHING_CHOSEN,
        artifacts=(),
        study_file=None,
    )


def _chosen(
    session: Session,
    study: Study,
    evidence: Evidence,
    query: RecommendationQuery,
    *,
    choice: Choice,
    against: AgainstDefault | None,
) -> Recommendation:
    assert choice.position is not None  # noqa: S101  the caller has seen to that
    objectives, members = typed_study.objectives(study), evidence.points[: evidence.members]
    (chosen,) = queries.trials_by_id(session, [evidence.points[choice.position].trial_id])
    probability, why = evidence.certainty(chosen.id)
    configuration = trial_configuration(chosen)
    return Recommendation(
        study_id=study.id,
        rule=query.rule,
        **_basis(evidence),
        reason=_worded(choice.reason, evidence) + _caution(study, configuration),
        trial_id=chosen.id,
        number=chosen.number,
        metrics=chosen.metrics,
        metric_standard_errors=chosen.metric_standard_errors,
        believed={} if evidence.belief is None else evidence.belief.trials.predictions(chosen.id),
        test_metrics=chosen.test_metrics,
        parameters=chosen.parameters,
        modules="" if configuration is None else describe_canonical(configuration),
        configuration=configuration,
        ranges=recommendation.front_ranges(objectives, members),
        against_default=against,
        lost=recommendation.lost_alternatives(objectives, evidence.points, choice.position),
        front_probability=probability,
        front_probability_reason=why,
        artifacts=tuple(row.name for row in queries.artifacts_of(session, [chosen])[chosen.id]),
        study_file=_study_of(study, chosen, configuration),
    )


def _basis(evidence: Evidence) -> dict[str, Any]:
    if evidence.belief is None:
        return {"by": FrontBasis.OBSERVED}
    return {"by": FrontBasis.BELIEVED, "believed_sequence": evidence.belief.sequence}


def _worded(reason: str, evidence: Evidence) -> str:
    return reason if evidence.belief is None else f"{reason} {BELIEVED_NUMBERS}"


def _caution(study: Study, configuration: TrialConfiguration | None) -> str:
    shape = typed_study.backbone_shape(study)
    if configuration is None or shape is None:
        return ""
    caution = depth_caution(configuration.architecture, shape)
    return "" if caution is None else f" {caution}"


def _study_of(study: Study, trial: Trial, configuration: TrialConfiguration | None) -> StudyCreate:
    if configuration is not None:
        configuration = configuration.model_copy(update={"task": configuration.task.as_posted()})
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
