"""Between the measurements in the database and the rules that judge a running trial.

A verdict is kept among the metrics of the measurement that it followed, so that a repeated report gets
the same answer and everybody can see why a trial was stopped.
"""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from api_schemas.objectives import Metric
from api_schemas.studies import EarlyStopping
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.early_stopping.stopping_rule import SHARE, Curve, Reason, Verdict, judge
from service.storage import queries, typed_study
from service.storage.models import Replicate, Study, Trial

STOP = "stop"
PREDICTED_SCORE = "predicted_score"
PREDICTED_DEVIATION = "predicted_score_deviation"
CHANCE = "chance"


def judged(session: Session, study: Study, trial: Trial, measurement: Measurement) -> dict[str, float]:
    """Judge a running trial; give what goes beside the measurement: the prediction, and 1 for "stop"."""
    rule = EarlyStopping(study.early_stopping)
    needed = {SHARE, "loss", "train_loss", *typed_study.named_metrics(study)}
    if rule is EarlyStopping.NEVER or not needed <= measurement.metrics.keys():
        return {}
    curves = queries.curves_of(session, study.id, needed)
    before = [metrics for metrics in curves.pop(trial.id, []) if metrics[SHARE] < measurement.metrics[SHARE]]
    finals = {
        other.id: other.metrics for other in queries.trials_in(session, study.id, [TrialState.SUCCEEDED])
    }
    verdict = judge(
        Curve((*before, measurement.metrics)),
        [Curve(metrics, finals.get(other)) for other, metrics in curves.items()],
        objectives=typed_study.objectives(study),
        constraints=typed_study.constraints(study),
        reference_point=study.reference_point,
        rule=rule,
    )
    return _beside(verdict)


def told_to_stop(metrics: Mapping[str, float]) -> bool:
    """Return whether the trial was told to stop after the measurement with these metrics."""
    return bool(metrics.get(STOP))


def explained(session: Session, replicate: Replicate, report: TrialReport) -> TrialReport:
    """Complete the report of a stopped attempt: its last measurement, and the sentence that says why."""
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


def taught(trial: Trial) -> dict[str, float]:
    """Return what a stopped trial teaches: its measured costs, and as its score the predicted one."""
    score = trial.metrics.get(PREDICTED_SCORE, trial.metrics[Metric.SCORE])
    return {**trial.metrics, Metric.SCORE: score}


def _beside(verdict: Verdict) -> dict[str, float]:
    found = {STOP: 1.0} if verdict.stop else {}
    if verdict.reason is Reason.HYPERVOLUME and verdict.prediction and verdict.chance is not None:
        found |= {
            PREDICTED_SCORE: verdict.prediction.location,
            PREDICTED_DEVIATION: verdict.prediction.standard_deviation,
            CHANCE: verdict.chance,
        }
    return found
