"""What a recommendation is chosen by: the points of a front, how sure they are, and what they must beat."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from api_schemas.objectives import SCORE_STANDARD_ERROR, ConstraintOp, Metric, Objective
from api_schemas.tasks import ScoreMetric
from service.noise import Noise, noise_of
from service.storage import queries, typed_study
from service.storage.models import StoredFront, Study
from service.studies.reference_trials import ReferenceTrials, reference_trials
from service.trials import front_certainty
from service.trials.beliefs import Belief
from service.trials.default_protection import Default, Lead
from service.trials.pareto_front import satisfies
from service.trials.recommendation import Floor, Point
from service.trials.results import ResultColumns, result_columns


@dataclass(frozen=True)
class Evidence:
    """The first `members` points are the front; behind them stands the default, if it is not one of them.

    `belief` is what their numbers are taken from; None if they are as measured.
    """

    points: Sequence[Point]
    members: int
    floor: Floor | None
    default: Default | None
    certainty: Callable[[str], tuple[float | None, str]]
    """For a trial's id, the chance that it truly is on the front, and what that rests on."""
    belief: Belief | None = None


def observed_evidence(session: Session, study: Study, front: StoredFront) -> Evidence:
    """Return the evidence of what was measured; `front` is the latest, and not empty."""
    members = queries.trials_by_id(session, front.member_trial_ids)
    named = [*typed_study.named_metrics(study), SCORE_STANDARD_ERROR]
    measured = result_columns(session, study.id, named)
    feasible = _feasible(study, measured)
    noise = _noise(session, study, feasible)
    points = [Point(trial.id, trial.number, trial.metrics) for trial in members]
    certainty = partial(_certainty, typed_study.objectives(study), feasible, noise)
    objective = score_objective(study)
    if objective is None:
        return Evidence(points, len(members), None, None, certainty)
    references = reference_trials(session, study)
    floor = _floor(objective, measured, references)
    default_id = references.default
    if default_id is None or default_id not in feasible.trial_ids:
        return Evidence(points, len(members), floor, None, certainty)
    if default_id not in front.member_trial_ids:
        (default,) = queries.trials_by_id(session, [default_id])
        points.append(Point(default.id, default.number, default.metrics))
    ids = [point.trial_id for point in points]
    position = ids.index(default_id)
    lead_of = partial(_lead, objective, feasible, noise, ids, position)
    return Evidence(points, len(members), floor, Default(position, objective.metric, lead_of), certainty)


def believed_evidence(session: Session, study: Study, belief: Belief) -> Evidence:
    """Return the evidence of what the models believe."""
    points = _believed_points(session, belief, belief.members)
    certainty = partial(_drawn_certainty, belief, study.front_sequence)
    objective = score_objective(study)
    if objective is None:
        return Evidence(points, len(points), None, None, certainty, belief)
    believed = belief.trials
    head_only = reference_trials(session, study).head_only
    scores = [
        mean
        for trial_id, mean in zip(believed.ids, believed.means[objective.metric], strict=True)
        if trial_id in head_only
    ]
    best = max if objective.sign > 0 else min
    floor = Floor(objective.metric, best(scores)) if scores else None
    default = _believed_default(session, study, belief, objective, points)
    return Evidence(points, len(belief.members), floor, default, certainty, belief)


def _believed_points(session: Session, belief: Belief, ids: Sequence[str]) -> list[Point]:
    trials = queries.trials_by_id(session, ids)
    return [Point(trial.id, trial.number, belief.trials.metrics_of(trial)) for trial in trials]


def _believed_default(
    session: Session, study: Study, belief: Belief, objective: Objective, points: list[Point]
) -> Default | None:
    """Return the default, appended to the points if it is none of them; None if it breaks a limit."""
    believed = belief.trials
    default_id, deviations = believed.default_trial_id, believed.lead_deviations
    if default_id is None or deviations is None:
        return None
    (trial,) = queries.trials_by_id(session, [default_id])
    if not satisfies(typed_study.constraints(study), trial.metrics):
        return None
    if default_id not in belief.members:
        points.extend(_believed_points(session, belief, [default_id]))
    position = [point.trial_id for point in points].index(default_id)
    # An observation is the mean over the seeds that every trial of the study gets.
    noise = None if believed.noise is None else believed.noise * study.replicates**0.5

    def lead_of(row: int) -> Lead:
        scores = [points[one].metrics[objective.metric] for one in (row, position)]
        deviation = deviations[believed.rows[points[row].trial_id]]
        return Lead(objective.sign * (scores[0] - scores[1]), deviation, noise)

    return Default(position, objective.metric, lead_of)


def _drawn_certainty(belief: Belief, results: int, trial_id: str) -> tuple[float | None, str]:
    so_far = f" of {results}" if results > belief.sequence else ""
    return belief.trials.front_probability(trial_id), (
        f"From joint draws of the models after {belief.sequence}{so_far} results."
    )


def score_objective(study: Study) -> Objective | None:
    """Return the objective that is a score of the service's own, if the study has it."""
    found = (item for item in typed_study.objectives(study) if item.of_the_service)
    return next((item for item in found if item.metric == Metric.SCORE), None)


def _feasible(study: Study, results: ResultColumns) -> ResultColumns:
    constraints = typed_study.constraints(study)
    kept = np.ones(len(results.numbers), dtype=np.bool_)
    for constraint in constraints:
        values = results.values[constraint.metric]
        kept &= (
            values <= constraint.bound
            if constraint.op is ConstraintOp.AT_MOST
            else values >= constraint.bound
        )
    return results.where(kept) if constraints else results


def _floor(objective: Objective, results: ResultColumns, references: ReferenceTrials) -> Floor | None:
    heads = [trial_id in references.head_only for trial_id in results.trial_ids]
    if not any(heads):
        return None
    values = results.values[objective.metric][heads]
    return Floor(objective.metric, float(objective.sign * (objective.sign * values).max()))


def _lead(
    objective: Objective,
    results: ResultColumns,
    noise: Mapping[str, Noise | None],
    ids: Sequence[str],
    default: int,
    position: int,
) -> Lead:
    pair = [results.trial_ids.index(ids[one]) for one in (position, default)]
    values = results.values[objective.metric][pair]
    difference = float(objective.sign * (values[0] - values[1]))
    known = noise[objective.metric]
    if known is None:
        return Lead(difference, None, None)
    from_seed_to_seed = math.sqrt(known.from_seed_to_seed[pair].mean())
    return Lead(difference, math.sqrt(known.of_mean[pair].sum()), from_seed_to_seed)


def _certainty(
    objectives: Sequence[Objective],
    results: ResultColumns,
    noise: Mapping[str, Noise | None],
    trial_id: str,
) -> tuple[float | None, str]:
    if all(objective.is_known for objective in objectives):
        return 1.0, "Every objective is known exactly."
    errors = {}
    for name, known in noise.items():
        if known is None:
            return None, (
                f"How far {name.replace('_', ' ')} may be off is not known: too few trials have several "
                "seeds. More seeds tell: replicates of a study."
            )
        errors[name] = np.sqrt(known.of_mean)
    probability = front_certainty.front_probability(
        objectives, results.values, errors, position=results.trial_ids.index(trial_id)
    )
    return probability, _basis(results, noise)


def _noise(session: Session, study: Study, results: ResultColumns) -> dict[str, Noise | None]:
    """Return what is known of the noise of each objective at each trial."""
    several = queries.seeds_of(session, study.id)
    seeds = np.array([several.get(trial_id, 1) for trial_id in results.trial_ids], dtype=np.float64)
    unknown = np.full_like(seeds, np.nan)
    return {
        objective.metric: Noise(*[np.zeros_like(seeds)] * 3)
        if objective.is_known
        else noise_of(
            seeds=seeds,
            errors=results.standard_errors[objective.metric],
            row_errors=_row_errors(session, study, results)
            if objective == score_objective(study)
            else unknown,
        )
        for objective in typed_study.objectives(study)
    }


def _row_errors(session: Session, study: Study, results: ResultColumns) -> NDArray[np.float64]:
    """Return the error of each score for its rows; of older trials, which have none, that of an accuracy."""
    found = results.values[SCORE_STANDARD_ERROR]
    if not len(found) or not np.isnan(found).all():
        return found
    rows = _rows_behind_accuracy(session, study, results.trial_ids[0])
    scores = results.values[Metric.SCORE]
    return found if rows is None else front_certainty.binomial_errors(scores, rows)


def _basis(results: ResultColumns, noise: Mapping[str, Noise | None]) -> str:
    of_rows = any(known is not None and known.of_its_rows.any() for known in noise.values())
    if not of_rows:
        return "From the spread over seeds."
    seeds = (
        "how far seeds move such a score elsewhere" if results.has_one_seed.all() else "the spread over seeds"
    )
    return f"From the error of the validation texts, and {seeds}."


def _rows_behind_accuracy(session: Session, study: Study, trial_id: str) -> int | None:
    """Return how many texts each score is a share of; None if it is no share or they are unknown."""
    configuration = typed_study.configuration(study)
    if configuration is None:
        return None
    task = configuration.task
    if task.resolved_score is not ScoreMetric.ACCURACY:
        return None
    # The first seed is that of every trial, so are its rows; folds differ by one row, or by a group.
    first = queries.replicates_of(session, [trial_id])[trial_id][0]
    rows = first.provenance.get("validation_rows")
    if isinstance(rows, int):
        return rows
    return task.validation_rows if task.folds is None else None
