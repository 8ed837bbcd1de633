"""An order's networks are scored by one super-network on the real MiniLM."""

from typing import Any

import pytest

from api_schemas.architecture import Architecture
from api_schemas.one_shot import OneShotState, SuperNetworkOrder
from api_schemas.trial_configuration import TrialConfiguration
from service.trials import leases
from tests.service.trials.test_super_networks import a_study, claim, read
from tests.workers.divergence import diverging
from workers import trial_worker
from workers.errors import NotANumber, OutOfMemory
from workers.model_cache import ModelCache
from workers.one_shot import one_shot_scores

NETWORKS = (Architecture(keep_layers=1, ffn_width=384), Architecture(keep_layers=4, which="first"), None)


def order_of(configuration: TrialConfiguration, **peft: Any) -> SuperNetworkOrder:
    trained = TrialConfiguration.model_validate({**configuration.model_dump(mode="json"), "peft": peft})
    return SuperNetworkOrder(configuration=trained, networks=NETWORKS, smallest=1)


def test_a_super_network_that_diverges_is_no_result(
    small_trial: TrialConfiguration, model_cache: ModelCache
) -> None:
    """As of a trial that diverges: a reason in place of numbers."""
    order = order_of(small_trial)
    with pytest.raises(NotANumber):
        one_shot_scores(
            order.model_copy(update={"configuration": diverging(order.configuration)}), cache=model_cache
        )


@pytest.mark.usefixtures("service_environment")
@pytest.mark.parametrize(
    ("error", "words"),
    [(OutOfMemory("out-of-memory: none left."), "for out-of-memory"), (KeyError("x"), "for KeyError: 'x'")],
    ids=["expected", "unexpected"],
)
def test_the_trial_goes_on_without(error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with the super-network is said with the study, and the trial keeps its lease."""
    study_id = a_study(trials=1)
    claimed, _ = claim()

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("workers.one_shot.one_shot_scores", failing)
    trial_worker._score_sub_networks(claimed)
    found, _ = read(study_id)
    assert found.state is OneShotState.FAILED
    assert words in found.detail
    assert not leases.heartbeat(claimed.trial_id, claimed.attempt)


def test_each_network_gets_a_score_and_the_same_again(
    small_trial: TrialConfiguration, model_cache: ModelCache
) -> None:
    """In the order's order; the cache's backbone is whole again."""
    order = order_of(small_trial, lora={"rank": 4})
    scores = one_shot_scores(order, cache=model_cache)
    assert len(scores) == len(NETWORKS)
    assert all(0 <= score <= 1 for score in scores)
    assert scores == one_shot_scores(order, cache=model_cache)
