"""Objectives of Optuna beside those of a study of ours."""

import pytest
from optuna.distributions import CategoricalDistribution

from api_schemas.ask_and_tell import ImportedObservation
from api_schemas.objectives import KNOWN_METRICS
from paretune.errors import BridgeError
from paretune.optuna_bridge.observations import read_observation
from paretune.optuna_bridge.targets import existing_study, new_study
from tests.paretune.optuna_bridge.past_studies import past_study, past_trial
from tests.paretune.trials import study

COST_AND_GAIN = [{"metric": "cost", "direction": "minimize"}, {"metric": "gain", "direction": "maximize"}]

SCORE = {"metric": "score", "direction": "maximize"}
LAYER = "peft.active_layers.0"
SWITCH = CategoricalDistribution([False, True])


@pytest.mark.parametrize(
    ("metrics", "directions", "why"),
    [
        (
            ("cost", "profit"),
            ("minimize", "maximize"),
            "has minimize cost, maximize gain; .* maximize profit",
        ),
        (("cost", "gain"), ("minimize", "minimize"), "objectives differ"),
        (None, ("minimize",), "objectives differ"),
        (("cost", "cost"), ("minimize", "maximize"), "have one name"),
        (("c" * 65, "gain"), ("minimize", "maximize"), "may have 64 characters"),
    ],
)
def test_other_objectives_are_refused(
    metrics: tuple[str, ...] | None, directions: tuple[str, ...], why: str
) -> None:
    """Both sides are named."""
    past = past_trial([1.0] * len(directions), x=0.5)
    source = past_study(past, metrics=metrics, directions=directions)
    with pytest.raises(BridgeError, match=why):
        existing_study(source, source.trials, study(configuration=None, objectives=COST_AND_GAIN))


def test_seven_objectives_are_refused() -> None:
    """What no study of ours can weigh is said before anything is made."""
    source = past_study(past_trial([1.0] * 7, x=0.5), directions=("minimize",) * 7, metrics=None)
    with pytest.raises(BridgeError, match="No study can be made of 'past':\n  objectives"):
        new_study(source, source.trials, budget=1)


def test_a_mark_of_something_else_is_refused() -> None:
    """Never guessed at."""
    source = past_study(past_trial([1.0, 1.0], x=0.5))
    source.set_user_attr("paretune:study", {"objectives": []})
    with pytest.raises(BridgeError, match="not what an export of this version writes"):
        new_study(source, source.trials, budget=1)


def test_objectives_may_stand_in_another_order() -> None:
    """They are matched by name; a parameter count need not be there, for the service computes it."""
    source = past_study(
        past_trial([1.0, 1.0], x=0.5), metrics=("Gain", "cost"), directions=("maximize", "minimize")
    )
    ours = study(configuration=None, objectives=COST_AND_GAIN)
    assert existing_study(source, source.trials, ours).metrics == ["gain", "cost"]
    single = past_study(past_trial([0.8], x=0.5), metrics=("score",), directions=("maximize",))
    assert existing_study(single, single.trials, study()).metrics == ["score"]


@pytest.mark.parametrize("metric", sorted(KNOWN_METRICS))
def test_what_the_service_computes_need_not_be_there(metric: str) -> None:
    """Neither among the objectives nor in a trial, where the study knows the network."""
    objectives = [SCORE, {"metric": metric, "direction": "minimize"}]
    source = past_study(
        past_trial([0.8], attributes={}, **{LAYER: True}, distributions={LAYER: SWITCH}),
        metrics=("score",),
        directions=("maximize",),
    )
    target = existing_study(source, source.trials, study(objectives=objectives))
    read = read_observation(source.trials[0], target)
    assert isinstance(read, ImportedObservation)
    assert read.metrics == {"score": 0.8}


def test_a_long_name_is_cut() -> None:
    """It is only shown."""
    source = past_study(past_trial([1.0, 1.0], x=0.5), name="n" * 300)
    assert new_study(source, source.trials, budget=1).request.display_name == "n" * 200
