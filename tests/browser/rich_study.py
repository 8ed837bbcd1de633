"""A study with something to show in every plot: results, failures, beliefs, slices, curves, two workers."""

from datetime import timedelta

from sqlalchemy import select

from api_schemas.importance import Importance, ObjectiveImportance, ParameterImportance
from api_schemas.log_tail import LastLines
from api_schemas.proposals import Explanation, Prediction
from api_schemas.search_space import Parameterization
from api_schemas.slices import Slice
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.storage import queries
from service.storage.database import transaction
from service.storage.models import Event, Study
from service.suggestions.parameter_importance import store_weighing
from service.trials import leases
from service.trials.beliefs import Belief, BelievedTrials, record_belief
from tests.browser.studies import HEAD_ONLY, add_stopped, create_study, queue_trial

SERIAL = "peft.serial_adapter.bottleneck_size"
PARALLEL = "peft.parallel_adapter.bottleneck_size"
SIZES = (0, 1, 3, 6, 12, 24)
SAID = LastLines("step 1\n<img src=x onerror=alert(1)>\nOSError: the disk is full", 1234)
BELIEVED_DROP = 0.015
EXPLAINED = Explanation(
    predictions={
        "score": Prediction(mean=0.79, standard_deviation=0.01),
        "trainable_parameters": Prediction(mean=30_000, standard_deviation=0),
    }
)
ALONG = Slice(
    metric="score", parameter=SERIAL, values=SIZES, means=(0.7, 0.72, 0.75, 0.77, 0.78, 0.781),
    lower=(0.69, 0.71, 0.74, 0.765, 0.775, 0.776), upper=(0.71, 0.73, 0.76, 0.775, 0.785, 0.786), exact=False,
    through={SERIAL: 24},
)  # fmt: skip
MEANS = tuple(0.7 + 0.005 * cell for cell in range(12))
OVER = Slice(
    metric="score",
    parameter=SERIAL,
    second="peft.active_layers.5",
    values=SIZES,
    second_values=(False, True),
    means=MEANS,
    lower=tuple(mean - 0.01 for mean in MEANS),
    upper=tuple(mean + 0.01 for mean in MEANS),
    exact=False,
    through={SERIAL: 24},
)


def rich_study(server_url: str, **changes: object) -> str:
    """Return the id of a study with 12 results, two infeasible trials, one stopped and one that waits."""
    study_id = create_study(server_url, budget={"trials": 30}, parallelism=30, **changes)
    _result(study_id, HEAD_ONLY, 0.68, 770, worker="cpu-1")
    for place in range(11):
        layers = {f"peft.active_layers.{layer}": layer >= place % 6 for layer in range(6)}
        parameters: Parameterization = {**layers, SERIAL: SIZES[1 + place % 5], PARALLEL: SIZES[place % 3]}
        trained = 2_000 + 9_000 * place
        _result(
            study_id,
            parameters,
            0.70 + 0.01 * (place % 7) + 0.002 * place,
            trained,
            worker=f"cpu-{1 + place % 2}",
        )
    add_stopped(study_id, ({"score": 0.6}, {"score": 0.61}), reason="2 % chance of joining the front")
    for gigabytes in (2, 3):
        queue_trial(study_id, {SERIAL: 24})
        _end(
            TrialReport(state=TrialState.INFEASIBLE, reason=f"out-of-memory: {gigabytes} GiB asked for"),
            "cpu-1",
        )
    queue_trial(study_id, {SERIAL: 24})
    _end(TrialReport(state=TrialState.FAILED, reason="the disk is full"), "cpu-2", said=SAID)
    believe(study_id, "score")
    _explain(study_id)
    _spread_in_time(study_id)
    return study_id


def _result(study_id: str, parameters: Parameterization, score: float, trained: int, *, worker: str) -> None:
    queue_trial(study_id, parameters)
    metrics = {"score": score, "trainable_parameters": float(trained), "latency_ms": 4.0 + trained / 50_000}
    report = TrialReport(state=TrialState.SUCCEEDED, metrics=metrics, test_metrics={"score": score - 0.01})
    _end(report, worker, scores=(score - 0.1, score - 0.02, score))


def _end(
    report: TrialReport, worker: str, *, scores: tuple[float, ...] = (), said: LastLines | None = None
) -> None:
    claimed = leases.claim(worker)
    assert claimed is not None
    if said is not None:
        leases.store_log(claimed.trial_id, claimed.attempt, said)
    for step, score in enumerate(scores, start=1):
        metrics = {"score": score, "loss": 1 - score}
        leases.record_measurement(claimed.trial_id, claimed.attempt, Measurement(step=step, metrics=metrics))
    leases.complete(claimed.trial_id, claimed.attempt, report)


def believe(study_id: str, metric: str) -> None:
    """Store what models would believe of a noisy metric of the front; one member stays on it."""
    with transaction() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        front = queries.latest_front(session, study)
        assert front is not None
        members = queries.trials_by_id(session, front.member_trial_ids)
        beliefs = BelievedTrials(
            ids=[trial.id for trial in members],
            means={metric: [trial.metrics[metric] - BELIEVED_DROP for trial in members]},
            deviations={metric: [0.01] * len(members)},
            front_probabilities=[0.7] * len(members),
            default_trial_id=None,
            lead_deviations=None,
            noise=None,
        )
        record_belief(session, study, Belief(study.front_sequence, [members[-1].id], 0.2, beliefs))


def _explain(study_id: str) -> None:
    """Store what models would: importance, slices, and what is expected of what waits."""
    with transaction() as session:
        weights = [ParameterImportance(name=name, total_effect=0.4) for name in (SERIAL, PARALLEL)]
        objective = ObjectiveImportance(metric="score", parameters=tuple(weights))
        store_weighing(session, study_id, Importance(observations=12, objectives=(objective,)), [ALONG, OVER])
        for trial in queries.list_trials(session, study_id)[-3:]:
            trial.explanation = EXPLAINED.model_dump(mode="json")


def _spread_in_time(study_id: str) -> None:
    """Let what happened within a second have taken minutes."""
    with transaction() as session:
        for event in session.scalars(select(Event).where(Event.study_id == study_id)):
            event.recorded_at += timedelta(seconds=20 * event.sequence)
