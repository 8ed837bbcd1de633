"""Paths that name a layer, and the lists that they reach into."""

import pytest

from api_schemas.search_space import OrdinalParameter, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration
from service.studies.layers import layer_of, with_layers
from tests.service.studies.drafts import SHAPE


def configuration(**peft: object) -> TrialConfiguration:
    return TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, "peft": peft})


def test_lists_are_written_out_where_a_parameter_reaches_in() -> None:
    """One size becomes an entry for each layer; a module that nothing reaches into stays as it is."""
    posted = configuration(serial_adapter={"bottleneck_size": 8}, lora={"rank": 2})
    names = "peft.serial_adapter.by_layer.1", "peft.lora.by_layer.0.query"
    space = SearchSpace(parameters=tuple(OrdinalParameter(name=name, choices=(0, 4)) for name in names))
    written = with_layers(posted, SHAPE, search_space=space).peft
    assert written.active_layers == (True, True, True)
    assert written.serial_adapter.by_layer == (8, 8, 8)
    assert written.lora.by_layer is not None
    assert [ranks.present() for ranks in written.lora.by_layer] == [{"query": 2, "value": 2}] * 3
    assert written.prefix_tuning.by_layer is None


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("peft.active_layers.7", 7),
        ("peft.prefix_tuning.by_layer.12", 12),
        ("peft.lora.by_layer.3.ffn_in", 3),
        ("peft.lora.rank", None),
        ("training.learning_rate", None),
    ],
)
def test_a_path_tells_its_layer(name: str, layer: int | None) -> None:
    """Switches and lists by layer name one; nothing else does."""
    assert layer_of(name) == layer
