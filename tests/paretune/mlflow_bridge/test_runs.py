"""What a run says about a trial."""

import pytest

from api_schemas.trials import TrialState
from paretune.mlflow_bridge import runs
from tests.paretune.trials import seed, trial


def test_every_state_but_queued_has_a_status() -> None:
    """A trial that waits has no run."""
    assert set(TrialState) - set(runs.STATUS) == {TrialState.QUEUED}


@pytest.mark.parametrize(
    "changes", [{"on_front": False}, {"state": TrialState.FAILED}, {"metrics": {"score": 0.5}}]
)
def test_what_changes_changes_the_hash(changes: dict[str, object]) -> None:
    """Else its run would stay as it is."""
    before = trial(1, score=0.75, parameters=200)
    assert runs.content_of(before) == runs.content_of(trial(1, score=0.75, parameters=200))
    assert runs.content_of(before.model_copy(update=changes)) != runs.content_of(before)


def test_numbers_say_what_they_are() -> None:
    """The test split and standard errors stand beside the result, curves step by step."""
    shown = trial(
        1, score=0.75, parameters=200, metric_standard_errors={"score": 0.01},
        replicates=[seed(0, score=0.7), seed(1, score=0.8)],
        measurements=[{"step": 1, "metrics": {"score": 0.5}}, {"step": 2, "metrics": {"score": 0.7}}],
    )  # fmt: skip
    assert runs.metrics_of(shown) == {
        "score": 0.75, "trainable_parameters": 200, "test/score": 0.74, "standard_error/score": 0.01,
    }  # fmt: skip
    assert list(runs.curves_of(shown)) == [("curve/score", 1, 0.5), ("curve/score", 2, 0.7)]


def test_a_tag_is_never_longer_than_a_database_takes() -> None:
    """A reason may be a whole traceback."""
    shown = trial(1, score=0.75, parameters=200, state="FAILED", state_reason="x" * 9000)
    tags = runs.tags_of(shown)
    assert len(tags["paretune.state_reason"]) == runs.LONGEST_TAG
    assert (tags[runs.TRIAL_ID], tags["paretune.on_front"], tags["paretune.provenance.torch"]) == (
        "trl_1",
        "true",
        "2.13.0",
    )
