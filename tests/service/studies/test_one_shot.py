"""Which sub-networks a super-network scores, and what part of the budget it costs."""

from typing import Any

import pytest

from api_schemas.architecture import canonical_architecture
from api_schemas.trial_configuration import patch
from service.errors import InvalidStudy
from service.studies.one_shot import MOST_NETWORKS, behind_baselines
from service.studies.validation import ValidStudy, validate_study
from tests.conftest import make_study_request

pytestmark = pytest.mark.usefixtures("service_environment")

SCORE = {"metric": "score", "direction": "maximize"}
FLOPS = {"metric": "flops", "direction": "minimize"}


def valid(**changes: Any) -> ValidStudy:
    posted: dict[str, Any] = {
        "search_space": {"preset": "depth_width"},
        "objectives": [SCORE, FLOPS],
        "budget": {"trials": 32},
        "proposals": {"one_shot": {}},
        **changes,
    }
    return validate_study(make_study_request(**posted), tenant_id="tnt_1")


def test_more_epochs_than_a_quarter_of_the_budget_pays_for_are_refused() -> None:
    """With a number of epochs that it does pay for, or the budget that would do."""
    with pytest.raises(InvalidStudy) as refused:
        valid(proposals={"one_shot": {"epochs": 40}})
    [error] = refused.value.errors
    assert error.pointer == "/proposals/one_shot/epochs"
    assert "at most a quarter" in error.detail
    fitting = int(error.detail.partition("take ")[2].partition(" epochs")[0])
    assert valid(proposals={"one_shot": {"epochs": fitting}}).one_shot is not None


def test_a_budget_that_pays_for_no_epoch_is_told_what_would() -> None:
    """There is no smaller number to take."""
    with pytest.raises(InvalidStudy, match="cannot work") as refused:
        valid(budget={"trials": 3})
    [error] = refused.value.errors
    assert "take" not in error.detail
    assert error.detail.endswith("raise the budget to 12 trials")


@pytest.mark.parametrize("preset", ["depth", "depth_width", "grouped", "joint"])
def test_networks_of_every_preset_are_those_of_the_space(preset: str) -> None:
    """Each once, the whole one last, those of the starting points among them; all trained in one recipe."""
    study = valid(search_space={"preset": preset})
    run, base, shape = study.one_shot, study.configuration, study.backbone_shape
    assert run is not None
    assert base is not None
    assert shape is not None
    assert len(run.networks) <= MOST_NETWORKS
    assert [network.cost for network in run.networks] == sorted(network.cost for network in run.networks)
    assert run.networks[-1].architecture is None
    kept = [network.architecture for network in run.networks]
    assert all(kept.count(one) == 1 for one in kept)
    for network in run.networks:
        point = study.search_space.canonical(network.parameters)
        assert not study.search_space.missing(point)
        assert canonical_architecture(patch(base, point).architecture, shape) == network.architecture
    for point in study.starting_points:
        assert canonical_architecture(patch(base, point).architecture, shape) in kept
    assert run.configuration.architecture is None
    assert run.configuration.peft.method == "full"
    assert run.configuration.training.learning_rate == 3e-5


def test_its_starting_points_come_before_the_portfolio() -> None:
    """In a joint study: behind the baselines, which are smaller or the whole network."""
    study = valid(search_space={"preset": "joint"})
    assert study.configuration is not None
    assert study.backbone_shape is not None
    place = behind_baselines(study.starting_points, study.configuration, shape=study.backbone_shape)
    assert place == 7
    assert len(study.starting_points) > place
