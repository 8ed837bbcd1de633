"""What a data set's card says: its configurations, their files, and the names of classes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from api_schemas.yaml_documents import load_yaml
from service.catalogue.tasks.class_names import names_of_card
from service.errors import InvalidTask

CARD = "README.md"
DEFAULT = "default"
FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\n(.*?)\n---", re.DOTALL)

ClassNames = Mapping[str, tuple[str, ...]]
"""The names of the classes, by column."""


@dataclass(frozen=True)
class Configuration:
    """One set of rows: a folder, and in it the patterns of each named split; None lets file names decide."""

    folder: str = ""
    patterns: Mapping[str, tuple[str, ...]] | None = None
    class_names: ClassNames = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """The configurations by name, the one that is meant where none is named, and class names for all."""

    configurations: Mapping[str, Configuration] = field(default_factory=dict)
    default: str | None = None
    class_names: Mapping[str, ClassNames] = field(default_factory=dict)
    """By the name of a configuration, of a card that lists no files."""

    def names_of(self, subset: str | None) -> ClassNames:
        """Return the names of classes where file names decide what is in a subset."""
        if subset is not None and subset in self.class_names:
            return self.class_names[subset]
        different = list(self.class_names.values())
        return different[0] if different and all(names == different[0] for names in different) else {}


def read_card(text: str) -> Card:
    """Read a data set's card.

    Raises:
        InvalidTask: If what the card says of itself is no YAML, or more than is read.
    """
    match = FRONT_MATTER.match(text.replace("\r\n", "\n"))
    try:
        said = load_yaml(match[1]) if match else None
    except yaml.YAMLError as error:
        # Which of its files belong together would be a guess.
        raise InvalidTask({"name": f"the data set's card ({CARD}) cannot be read: {error}"}) from error
    if not isinstance(said, dict):
        return Card()
    class_names = _class_names(said.get("dataset_info"))
    listed = said.get("configs")
    listed = [config for config in listed if isinstance(config, dict)] if isinstance(listed, list) else []
    names = [_name(config) for config in listed]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidTask({"name": f"the data set's card ({CARD}) has two subsets called '{twice:.100}'"})
    configurations = {
        _name(config): _configuration(config, class_names, alone=len(listed) == 1) for config in listed
    }
    defaults = [_name(config) for config in listed if config.get("default") is True]
    if not defaults and (DEFAULT in configurations or len(configurations) == 1):
        defaults = [DEFAULT if DEFAULT in configurations else next(iter(configurations))]
    return Card(configurations, defaults[0] if len(defaults) == 1 else None, class_names)


def _name(config: Mapping[str, Any]) -> str:
    return str(config.get("config_name", DEFAULT))


def _configuration(
    config: Mapping[str, Any], class_names: Mapping[str, ClassNames], *, alone: bool
) -> Configuration:
    names = class_names.get(_name(config))
    if names is None and alone and len(class_names) == 1:
        names = next(iter(class_names.values()))
    files = config.get("data_files")
    folder = str(config.get("data_dir") or "").removeprefix("./").strip("/")
    return Configuration(folder, _patterns(files) if files else None, names or {})


def _class_names(infos: Any) -> dict[str, ClassNames]:
    listed = infos if isinstance(infos, list) else [infos]
    return {_name(info): names_of_card(info.get("features")) for info in listed if isinstance(info, dict)}


def _patterns(data_files: Any) -> dict[str, tuple[str, ...]]:
    """Return the patterns of each split, under the name that the card has for it."""
    if isinstance(data_files, dict) and "path" not in data_files:
        data_files = [{"split": split, "path": path} for split, path in data_files.items()]
    found: dict[str, tuple[str, ...]] = {}
    for entry in data_files if isinstance(data_files, list) else [data_files]:
        split, path = (
            (entry.get("split", "train"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        )
        paths = path if isinstance(path, list) else [path]
        found[str(split)] = (*found.get(str(split), ()), *(str(one).removeprefix("./") for one in paths))
    return found
