"""A posted PEFT study with all that follows from it, built once: what its checks look at.

Expands presets, and resolves backbone and task, whose files it may read or download. Knows no database.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from pydantic import ValidationError

from api_schemas.architecture import FFN_WIDTH, FFN_WIDTH_GROUPS, HEADS, Architecture, kept_shape
from api_schemas.backbones import BackboneShape
from api_schemas.errors import FieldError
from api_schemas.objectives import NETWORK_METRICS
from api_schemas.peft.methods_preset import METHOD
from api_schemas.peft.registry import PeftMethod
from api_schemas.presets import expand_preset
from api_schemas.search_space import SearchSpace, SearchSpaceRequest, values_of
from api_schemas.studies import StudyCreate
from api_schemas.trial_configuration import TrialConfiguration
from service.catalogue.backbones import by_name
from service.catalogue.backbones.checkpoints import Checkpoint
from service.catalogue.tasks.facts import TaskFacts
from service.catalogue.tasks.sources import settled, task_facts
from service.errors import InvalidStudy
from service.settings import settings
from service.studies.layers import searches_architecture, with_layers
from service.studies.overriding import overridden
from service.studies.resampling import with_resampling


@dataclass(frozen=True)
class StudyDraft:
    """A PEFT study that may or may not work."""

    request: StudyCreate
    search_space: SearchSpace
    """The preset's parameters, where the client has none of the same name, and the client's."""
    configuration: TrialConfiguration
    """The base: its task settled, its lists by layer written out where the space reaches into them."""
    backbone: Checkpoint
    task: TaskFacts

    @cached_property
    def pointers(self) -> dict[str, str]:
        """Where the client wrote each parameter; those of a preset are written where it is named."""
        posted = {
            parameter.name: f"/search_space/parameters/{position}"
            for position, parameter in enumerate(self.request.search_space.parameters)
        }
        return {name: posted.get(name, "/search_space") for name in self.search_space.by_name}

    @cached_property
    def shapes(self) -> tuple[BackboneShape, ...]:
        """What a trial may train on: the backbone at each size that its layers may have."""
        shape, kept = self.backbone.shape, self.configuration.architecture
        if kept is None:
            return (shape,)
        if kept.ffn_width_groups is None:
            widths = set(self._sizes(FFN_WIDTH, kept.ffn_width or shape.ffn_size))
        else:
            groups = enumerate(kept.ffn_width_groups)
            widths = {
                size for group, own in groups for size in self._sizes(f"{FFN_WIDTH_GROUPS}.{group}", own)
            }
        heads = tuple(self._sizes(HEADS, kept.heads)) or (None,)
        return tuple(
            kept_shape(shape, Architecture(keep_layers=shape.layers, ffn_width=width, heads=number))
            for width, number in product(sorted(widths), heads)
        )

    def _sizes(self, name: str, otherwise: int | None) -> Iterator[int]:
        """Yield what a size of a layer may be; what is none is found by the checks of the draft."""
        parameter = self.search_space.by_name.get(name)
        values = (otherwise,) if parameter is None else values_of(parameter)
        yield from (size for size in values if isinstance(size, int) and size > 0)

    @cached_property
    def methods(self) -> tuple[PeftMethod, ...]:
        """Every method that a trial may have."""
        return _methods(self.search_space, self.configuration)


def draft_study(request: StudyCreate, configuration: TrialConfiguration, *, tenant_id: str) -> StudyDraft:
    """Return the draft of a study with this base configuration.

    Raises:
        UnknownBackbone: If the backbone cannot be used here; so does DamagedBackbone.
        UnknownTask: If there is no such task.
        InvalidTask: If the task's data cannot be used.
        InvalidStudy: If the expanded search space is none.
    """
    data_dir = settings().data_dir
    backbone = by_name.checkpoint(configuration.backbone, models_dir=settings().models_dir)
    task = settled(configuration.task, data_dir=data_dir, tenant_id=tenant_id)
    facts = task_facts(task, data_dir=data_dir)
    counted = backbone.shape.model_copy(update={"weights": backbone.weights})
    quantised = configuration.quantisation is not None or backbone.quantised is not None
    search_space = _expanded(request.search_space, counted, quantised=quantised, base=configuration)
    if _reads_network(request, search_space, configuration):
        backbone = replace(backbone, shape=counted)
    elif any(method.definition.trains_weights for method in _methods(search_space, configuration)):
        backbone = replace(backbone, shape=_without_units(counted))
    base = configuration.model_copy(update={"task": with_resampling(task, facts)})
    layered = with_layers(base, backbone.shape, search_space=search_space)
    return StudyDraft(request, search_space, layered, backbone, facts)


def _reads_network(
    request: StudyCreate, search_space: SearchSpace, configuration: TrialConfiguration
) -> bool:
    """Return whether the study makes its backbone smaller, or asks what the network costs."""
    named = {item.metric for item in request.objectives} | {item.metric for item in request.constraints}
    return (
        bool(named & NETWORK_METRICS)
        or configuration.architecture is not None
        or searches_architecture(search_space)
    )


def _without_units(shape: BackboneShape) -> BackboneShape:
    """Return a shape as versions of before wrote it: they refuse counts that they do not know."""
    weights = shape.weights
    unknown = {"each_ffn_unit": None, "heads": None}
    counted = None if weights is None else weights.model_copy(update=unknown)
    return shape.model_copy(update={"weights": counted})


def _methods(search_space: SearchSpace, configuration: TrialConfiguration) -> tuple[PeftMethod, ...]:
    parameter = search_space.by_name.get(METHOD)
    values = (configuration.peft.method,) if parameter is None else values_of(parameter)
    # What is no method is found by the checks of the draft.
    return tuple(method for value in values for method in PeftMethod if method == value)


def _expanded(
    posted: SearchSpaceRequest, shape: BackboneShape, *, quantised: bool, base: TrialConfiguration
) -> SearchSpace:
    inherited = (
        ()
        if posted.preset is None
        else expand_preset(posted.preset, shape=shape, quantised=quantised, base=base)
    )
    try:
        return SearchSpace(parameters=overridden(inherited, posted.parameters))
    except ValidationError as error:
        raise InvalidStudy(
            "The search space cannot work; `errors` says where and why.",
            errors=[
                FieldError(pointer="/search_space/parameters", detail=item["msg"]) for item in error.errors()
            ],
        ) from error
