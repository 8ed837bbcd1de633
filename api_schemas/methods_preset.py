"""The preset `methods`: which PEFT method, with the settings that it reads, for a backbone of any shape."""

from collections.abc import Collection, Iterable, Iterator

from api_schemas.backbones import BackboneShape
from api_schemas.library_parameters import method_problem, setting_problem
from api_schemas.peft_methods import (
    PROMPT_METHODS,
    ROLES,
    SETTINGS,
    TARGETED,
    LibrarySettings,
    PeftMethod,
)
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
LEFT_OUT = frozenset({PeftMethod.MODULES, PeftMethod.VBLORA})
"""Our own modules have a preset of their own; VB-LoRA's logits outnumber a small backbone's weights."""
ROOM_FOR_TEXT = 128
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
        if method not in LEFT_OUT
        and method_problem(method, shape=shape) is None
        and not too_few & set(SETTINGS[method])
    )
    targeted = tuple(method for method in methods if method in TARGETED)
    layered = tuple(method for method in methods if method not in PROMPT_METHODS | {PeftMethod.HEAD_ONLY})
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
        readers = [method for method in methods if setting in SETTINGS[method]]
        if readers:
            yield OrdinalParameter(name=f"peft.library.{setting}", choices=values, when=_under(readers))


def _fitting_values(setting: str, shape: BackboneShape) -> tuple[int, ...]:
    """Keep what every method that reads the setting can work with, on every projection."""
    everywhere = LibrarySettings(**dict.fromkeys(ROLES, True))
    readers = [method for method, read in SETTINGS.items() if setting in read]
    return tuple(
        value
        for value in CHOICES[setting]
        if all(
            setting_problem(
                method,
                setting,
                everywhere.model_copy(update={setting: value}),
                shape=shape,
                max_length=min(ROOM_FOR_TEXT, shape.max_positions),
            )
            is None
            for method in readers
        )
    )


def _under(methods: Collection[PeftMethod]) -> Condition:
    return Condition.model_validate({"parameter": METHOD, "in": [method.value for method in methods]})
