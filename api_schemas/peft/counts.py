"""What a configuration trains and adds: exact, never measured, never modelled.

One function each, for one configuration and for a table of counted. Trained scalars are everything that
is trained and saved: adapter weights and biases, prefixes, low-rank factors, factors and shifts, and the
linear head. (AutoPEFT leaves out biases and the head; section 3 of arXiv 2301.12132.)

Operations are floating-point ones for each token, two for a multiplication with its addition, in the matrix
products of our own modules and in factors and shifts. Biases, nonlinearities and the head are left out, and
so is the backbone, which costs the same whatever is trained.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

from api_schemas.architecture import kept_by_depth
from api_schemas.backbones import ROLES, BackboneShape, projections
from api_schemas.peft.own_module import Count, OwnModule, Read
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration


@dataclass(frozen=True)
class Configurations:
    """One configuration, or a table of them over a base.

    `methods` has 1 for the rows that have a method and 0 for all others. `read` returns a setting of `peft`
    by its path: a number, or a column of numbers where rows differ. `kept_layers` is such a number, too; null
    where every layer of the shape is there.
    """

    base: Peft
    methods: Mapping[PeftMethod, Count]
    read: Read
    kept_layers: Count | None = None

    def kept(self, shape: BackboneShape) -> list[Count]:
        """Return 1 for each layer that is there, and 0 for every other."""
        most = self.kept_layers
        return [1 if most is None else (layer < most) * 1 for layer in range(shape.layers)]

    @classmethod
    def of_one(cls, peft: Peft) -> "Configurations":
        """Return one configuration."""
        return cls(peft, {peft.method: 1}, lambda path: value_at(peft, path))


def value_at(peft: Peft, path: str) -> Any:
    """Return the setting at a path, such as `lora.by_layer.3.query`."""
    found: Any = peft
    for part in path.split("."):
        found = found[int(part)] if part.isdecimal() else getattr(found, part)
    return found


def trainable_parameters(configuration: TrialConfiguration, *, shape: BackboneShape, classes: int) -> int:
    """Return the trained scalars of a configuration on what it keeps of a backbone of this shape."""
    return int(over_depth(partial(trained_scalars, classes=classes), *_of_one(configuration, shape)))


def adapter_flops(configuration: TrialConfiguration, *, shape: BackboneShape) -> int | None:
    """Return the operations that a configuration adds for each token to what it keeps of the backbone.

    None where they are not counted.
    """
    if not counts_operations(configuration.peft.method):
        return None
    return int(over_depth(added_flops, *_of_one(configuration, shape)))


def _of_one(
    configuration: TrialConfiguration, shape: BackboneShape
) -> tuple[Configurations, Sequence[tuple[BackboneShape, int]]]:
    return Configurations.of_one(configuration.peft), kept_by_depth(shape, configuration.architecture)


def over_depth(
    count: Callable[..., Count],
    counted: Configurations,
    groups: Sequence[tuple[BackboneShape, Count]],
) -> Count:
    """Return a count of a network whose layers lie in groups of one width each.

    `count` takes configurations and the `shape` of a network of one width.
    Each group has a shape and the number of layers up to its end. It adds the count up to its end less that
    up to its start, both at its own width; so what layers share is counted once.
    """
    total: Count = 0
    start: Count | None = None
    for shape, end in groups:
        total = total + count(replace(counted, kept_layers=end), shape=shape)
        if start is not None:
            total = total - count(replace(counted, kept_layers=start), shape=shape)
        start = end
    return total


def trained_scalars(counted: Configurations, *, shape: BackboneShape, classes: int) -> Count:
    """Return the trained scalars of each configuration."""
    total: Count = shape.hidden_size * classes + classes
    active = active_layers(counted, shape)
    for method, chosen in counted.methods.items():
        if method is PeftMethod.MODULES:
            total = total + chosen * _of_own_modules(counted, active, shape=shape)
        else:
            total = total + chosen * _of_method(method, counted, active, shape=shape)
    return total


def counts_operations(method: PeftMethod) -> bool:
    """Return whether it is known what a method adds for each token."""
    return method is PeftMethod.MODULES or method.definition.adds_no_operations


def added_flops(counted: Configurations, *, shape: BackboneShape) -> Count:
    """Return the operations that each configuration adds for each token. Its method counts them."""
    active = active_layers(counted, shape)
    of_modules = sum(
        over_layers(module, module.flops, read, active, shape=shape) for module, read in own_modules(counted)
    )
    return counted.methods.get(PeftMethod.MODULES, 0) * of_modules


def active_layers(counted: Configurations, shape: BackboneShape) -> list[Count]:
    """Return 1 for each layer that is there and may carry modules, and 0 for every other."""
    first = counted.read("first_active_layer")
    listed = counted.base.active_layers is not None
    return [
        there * (layer >= first) * (counted.read(f"active_layers.{layer}") if listed else 1)
        for layer, there in enumerate(counted.kept(shape))
    ]


def own_modules(counted: Configurations) -> Iterator[tuple[OwnModule, Read]]:
    """Yield the modules of our own, each with what reads its section."""
    for name, module in counted.base.own_modules().items():
        yield module, partial(_read_of, counted, name)


def _read_of(counted: Configurations, section: str, path: str) -> Count:
    return counted.read(f"{section}.{path}")


def _of_own_modules(counted: Configurations, active: Sequence[Count], *, shape: BackboneShape) -> Count:
    total: Count = 0
    for module, read in own_modules(counted):
        total = total + over_layers(module, module.parameters, read, active, shape=shape)
        total = total + module.shared_parameters(active, read)
    return total


def over_layers(
    module: OwnModule,
    count: Callable[..., Count],
    read: Read,
    active: Sequence[Count],
    *,
    shape: BackboneShape,
) -> Count:
    """Return the sum of a module's count over the active layers."""
    if module.by_layer is None:
        return sum(active) * count(module.read_size(0, read), shape=shape)
    return sum(on * count(module.read_size(layer, read), shape=shape) for layer, on in enumerate(active))


def _of_method(
    method: PeftMethod, counted: Configurations, active: Sequence[Count], *, shape: BackboneShape
) -> Count:
    """Return the scalars of a method that is alone in its trial, on the active layers."""
    defined, layers, read = method.definition, sum(active), counted.read
    if defined.weight_parameters is not None:
        return defined.weight_parameters(active, counted.kept(shape), shape)
    settings = SimpleNamespace(**{name: read(f"library.{name}") for name in defined.reads})
    in_a_layer: Count = 0 if defined.layer_parameters is None else defined.layer_parameters(shape)
    carried: Count = 1
    if defined.projection_parameters is not None:
        on = {role: read(f"library.{role}") for role in ROLES}
        carried = layers * sum(on.values()) > 0
        found = projections(shape)
        in_a_layer = sum(on[role] * defined.projection_parameters(settings, found[role]) for role in ROLES)
    shared = 0 if defined.shared_parameters is None else defined.shared_parameters(settings, shape)
    return layers * in_a_layer + carried * shared
