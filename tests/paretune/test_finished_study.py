"""What `paretune run` ends with; the rest of it is in `test_cli`."""

from api_schemas.recommendation import AgainstDefault
from paretune.finished_study import against_default


def against(**changes: object) -> AgainstDefault:
    return AgainstDefault.model_validate(
        {
            "metric": "score",
            "default_trial_id": "trl_0",
            "default_number": 0,
            "chosen_trial_id": "trl_7",
            "chosen_number": 7,
            "difference": 0.031,
            "standard_error": 0.01,
            "probability_better": 0.9712,
            "trainings_to_be_sure": 0,
            "set_aside": False,
            **changes,
        }
    )


def test_the_chance_against_the_default_is_one_sentence() -> None:
    """With the trials and the difference; certainty has no fourth digit."""
    said = against_default(against())
    assert said == (
        "Chance that trial 7 is better in score than the default, LoRA 8 (trial 0): 0.971 (+0.031)."
    )
    assert ": 0.999 (" in against_default(against(probability_better=1.0))


def test_a_chance_that_nobody_knows_is_not_made_up() -> None:
    """One seed each says nothing of how far a value is off."""
    assert "nobody knows" in against_default(against(probability_better=None, standard_error=None))


def test_the_default_is_not_compared_with_itself() -> None:
    """It may be the recommendation."""
    assert against_default(against(chosen_number=0)).startswith("It is the default")
