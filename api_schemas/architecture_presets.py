"""The presets that make a backbone smaller: fewer layers, narrower feed-forward blocks; alone or with `auto`.

Where the configuration says nothing of what is trained, all weights are, at the rate that is usual for it.
"""

from collections.abc import Iterator

from api_schemas.architecture import (
    FFN_WIDTH,
    FFN_WIDTH_GROUPS,
    KEEP_LAYERS,
    UNITS_BY,
    WHICH,
    WIDTH_STEP,
    UnitsBy,
    WhichLayers,
)
from api_schemas.backbones import BackboneShape
from api_schemas.derived_settings import LEARNING_RATE_FACTOR
from api_schemas.peft.auto_preset import auto_preset
from api_schemas.peft.methods_preset import METHOD
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.search_space import (
    CategoricalParameter,
    Condition,
    IntParameter,
    OrdinalParameter,
    Parameter,
)
from api_schemas.trial_configuration import TrialConfiguration

SMALLEST_SHARE = 4
"""The smallest network has one of so many layers, and of so many feed-forward units, as the backbone has."""

WIDTHS = 8
"""How many widths a search tells apart: closer ones differ by less than the noise of one seed."""


LAYERS_OF_THREE_GROUPS = 6
"""Fewer layers are cut into two groups, not three: a group should have more than one."""

ORDERS = tuple(by.value for by in UnitsBy)


def depth_preset(shape: BackboneShape, base: TrialConfiguration | None) -> tuple[Parameter, ...]:
    """Return how many layers stay and which, on top of the recipe of a configuration."""
    return (*_depth(shape), *_recipe(base))


def depth_width_preset(shape: BackboneShape, base: TrialConfiguration | None) -> tuple[Parameter, ...]:
    """Return how many layers stay and which, and their width."""
    return (*_depth(shape), *_width(shape), *_recipe(base))


def grouped_preset(shape: BackboneShape, base: TrialConfiguration | None) -> tuple[Parameter, ...]:
    """Return how many layers stay and which, and a width for each half or third of them."""
    groups = 3 if shape.layers >= LAYERS_OF_THREE_GROUPS else 2
    choices = widths(shape.ffn_size)
    each = (OrdinalParameter(name=f"{FFN_WIDTH_GROUPS}.{group}", choices=choices) for group in range(groups))
    return (*_depth(shape), *each, CategoricalParameter(name=UNITS_BY, choices=ORDERS), *_recipe(base))


def joint_preset(shape: BackboneShape, *, quantised: bool) -> tuple[Parameter, ...]:
    """Return depth and width, and every method that people use on what is left.

    Sizes fit the narrowest network, and partial fine-tuning begins at a layer that the shortest one has.
    """
    narrowest = shape.model_copy(update={"ffn_size": widths(shape.ffn_size)[0]})
    methods = auto_preset(narrowest, quantised=quantised)
    return (*_depth(shape), *_width(shape), *_within_the_shortest(methods, fewest_layers(shape.layers)))


def fewest_layers(layers: int) -> int:
    """Return how many layers the smallest network of a search has."""
    return max(1, layers // SMALLEST_SHARE)


def widths(ffn_size: int) -> tuple[int, ...]:
    """Return the widths that a search offers: even steps on the grid, and the whole width."""
    steps = (ffn_size * step / WIDTHS for step in range(WIDTHS // SMALLEST_SHARE, WIDTHS))
    on_grid = {max(1, round(step / WIDTH_STEP)) * WIDTH_STEP for step in steps}
    return (*sorted(width for width in on_grid if width < ffn_size), ffn_size)


def _depth(shape: BackboneShape) -> Iterator[Parameter]:
    fewest = fewest_layers(shape.layers)
    yield IntParameter(name=KEEP_LAYERS, low=fewest, high=shape.layers)
    if fewest < shape.layers:
        yield CategoricalParameter(
            name=WHICH,
            choices=(WhichLayers.IMPORTANCE.value, WhichLayers.FIRST.value),
            when=Condition.model_validate(
                {"parameter": KEEP_LAYERS, "in": list(range(fewest, shape.layers))}
            ),
        )


def _width(shape: BackboneShape) -> Iterator[Parameter]:
    choices = widths(shape.ffn_size)
    yield OrdinalParameter(name=FFN_WIDTH, choices=choices)
    if len(choices) > 1:
        narrower = Condition.model_validate({"parameter": FFN_WIDTH, "in": list(choices[:-1])})
        yield CategoricalParameter(name=UNITS_BY, choices=ORDERS, when=narrower)


def _recipe(base: TrialConfiguration | None) -> Iterator[Parameter]:
    if base is not None and base.peft != Peft():
        return
    yield CategoricalParameter(name=METHOD, choices=(PeftMethod.FULL.value,))
    if base is None or "learning_rate" not in base.training.model_fields_set:
        yield OrdinalParameter(name=LEARNING_RATE_FACTOR, choices=(1.0,))


def _within_the_shortest(methods: tuple[Parameter, ...], fewest: int) -> Iterator[Parameter]:
    for parameter in methods:
        if parameter.name != "peft.first_active_layer":
            yield parameter
        elif isinstance(parameter, IntParameter) and fewest > 1:
            yield parameter.model_copy(update={"high": fewest - 1})
