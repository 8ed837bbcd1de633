"""The portfolio as the starting points of `auto`, on backbones of other widths and depths."""

from collections.abc import Sequence

import pytest

from api_schemas.backbones import BackboneShape
from api_schemas.derived_settings import LEARNING_RATE_FACTOR
from api_schemas.peft.registry import PeftMethod
from api_schemas.presets import expand_preset
from api_schemas.search_space import Parameterization, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service.studies import portfolio as portfolio_module
from service.studies.layers import with_layers
from service.studies.portfolio import Member, portfolio
from service.studies.reference_trials import is_default
from service.studies.starting_points import default_starting_points
from service.studies.validation import validate_study
from tests.conftest import make_study_request
from tests.service.optimization.problems import bert_shape

SHAPES = [bert_shape(6, hidden_size=384), bert_shape(12, hidden_size=768), bert_shape(1, hidden_size=64)]

RECORDED = {
    "backbone": {"layers": 6, "hidden_size": 384},
    "members": [
        {
            "peft": {
                "active_layers": [False, False, False, True, True, True],
                "parallel_adapter": {"bottleneck_size": 48},
                "lora": {"rank": 4},
                "prefix_tuning": {"length": 12},
            },
            "learning_rate_factor": 2.0,
        },
        {
            "peft": {"method": "full", "active_layers": [True] * 6, "first_active_layer": 4},
            "learning_rate_factor": 3.0,
        },
    ],
}


def points_of(
    shape: BackboneShape, *, learns: bool = False
) -> tuple[list[Parameterization], list[TrialConfiguration]]:
    """Return the default starting points of `auto`, and the configurations that they are."""
    space = SearchSpace(parameters=tuple(expand_preset(PresetName.AUTO, shape=shape)))
    base = with_layers(
        TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}}), shape, search_space=space
    )
    points = list(default_starting_points(space, base, shape=shape, learns=learns))
    assert all(space.active(point) == point for point in points)
    return points, [canonical(patch(base, point)) for point in points]


def recorded(monkeypatch: pytest.MonkeyPatch, shape: BackboneShape) -> Sequence[Member]:
    """Return the members of a small portfolio for a backbone."""
    monkeypatch.setattr(portfolio_module, "_recorded", lambda: RECORDED)
    return list(portfolio(shape))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.layers}x{shape.hidden_size}")
def test_auto_starts_with_the_default_and_tries_the_head_alone(shape: BackboneShape) -> None:
    """At most eight points, none twice; the default at its usual rate comes first."""
    points, configurations = points_of(shape)
    assert 4 <= len(points) <= 8
    assert len({one.model_dump_json() for one in configurations}) == len(points)
    assert is_default(configurations[0])
    assert points[0][LEARNING_RATE_FACTOR] == 1.0
    assert any(one.is_head_only for one in configurations)


def test_a_warm_start_takes_the_portfolios_place() -> None:
    """Then the three configurations that papers compare with are tried, as in every other space."""
    _, configurations = points_of(SHAPES[1], learns=True)
    assert len(configurations) == 3
    assert configurations[1].peft.serial_adapter.bottleneck_size == 48


def test_a_posted_warm_start_takes_the_portfolios_place() -> None:
    """What a client asks for is what decides."""

    def count(**proposals: object) -> int:
        request = make_study_request(search_space={"preset": "auto"}, proposals=proposals)
        return len(validate_study(request, tenant_id="t").starting_points)

    assert count(warm_start={"studies": "auto"}) == 3 < count()


def test_bottlenecks_scale_with_the_width_and_ranks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as wide a backbone has twice as wide an adapter."""
    union, _ = recorded(monkeypatch, bert_shape(12, hidden_size=768))
    assert union.peft.parallel_adapter.bottleneck_size == 96
    assert (union.peft.lora.rank, union.peft.prefix_tuning.length) == (4, 12)
    assert union.learning_rate_factor == 2.0


def test_layers_keep_their_relative_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The upper half stays the upper half; a third of the layers stays a third."""
    union, full = recorded(monkeypatch, bert_shape(12, hidden_size=768))
    assert union.peft.active_layers == (False,) * 6 + (True,) * 6
    assert full.peft.first_active_layer == 8


def test_a_backbone_of_one_layer_has_a_layer_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """No first layer lies beyond the last one."""
    _, full = recorded(monkeypatch, bert_shape(1, hidden_size=64))
    assert full.peft.method is PeftMethod.FULL
    assert full.peft.first_active_layer == 0
