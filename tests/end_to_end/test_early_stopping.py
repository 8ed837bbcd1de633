"""Trials that learn nothing are stopped half-way, on the real server, model and text."""

import pytest

from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from paretune.client import Client
from paretune.local import Stack
from tests.end_to_end.stack import TINY, check_history, submit, wait_until_ended

pytestmark = pytest.mark.slow

CONFIGURATION = {
    **TINY,
    "task": {"name": "rotten-tomatoes", "train_rows": 128, "validation_rows": 128, "test_rows": 16},
    "training": {**TINY["training"], "epochs": 2},  # type: ignore[dict-item]
    "peft": {"first_active_layer": 5, "serial_adapter": {"bottleneck_size": 24}},
}
RATE = "training.learning_rate"


def test_trials_that_learn_nothing_are_stopped(shared_stack: tuple[Stack, Client]) -> None:
    """Eight trials learn; two with a learning rate of nearly zero end after half of their steps."""
    learning = [{RATE: 0.004 + 0.0005 * number} for number in range(8)]
    idle = [{RATE: 1e-9}, {RATE: 2e-9}]
    stack, client = shared_stack
    study = submit(
        client,
        configuration=CONFIGURATION,
        search_space={"parameters": [{"type": "float", "name": RATE, "low": 1e-9, "high": 0.01}]},
        budget={"trials": 10},
        starting_points=[*learning, *idle],
        early_stopping="rank",
    )
    ended = wait_until_ended(stack, client, study)
    assert ended.state is StudyState.SUCCEEDED
    check_history(stack, ended)
    trials = list(client.trials(study.id))
    front = {point.trial_id for point in client.pareto_front(study.id).points}
    assert [trial.state for trial in trials[8:]] == [TrialState.STOPPED_EARLY] * 2
    for trial in trials[8:]:
        assert [measurement.metrics["share"] for measurement in trial.measurements] == [0.5]
        assert trial.state_reason is not None
        assert "stopped after 50% of its training" in trial.state_reason
        assert (trial.artifacts, trial.test_metrics) == ((), {})
        assert trial.id not in front
