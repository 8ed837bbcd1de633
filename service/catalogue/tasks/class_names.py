"""The names that numbers in a label column stand for, as `datasets` writes them into Parquet files and cards.

What is written in another way names nothing.
"""

from collections.abc import Mapping
from typing import Any

NO_CLASS = -1
"""The number that `datasets` has for a row whose class is not known."""


def names_of_features(features: Any) -> dict[str, tuple[str, ...]]:
    """Read the names of each column's classes from the features in a Parquet file."""
    if not isinstance(features, dict):
        return {}
    found = {str(column): _of_feature(feature) for column, feature in features.items()}
    return {column: names for column, names in found.items() if names}


def names_of_card(features: Any) -> dict[str, tuple[str, ...]]:
    """Read the names of each column's classes from the features of a data set's card."""
    if not isinstance(features, list):
        return {}
    found = {
        str(feature["name"]): _of_card_feature(feature)
        for feature in features
        if isinstance(feature, dict) and "name" in feature
    }
    return {column: names for column, names in found.items() if names}


def _of_feature(feature: Any) -> tuple[str, ...]:
    if isinstance(feature, list) and len(feature) == 1:
        return _of_feature(feature[0])
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") == "ClassLabel":
        return _names(feature.get("names"))
    return _of_feature(feature["feature"]) if "feature" in feature else ()


def _of_card_feature(feature: Any) -> tuple[str, ...]:
    if not isinstance(feature, dict):
        return ()
    label = feature.get("class_label")
    if isinstance(label, dict):
        return _names(label.get("names"))
    for within in ("dtype", "sequence", "list"):
        names = _of_card_feature(feature.get(within))
        if names:
            return names
    return ()


def _names(given: Any) -> tuple[str, ...]:
    """Return names in the order of their numbers; a card has a mapping from 0 up, or a list."""
    if isinstance(given, Mapping):
        numbered: Mapping[str, Any] = {str(number): name for number, name in given.items()}
        given = [numbered.get(str(number)) for number in range(len(numbered))]
    if not isinstance(given, list) or any(isinstance(name, list | dict | None) for name in given):
        return ()
    # YAML reads a bare yes or no as a truth value.
    names = tuple(str(name).lower() if isinstance(name, bool) else str(name).strip() for name in given)
    return names if len(set(names)) == len(names) and all(names) else ()
