"""Equal trials have equal keys, however they are spelled."""

from api_schemas.backbones import BackboneShape
from api_schemas.search_space import SearchSpace
from api_schemas.trial_configuration import TrialConfiguration
from service.studies.canonical_trials import configuration_key, parameters_key

SPACE = SearchSpace.model_validate(
    {
        "parameters": [
            {"type": "float", "name": "rate", "low": 0.0, "high": 2.0},
            {"type": "ordinal", "name": "size", "choices": [1, 2.5]},
            {"type": "categorical", "name": "on", "choices": [True, 1]},
            {"type": "bool", "name": "deep", "when": {"parameter": "on", "in": [True]}},
        ]
    }
)


def key(**values: object) -> str:
    return parameters_key(SPACE.canonical(values))  # type: ignore[arg-type]


def test_spelling_and_order_do_not_matter() -> None:
    """1 is 1.0 where a real number is meant, and an inactive parameter says nothing."""
    assert key(rate=1, size=1.0, on=1) == key(on=1, rate=1.0, size=1, deep=True)


def test_different_values_have_different_keys() -> None:
    """Among choices, true is not 1."""
    keys = {key(rate=1, on=1), key(rate=1, on=True), key(rate=1.5, on=1), key(rate=1, on=True, deep=False)}
    assert len(keys) == 4


def test_a_network_that_keeps_everything_is_the_whole_one() -> None:
    """However that is said, and wherever the layers would have been dropped."""
    shape = BackboneShape(
        model_type="bert", layers=3, hidden_size=16, ffn_size=64, query_size=16, key_value_size=16,
        max_positions=64,
    )  # fmt: skip

    def key_of(architecture: dict[str, object] | None) -> str:
        configuration = {"backbone": "b", "task": {"name": "t"}, "architecture": architecture}
        return configuration_key(TrialConfiguration.model_validate(configuration), shape=shape)

    whole = [None, {"keep_layers": 3}, {"keep_layers": 3, "which": "last", "ffn_width": 64}]
    assert len(set(map(key_of, whole))) == 1
    assert len({key_of(None), key_of({"keep_layers": 2}), key_of({"keep_layers": 2, "which": "last"})}) == 3
