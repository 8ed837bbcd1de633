"""Lists by layer are as long as the backbone is deep, and nothing is searched without effect."""

import pytest

from api_schemas.backbones import BackboneShape
from api_schemas.search_space import OrdinalParameter, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration
from service.studies.layers import layer_errors, layer_of, with_layers

SHAPE = BackboneShape(
    model_type="bert",
    layers=3,
    hidden_size=16,
    ffn_size=32,
    query_size=16,
    key_value_size=16,
    max_positions=64,
)


def configuration(**peft: object) -> TrialConfiguration:
    return TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, "peft": peft})


def searching(*names: str, choices: tuple[int, ...] = (0, 4)) -> SearchSpace:
    return SearchSpace(parameters=tuple(OrdinalParameter(name=name, choices=choices) for name in names))


@pytest.mark.parametrize(
    ("peft", "searched", "pointer", "detail"),
    [
        ({"active_layers": [True]}, "peft.lora.rank", "/configuration/peft/active_layers", "3 layers, not 1"),
        (
            {"lora": {"by_layer": [{}]}},
            "peft.prefix_tuning.length",
            "/configuration/peft/lora/by_layer",
            "3 layers, not 1",
        ),
        (
            {"first_active_layer": 3},
            "peft.lora.rank",
            "/configuration/peft/first_active_layer",
            "layers 0 to 2",
        ),
        (
            {"serial_adapter": {"by_layer": [1, 2, 3]}},
            "peft.serial_adapter.bottleneck_size",
            "/search_space",
            "no effect",
        ),
        (
            {"compacter": {"bottleneck_size": 6}},
            "peft.lora.rank",
            "/configuration/peft/compacter/division",
            "6 among them",
        ),
        (
            {"compacter": {"division": 3}},
            "peft.compacter.bottleneck_size",
            "/configuration/peft/compacter/division",
            "hidden size 16",
        ),
        ({}, "peft.compacter.division", "/search_space", "cannot be searched"),
    ],
)
def test_what_cannot_work_is_named(peft: dict[str, object], searched: str, pointer: str, detail: str) -> None:
    """Each error points at the guilty field and says why."""
    found = list(layer_errors(configuration(**peft), SHAPE, search_space=searching(searched)))
    assert [error.pointer for error in found] == [pointer]
    assert detail in found[0].detail


def test_lists_are_written_out_where_a_parameter_reaches_in() -> None:
    """One size becomes an entry for each layer; a module that nothing reaches into stays as it is."""
    posted = configuration(serial_adapter={"bottleneck_size": 8}, lora={"rank": 2})
    space = searching("peft.serial_adapter.by_layer.1", "peft.lora.by_layer.0.query")
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
