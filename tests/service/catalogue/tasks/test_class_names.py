"""The names behind numbers, in the forms in which `datasets` writes them."""

from typing import Any

import pytest

from service.catalogue.tasks.class_names import names_of_card, names_of_features

CLASSES = {"names": ["neg", "pos"], "_type": "ClassLabel"}


@pytest.mark.parametrize(
    "feature",
    [
        CLASSES,
        {"feature": CLASSES, "_type": "Sequence"},
        {"feature": CLASSES, "length": -1, "_type": "List"},
        [CLASSES],
    ],
)
def test_a_parquet_file_names_its_classes(feature: Any) -> None:
    """Of one label, and of a list of them."""
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": feature}
    assert names_of_features(features) == {"label": ("neg", "pos")}


@pytest.mark.parametrize(
    "feature",
    [
        {"dtype": {"class_label": {"names": {"0": "neg", "1": "pos"}}}},
        {"dtype": {"class_label": {"names": {1: "pos", 0: "neg"}}}},
        {"dtype": {"class_label": {"names": ["neg", "pos"]}}},
        {"sequence": {"class_label": {"names": {"0": "neg", "1": "pos"}}}},
        {"list": {"class_label": {"names": {"0": "neg", "1": "pos"}}}},
        {"sequence": {"dtype": {"class_label": {"names": {"0": "neg", "1": "pos"}}}}},
    ],
)
def test_a_card_names_its_classes(feature: Any) -> None:
    """In the order of their numbers, whatever the order of the lines."""
    features = [{"name": "text", "dtype": "string"}, {"name": "label", **feature}]
    assert names_of_card(features) == {"label": ("neg", "pos")}


def test_truth_values_are_names() -> None:
    """YAML reads a bare no and yes as such."""
    assert names_of_card([{"name": "a", "dtype": {"class_label": {"names": [False, True]}}}]) == {
        "a": ("false", "true")
    }


@pytest.mark.parametrize(
    "names",
    [None, 3, "neg", [], ["a", "a"], ["a", None], [["a"]], {"0": "a", "2": "b"}, {"x": "a"}, ["a", ""]],
)
def test_what_is_written_in_another_way_names_nothing(names: Any) -> None:
    """Half a list of names would shift the others."""
    assert names_of_card([{"name": "label", "dtype": {"class_label": {"names": names}}}]) == {}
    assert names_of_features({"label": {"names": names, "_type": "ClassLabel"}}) == {}


@pytest.mark.parametrize("features", [None, 3, "x", [3], [{}], {"a": 3}, {"a": []}, {"a": {"feature": None}}])
def test_no_features_are_no_error(features: Any) -> None:
    """Whatever stands in their place."""
    assert names_of_card(features) == {}
    assert names_of_features(features) == {}
