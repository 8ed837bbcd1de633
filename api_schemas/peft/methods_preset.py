"""The preset `methods`: which PEFT method, with the settings that it reads, for a backbone of any shape."""

from collections.abc import Collection, Iterable, Iterator

from api_schemas.backbones import ROLES, BackboneShape
from api_schemas.peft.fitness import method_problem, setting_problem
from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.registry import PeftMethod
from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    Condition,
    FloatParameter,
    OrdinalParameter,
    Parameter,
)

METHOD = "peft.method"
CHOICES = {
    "rank": (2, 4, 8, 16, 32, 64),
    "block_size": (2, 4, 8, 16, 32, 64),
    "frequencies": (100, 300, 1000, 3000, 10000),
    "virtual_tokens": (1, 2, 5, 10, 20, 50),
}
SPACE_FOR_TEXT = 128
"""Positions that virtual tokens leave free: the default of `training.max_length`."""


def methods_preset(shape: BackboneShape) -> tuple[Parameter, ...]:
    """Return the choice of a method and its conditional settings.

    Values that do not fit the backbone are left out, and so is a method that nothing fits.
    """
    fitting = {setting: _fitting_values(setting, shape) for setting in CHOICES}
    too_few = {setting for setting, values in fitting.items() if len(values) < 2}
    methods = tuple(
        method
        for method in PeftMethod
        if method.definition.in_preset
        and method_problem(method.definition, shape=shape) is None
        and not too_few & set(method.definition.reads)
    )
    targeted = tuple(method for method in methods if method.definition.is_targeted)
    layered = tuple(
        method for method in methods if method is not PeftMethod.HEAD_ONLY and not method.definition.is_prompt
    )
    layers = (f"peft.active_layers.{layer}" for layer in range(shape.layers))
    return (
        CategoricalParameter(name=METHOD, choices=tuple(method.value for method in methods)),
        *_sizes(methods, fitting),
        *_switches((f"peft.library.{role}" for role in ROLES), targeted),
        *_switches(layers, layered),
        # Rotations and scales want steps a hundred times those of low-rank factors.
        FloatParameter(name="training.learning_rate", low=1e-4, high=5e-2, log=True),
    )


def _switches(names: Iterable[str], methods: Collection[PeftMethod]) -> Iterator[Parameter]:
    if methods:
        yield from (BoolParameter(name=name, when=_under(methods)) for name in names)


def _sizes(methods: Collection[PeftMethod], fitting: dict[str, tuple[int, ...]]) -> Iterator[Parameter]:
    for setting, values in fitting.items():
        readers = [method for method in methods if setting in method.definition.reads]
        if readers:
            yield OrdinalParameter(name=f"peft.library.{setting}", choices=values, when=_under(readers))


def _fitting_values(setting: str, shape: BackboneShape) -> tuple[int, ...]:
    """Return what every method that reads the setting can work with, on every projection."""
    everywhere = LibrarySettings(**dict.fromkeys(ROLES, True))
    max_length = min(SPACE_FOR_TEXT, shape.max_positions)

    def fits(method: PeftMethod, value: int) -> bool:
        tried = everywhere.model_copy(update={setting: value})
        found = setting_problem(method.definition, setting, tried, shape=shape, max_length=max_length)
        return found is None

    readers = [method for method in PeftMethod if setting in method.definition.reads]
    return tuple(value for value in CHOICES[setting] if all(fits(method, value) for method in readers))


def _under(methods: Collection[PeftMethod]) -> Condition:
    return Condition.model_validate({"parameter": METHOD, "in": [method.value for method in methods]})
