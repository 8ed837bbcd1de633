"""What a recommendation is chosen by: the points of a front, how sure they are, and what they must beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from api_schemas.objectives import ConstraintOp, Metric, Objective
from api_schemas.tasks import ScoreMetric
from api_schemas.trials import TrialState
from service.storage import queries, typed_study
from service.storage.models import StoredFront, Study, Trial
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
    measured = result_columns(session, study.id, typed_study.named_metrics(study))
    feasible = _feasible(study, measured)
    rows = _rows_behind_accuracy(session, study, members[0])
    points = [Point(trial.id, trial.number, trial.metrics) for trial in members]
    certainty = partial(_certainty, typed_study.objectives(study), feasible, rows)
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
    lead_of = partial(_lead, session, objective, feasible, rows, ids, position)
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
    session: Session,
    objective: Objective,
    results: ResultColumns,
    rows: int | None,
    ids: Sequence[str],
    default: int,
    position: int,
) -> Lead:
    pair = [results.trial_ids.index(ids[one]) for one in (position, default)]
    values = results.values[objective.metric][pair]
    errors = _errors(results, objective, rows=rows)[pair]
    difference = float(objective.sign * (values[0] - values[1]))
    if np.isnan(errors).any():
        return Lead(difference, None, None)
    replicates = queries.replicates_of(session, [ids[position], ids[default]])
    seeds = [
        sum(one.state is TrialState.SUCCEEDED for one in replicates[ids[place]])
        for place in (position, default)
    ]
    noise = float(np.sqrt((errors**2 * seeds).mean()))
    return Lead(difference, float(np.hypot(*errors)), noise)


def _certainty(
    objectives: Sequence[Objective], results: ResultColumns, rows: int | None, trial_id: str
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
        objectives, results.values, errors, position=results.trial_ids.index(trial_id)
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
    # The first seed is that of every trial, so are its rows; folds differ by one row, or by a group.
    first = queries.replicates_of(session, [trial.id])[trial.id][0]
    rows = first.provenance.get("validation_rows")
    if isinstance(rows, int):
        return rows
    return task.validation_rows if task.folds is None else None
