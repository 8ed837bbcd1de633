"""The model card says how many training runs its numbers come from."""

from paretune.export import model_card
from tests.paretune.trials import seed, study, trial


def test_a_single_run_is_called_one() -> None:
    """No spread is known, and none is shown."""
    card = model_card(study(), trial(1, score=0.75, parameters=200))
    assert "One training run (seed 0)." in card
    assert "| validation | score | 0.75 |" in card


def test_means_name_their_seeds_and_whose_weights_these_are() -> None:
    """The weights are those of the first seed, the numbers are not."""
    twice = trial(
        1,
        score=0.75,
        parameters=200,
        metric_standard_errors={"score": 0.01},
        replicates=[seed(0, score=0.76), seed(1, score=0.74)],
    )
    card = model_card(study(), twice)
    assert "Means of 2 training runs (seeds 0, 1)" in card
    assert "The weights here are those of seed 0." in card
    assert "| validation | score | 0.75 ± 0.01 |" in card
