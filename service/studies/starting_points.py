"""Where a PEFT study starts: the client's points, then the configurations that papers compare with.

Those are LoRA of rank 8 on queries and values (arXiv 2106.09685), the serial adapter of Pfeiffer et al.
with a sixteenth of the hidden size (arXiv 2005.00247), and the linear head alone; modules in every layer.
A space that searches multiples of a method's own learning rate, as `auto` does, starts with the portfolio in
place of the adapter, unless the study learns from former ones. A study that makes its backbone smaller starts
with all of it, with what people do by hand (the last layers dropped, and the smallest weights), and with a
network that was measured as twice as fast for a point of accuracy.
"""

import math
from collections.abc import Iterator, Sequence

from api_schemas.architecture import (
    FFN_WIDTH,
    KEEP_LAYERS,
    UNITS_BY,
    WHICH,
    UnitsBy,
    WhichLayers,
    canonical_architecture,
)
from api_schemas.backbones import BackboneShape
from api_schemas.derived_settings import LEARNING_RATE_FACTOR
from api_schemas.peft.lora import Lora
from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.peft.serial_adapter import SerialAdapter
from api_schemas.search_space import (
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch, read
from service.studies.layers import searches_architecture, width_groups, with_layers
from service.studies.portfolio import Member, portfolio
from service.studies.study_draft import StudyDraft

LORA_RANK = 8
KEPT_BY_HAND = (1.0, 0.75, 0.5)
KEPT_AT_DOUBLE_SPEED = (5 / 6, 1 / 3)
"""Shares of the layers, the lowest ones, and of the units by importance (`benchmarks.cuts`)."""

REDUCTION_FACTOR = 16


def starting_points(draft: StudyDraft) -> tuple[Parameterization, ...]:
    """Return the client's points, then the default ones that train something else."""
    posted, search_space, base = draft.request.starting_points, draft.search_space, draft.configuration
    if not draft.request.proposals.default_starting_points:
        return posted
    shape = draft.backbone.shape
    trained = [
        canonical(patch(base, starting_parameterization(search_space, base, point)), shape=shape)
        for point in posted
    ]
    learns = draft.request.proposals.warm_start is not None
    defaults = default_starting_points(search_space, base, shape=shape, learns=learns)
    new = (point for point in defaults if canonical(patch(base, point), shape=shape) not in trained)
    return (*posted, *new)


def starting_parameterization(
    search_space: SearchSpace, configuration: TrialConfiguration, point: Parameterization
) -> Parameterization:
    """Return a starting point with a value for each parameter: what it leaves out, the base sets."""
    return search_space.active(_as_it_stands(search_space, configuration) | point)


def _as_it_stands(
    search_space: SearchSpace, configuration: TrialConfiguration, *, learning_rate_factor: float = 1.0
) -> Parameterization:
    """Return what a configuration sets; where a multiple is searched, the rate is so much of the method's."""
    searched = LEARNING_RATE_FACTOR in search_space.by_name
    rate = {LEARNING_RATE_FACTOR: learning_rate_factor} if searched else {}
    return read(configuration, search_space.by_name) | rate


def default_starting_points(
    search_space: SearchSpace, configuration: TrialConfiguration, *, shape: BackboneShape, learns: bool
) -> Iterator[Parameterization]:
    """Yield the default configurations that lie in the space; `learns` says that there is a warm start.

    A size that the space does not have is replaced by the nearest that it has; what is not searched must be
    as the base configuration sets it. The training recipe is the base's.
    """
    lora, adapter, head = (
        _first_point(spellings, search_space, configuration, shape=shape) for spellings in _recipes(shape)
    )
    between = [adapter]
    if LEARNING_RATE_FACTOR in search_space.by_name and not learns:
        members = portfolio(shape)
        between = [recipe_point(member, search_space, configuration, shape=shape) for member in members]
        # The portfolio's own head alone has the better rate.
        head = None if any(point and patch(configuration, point).is_head_only for point in between) else head
    trained: list[TrialConfiguration] = []
    smaller = _smaller(search_space, configuration, shape=shape)
    for point in (lora, *smaller, *between, head):
        if point is None:
            continue
        one = canonical(patch(configuration, point), shape=shape)
        if one not in trained:
            trained.append(one)
            yield point


def _smaller(
    search_space: SearchSpace, configuration: TrialConfiguration, *, shape: BackboneShape
) -> Iterator[Parameterization]:
    """Yield the whole network, it without its last quarter and half, and with less of each block's width.

    The last is the one at double speed. All are trained by one recipe. What is not searched stays as the base
    has it, so a network that the space does not hold is left out.
    """
    if not searches_architecture(search_space):
        return
    whole = whole_network(search_space, configuration, shape=shape)
    if whole is None:
        return
    widths = _searched_widths(search_space)
    for layers, width, units_by in _smaller_sizes(search_space, shape):
        smaller: Parameterization = {
            KEEP_LAYERS: layers,
            WHICH: WhichLayers.FIRST.value,
            UNITS_BY: units_by.value,
            **dict.fromkeys(widths, width),
        }
        point = search_space.active({**whole, **smaller})
        if not all(search_space.by_name[name].contains(value) for name, value in point.items()):
            continue
        kept = patch(configuration, point).architecture
        assert kept is not None  # noqa: S101  it is written out where it is searched
        wanted: dict[str, object] = {"keep_layers": layers, "which": WhichLayers.FIRST}
        if widths:
            wanted |= {"ffn_width": width, "ffn_width_groups": None, "units_by": units_by}
        if canonical_architecture(kept, shape) == canonical_architecture(
            kept.model_copy(update=wanted), shape
        ):
            yield point


def whole_network(
    search_space: SearchSpace, configuration: TrialConfiguration, *, shape: BackboneShape
) -> Parameterization | None:
    """Return the point at which the recipe by hand trains as much of the backbone as the space has.

    None if the space does not hold the recipe: the configuration's own, or all weights in place of the head
    alone.
    """
    own = configuration.peft
    recipes = (Peft(method=PeftMethod.FULL), own) if configuration.is_head_only else (own,)
    return _first_point(recipes, search_space, configuration, shape=shape)


def _searched_widths(search_space: SearchSpace) -> tuple[str, ...]:
    one_width = (FFN_WIDTH,) if FFN_WIDTH in search_space.by_name else ()
    return width_groups(search_space) or one_width


def _smaller_sizes(search_space: SearchSpace, shape: BackboneShape) -> Iterator[tuple[int, int, UnitsBy]]:
    """Yield numbers of layers, widths of their feed-forward blocks, and which units these keep."""
    for share in KEPT_BY_HAND:
        yield math.ceil(share * shape.layers), shape.ffn_size, UnitsBy.MAGNITUDE
    for name in _searched_widths(search_space)[:1]:
        searched = search_space.by_name[name]
        for share in KEPT_BY_HAND[1:]:
            yield shape.layers, _nearest_width(searched, share, shape), UnitsBy.MAGNITUDE
        of_layers, of_units = KEPT_AT_DOUBLE_SPEED
        yield round(of_layers * shape.layers), _nearest_width(searched, of_units, shape), UnitsBy.IMPORTANCE


def _nearest_width(searched: Parameter, share: float, shape: BackboneShape) -> int:
    return round(float(_nearest_value(searched, round(share * shape.ffn_size))))


def _first_point(
    spellings: Sequence[Peft],
    search_space: SearchSpace,
    configuration: TrialConfiguration,
    *,
    shape: BackboneShape,
) -> Parameterization | None:
    """Return the point of the first spelling that lies in the space."""
    points = (
        recipe_point(Member(recipe, 1.0), search_space, configuration, shape=shape) for recipe in spellings
    )
    return next((point for point in points if point is not None), None)


def recipe_point(
    member: Member, search_space: SearchSpace, configuration: TrialConfiguration, *, shape: BackboneShape
) -> Parameterization | None:
    """Return the point nearest to a recipe, or None if the space does not hold the recipe."""
    wanted = configuration.model_copy(update={"peft": member.peft})
    wanted = with_layers(wanted, shape, search_space=search_space)
    point = _nearest_point(search_space, wanted, learning_rate_factor=member.learning_rate_factor)
    if point is None or not _is_recipe(point, wanted=wanted, configuration=configuration):
        return None
    return point


def _recipes(shape: BackboneShape) -> tuple[Sequence[Peft], ...]:
    return (
        (
            Peft(lora=Lora(rank=LORA_RANK)),
            Peft(method=PeftMethod.LORA, library=LibrarySettings(rank=LORA_RANK)),
        ),
        (Peft(serial_adapter=SerialAdapter(bottleneck_size=max(1, shape.hidden_size // REDUCTION_FACTOR))),),
        (Peft(), Peft(method=PeftMethod.HEAD_ONLY), Peft(active_layers=(False,) * shape.layers)),
    )


def _is_recipe(
    point: Parameterization, *, wanted: TrialConfiguration, configuration: TrialConfiguration
) -> bool:
    nearest = _sizes(patch(wanted, point))
    return nearest.keys() == _sizes(wanted).keys() and nearest == _sizes(patch(configuration, point))


def _nearest_point(
    search_space: SearchSpace, wanted: TrialConfiguration, *, learning_rate_factor: float
) -> Parameterization | None:
    parameters = search_space.by_name
    values = _as_it_stands(search_space, wanted, learning_rate_factor=learning_rate_factor)
    point = search_space.active(
        {name: _nearest_value(parameters[name], value) for name, value in values.items()}
    )
    return point if all(parameters[name].contains(value) for name, value in point.items()) else None


def _nearest_value(parameter: Parameter, value: ParameterValue) -> ParameterValue:
    if parameter.contains(value) or isinstance(value, bool | str):
        return value
    if isinstance(parameter, FloatParameter | IntParameter):
        return min(max(value, parameter.low), parameter.high)
    if isinstance(parameter, OrdinalParameter):
        return min(parameter.choices, key=lambda choice: abs(_size(choice) - _size(value)))
    return value


def _size(value: float) -> float:
    # Zero leaves a module out, so it is far from every other size.
    return math.log(max(value, 1e-9))


def _sizes(configuration: TrialConfiguration) -> dict[tuple[int, str], int]:
    """Return the size of what is trained, by layer and by name; for the head alone it is empty."""
    peft = canonical(configuration).peft
    # The base configuration has its layers written out, and so has everything made from it.
    active = [layer for layer in range(len(peft.active_layers or ())) if peft.is_active(layer)]
    if peft.method is not PeftMethod.MODULES:
        roles = peft.library.targets
        return {
            (layer, f"{peft.method} {role}"): peft.library.rank for layer in active for role in ("", *roles)
        }
    return {
        (layer, f"{name} {part}"): size
        for layer in active
        for name, module in peft.own_modules().items()
        for part, size in module.sizes_at(layer).items()
    }
