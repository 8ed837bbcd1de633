"""Every sub-network that `depth_width` holds for MiniLM, by one recipe, and how people would come to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from api_schemas.architecture import FFN_WIDTH, KEEP_LAYERS, UNITS_BY, WHICH, UnitsBy, WhichLayers
from api_schemas.architecture_presets import fewest_layers, widths
from api_schemas.presets import expand_preset
from api_schemas.search_space import Parameterization, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from benchmarks.autopeft.protocol import base_configuration
from benchmarks.peft_table.configurations import searched_shape
from service.studies.layers import with_layers

TASKS = ("rotten-tomatoes", "tweets")
RATE = 3e-4
"""For the whole network as good as 1e-4 (benchmarks.peft_table), and what is cut has more to learn."""

WHOLE, DROPPED, NARROWED, SEARCHED = "the whole", "last layers dropped", "narrower by magnitude", "searched"


@dataclass(frozen=True)
class Network:
    """A sub-network as a point of the space; `origin` is how people would come to it."""

    name: str
    origin: str
    point: Parameterization
    configuration: TrialConfiguration


def recipe(task: str) -> TrialConfiguration:
    """Return full fine-tuning as every sub-network of a task has it."""
    posted = base_configuration(task, shape=searched_shape()).model_dump(mode="json")
    written = {"peft": {"method": "full"}, "training": {**posted["training"], "learning_rate": RATE}}
    return TrialConfiguration.model_validate({**posted, **written})


@cache
def space() -> SearchSpace:
    """Return the preset, on top of the recipe."""
    preset = expand_preset(PresetName.DEPTH_WIDTH, shape=searched_shape(), base=recipe(TASKS[0]))
    return SearchSpace(parameters=tuple(preset))


@cache
def base(task: str) -> TrialConfiguration:
    """Return what every point is patched over: the recipe, with every size of the network written out."""
    return with_layers(recipe(task), searched_shape(), search_space=space())


@cache
def networks(task: str) -> tuple[Network, ...]:
    """Return every sub-network once, the larger ones first."""
    found: dict[str, Network] = {}
    for point in _points():
        configuration = canonical(patch(base(task), point), shape=searched_shape())
        name = _name(point)
        found.setdefault(configuration.model_dump_json(), Network(name, _origin(point), point, configuration))
    return tuple(found.values())


def _points() -> Iterator[Parameterization]:
    """Yield every point of the space, the larger networks first; inactive parameters are left out."""
    shape = searched_shape()
    layers = range(shape.layers, fewest_layers(shape.layers) - 1, -1)
    for depth, which, width, by in product(layers, WhichLayers, reversed(widths(shape.ffn_size)), UnitsBy):
        values = {KEEP_LAYERS: depth, WHICH: which.value, FFN_WIDTH: width, UNITS_BY: by.value}
        point = space().active(values)
        if all(space().by_name[name].contains(value) for name, value in point.items()):
            yield point


def _name(point: Parameterization) -> str:
    chosen = f" by {point[WHICH]}" if WHICH in point else ""
    units = f" by {point[UNITS_BY]}" if UNITS_BY in point else ""
    return f"{point[KEEP_LAYERS]} layers{chosen}, {point[FFN_WIDTH]} units{units}"


def _origin(point: Parameterization) -> str:
    """Return how people would come to a network: by one cut, that no data chose."""
    is_deep, is_wide = WHICH not in point, UNITS_BY not in point
    if is_deep and is_wide:
        return WHOLE
    if is_wide and point[WHICH] == WhichLayers.FIRST.value:
        return DROPPED
    if is_deep and point[UNITS_BY] == UnitsBy.MAGNITUDE.value:
        return NARROWED
    return SEARCHED
