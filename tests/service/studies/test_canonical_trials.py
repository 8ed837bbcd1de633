"""Equal trials have equal keys, however they are spelled."""

from api_schemas.search_space import SearchSpace
from service.studies.canonical_trials import parameters_key

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
