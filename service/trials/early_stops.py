"""Apply the early stopping rules to the measurements of a running trial.

A verdict is stored with the metrics of its measurement, so that a repeated report gets the same answer and
clients can see why a trial was stopped.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from api_schemas.objectives import Metric
from api_schemas.studies import EarlyStopping
from api_schemas.trials import SHARE, Measurement, TrialReport, TrialState
from service.early_stopping import stopping_rule
from service.early_stopping.stopping_rule import Curve, Reason, Verdict
from service.storage import curve_rows, queries, typed_study
from service.storage.models import Replicate, Study, Trial

STOP = "stop"
PREDICTED_SCORE = "predicted_score"
PREDICTED_DEVIATION = "predicted_score_deviation"
CHANCE = "chance"


def judge(session: Session, study: Study, replicate: Replicate, measurement: Measurement) -> dict[str, float]:
    """Judge a running first seed. Return what to store with the measurement: the prediction, 1 for "stop".

    What cannot stop a trial here reads no curves: measurements are stored under the study's row lock.
    """
    rule = EarlyStopping(study.early_stopping)
    named = typed_study.named_metrics(study)
    needed = tuple(dict.fromkeys((SHARE, "loss", "train_loss", *named)))
    if rule is EarlyStopping.NEVER or not measurement.metrics.keys() >= set(needed):
        return {}
    share, objectives = measurement.metrics[SHARE], typed_study.objectives(study)
    finished = queries.count_in(session, study.id, [TrialState.SUCCEEDED])
    if not stopping_rule.may_stop(share, finished=finished, objectives=objectives, rule=rule):
        return {}
    others = curve_rows.curves_at(
        session,
        study.id,
        share,
        needed=needed,
        ends=named,
        besides=replicate.trial_id,
        finished_only=share < stopping_rule.RANK_FROM_SHARE,
    )
    verdict = stopping_rule.judge(
        Curve((*_measured_before(session, replicate, needed, share=share), measurement.metrics)),
        [Curve(*other) for other in others],
        objectives=objectives,
        constraints=typed_study.constraints(study),
        reference_point=study.reference_point,
        rule=rule,
    )
    return _metrics_of(verdict)


def says_stop(metrics: Mapping[str, float]) -> bool:
    """Return whether the stored metrics of a measurement say that the trial should stop."""
    return bool(metrics.get(STOP))


def explain_stop(session: Session, replicate: Replicate, report: TrialReport) -> TrialReport:
    """Return the report of a stopped attempt with its last measurement and the reason in a sentence."""
    if replicate.number != 0:
        reason = "only the first seed of a trial may be stopped early"
        return report.model_copy(update={"state": TrialState.FAILED, "reason": reason})
    attempts = {replicate.trial_id: replicate.attempt}
    measured = queries.measurements_of(session, attempts)[replicate.trial_id]
    metrics = dict(measured[-1].metrics) if measured else {}
    share = metrics.get(SHARE, 0.0)
    if CHANCE in metrics:
        why = f"its chance of adding hypervolume was {metrics[CHANCE]:.1%}"
    else:
        why = "at least half of the trials were ahead of it"
    return report.model_copy(
        update={"metrics": metrics, "reason": f"stopped after {share:.0%} of its training: {why}"}
    )


def metrics_to_learn(trial: Trial) -> dict[str, float]:
    """Return what the optimiser learns from a trial; as the score of a stopped one, the predicted one."""
    if trial.state is not TrialState.STOPPED_EARLY:
        return trial.metrics
    score = trial.metrics.get(PREDICTED_SCORE, trial.metrics[Metric.SCORE])
    return {**trial.metrics, Metric.SCORE: score}


def _measured_before(
    session: Session, replicate: Replicate, needed: Sequence[str], *, share: float
) -> list[dict[str, float]]:
    attempts = {replicate.trial_id: replicate.attempt}
    measured = queries.measurements_of(session, attempts)[replicate.trial_id]
    complete = [one.metrics for one in measured if one.metrics.keys() >= set(needed)]
    return [metrics for metrics in complete if metrics[SHARE] < share]


def _metrics_of(verdict: Verdict) -> dict[str, float]:
    metrics = {STOP: 1.0} if verdict.stop else {}
    if verdict.reason is Reason.HYPERVOLUME and verdict.prediction and verdict.chance is not None:
        metrics |= {
            PREDICTED_SCORE: verdict.prediction.location,
            PREDICTED_DEVIATION: verdict.prediction.standard_deviation,
            CHANCE: verdict.chance,
        }
    return metrics
