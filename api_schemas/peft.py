"""The PEFT modules that one trial trains, layer by layer, and which descriptions mean the same modules.

Each module has one size for every active layer, or in `by_layer` a size for each
layer; size 0 leaves it out. Knows nothing about tensors or how a module is attached.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.json_values import NO_BOOL_NOR_TEXT, Integer, Number
from api_schemas.peft_methods import (
    LARGEST_SCALE,
    PROMPT_METHODS,
    ROLES,
    TARGETED,
    LibrarySettings,
    PeftMethod,
    only_what_is_read,
)

LAYERS_LIMIT = 1000
SIZE_LIMIT = 65536
Size = Annotated[int, Field(ge=0, le=SIZE_LIMIT), NO_BOOL_NOR_TEXT]
ONE_PER_LAYER = Field(default=None, max_length=LAYERS_LIMIT)


class SerialAdapter(Schema):
    """Bottleneck after the feed-forward block: y + up(relu(down(y)))."""

    bottleneck_size: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    by_layer: tuple[Size, ...] | None = ONE_PER_LAYER

    def size_at(self, layer: int) -> int:
        """Return the size in an active layer."""
        return _at(self.bottleneck_size, self.by_layer, layer)


class ParallelAdapter(Schema):
    """Bottleneck beside the feed-forward block: y + scaling * up(relu(down(x)))."""

    bottleneck_size: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    by_layer: tuple[Size, ...] | None = ONE_PER_LAYER
    scaling: Number = Field(default=4.0, gt=0, le=LARGEST_SCALE)

    def size_at(self, layer: int) -> int:
        """Return the size in an active layer."""
        return _at(self.bottleneck_size, self.by_layer, layer)


class PrefixTuning(Schema):
    """Trained keys and values in front of the self-attention."""

    length: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    by_layer: tuple[Size, ...] | None = ONE_PER_LAYER

    def size_at(self, layer: int) -> int:
        """Return the length in an active layer."""
        return _at(self.length, self.by_layer, layer)


class Compacter(Schema):
    """A serial bottleneck of Kronecker products: W = sum of A_i (x) s_i t_i for i up to `division`.

    The A_i are shared by all layers. `division` must divide the hidden size and the bottleneck size.
    """

    bottleneck_size: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    by_layer: tuple[Size, ...] | None = ONE_PER_LAYER
    division: Integer = Field(default=4, ge=1, le=64)

    def size_at(self, layer: int) -> int:
        """Return the size in an active layer."""
        return _at(self.bottleneck_size, self.by_layer, layer)


class ScaleShift(Schema):
    """A trained factor and a trained shift for every output of a layer's projections (SSF)."""

    on: bool = False
    by_layer: tuple[bool, ...] | None = ONE_PER_LAYER

    def size_at(self, layer: int) -> int:
        """Return 1 where an active layer has them, else 0."""
        return int(self.on if self.by_layer is None else self.by_layer[layer])


class LoraRanks(Schema):
    """The rank of each projection's update in one layer. Rank 0 leaves it out."""

    query: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    key: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    value: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    attention_output: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    ffn_in: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    ffn_out: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)

    def present(self) -> dict[str, int]:
        """Return the ranks that are not zero, by role, in a fixed order."""
        return {role: rank for role in ROLES if (rank := getattr(self, role))}


class Lora(Schema):
    """Low-rank update W + alpha / rank * B A: one rank for the chosen projections, or ranks by layer."""

    rank: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    alpha: Number = Field(default=16.0, gt=0, le=LARGEST_SCALE)
    query: bool = True
    key: bool = False
    value: bool = True
    attention_output: bool = False
    ffn_in: bool = False
    ffn_out: bool = False
    by_layer: tuple[LoraRanks, ...] | None = ONE_PER_LAYER

    @property
    def targets(self) -> tuple[str, ...]:
        """Roles of the projections that get an update where every layer is alike, in a fixed order."""
        return tuple(role for role in ROLES if getattr(self, role))

    def ranks_at(self, layer: int) -> LoraRanks:
        """Return the ranks in an active layer."""
        if self.by_layer is not None:
            return self.by_layer[layer]
        return LoraRanks(**dict.fromkeys(self.targets, self.rank))

    def size_at(self, layer: int) -> int:
        """Return the sum of the ranks in an active layer."""
        return sum(self.ranks_at(layer).present().values())


class Peft(Schema):
    """What is trained, and the layers that carry it.

    The method `modules` reads the sections of our own modules; every other method reads `library`. A
    layer is active if `active_layers` says so (null means every layer) and it is not below
    `first_active_layer`.
    """

    method: PeftMethod = PeftMethod.MODULES
    active_layers: tuple[bool, ...] | None = Field(default=None, max_length=LAYERS_LIMIT)
    first_active_layer: Integer = Field(default=0, ge=0, le=LAYERS_LIMIT)
    serial_adapter: SerialAdapter = SerialAdapter()
    parallel_adapter: ParallelAdapter = ParallelAdapter()
    prefix_tuning: PrefixTuning = PrefixTuning()
    lora: Lora = Lora()
    compacter: Compacter = Compacter()
    scale_shift: ScaleShift = ScaleShift()
    library: LibrarySettings = LibrarySettings()

    def is_active(self, layer: int) -> bool:
        """Return whether a layer may carry modules."""
        return layer >= self.first_active_layer and (self.active_layers is None or self.active_layers[layer])


SIZE_FIELDS = {
    "serial_adapter": ("bottleneck_size",),
    "parallel_adapter": ("bottleneck_size",),
    "prefix_tuning": ("length",),
    "lora": ("rank", *ROLES),
    "compacter": ("bottleneck_size",),
    "scale_shift": ("on",),
}
"""The modules, and the fields in which each keeps the size that holds for every layer."""


def canonical_peft(peft: Peft) -> Peft:
    """Return every set of descriptions of the same modules one representative.

    A layer without modules is not active; a module that is nowhere keeps no settings; sizes that
    are the same in every active layer are one size; settings that the method does not read take
    their defaults.
    """
    if peft.method is not PeftMethod.MODULES:
        return _canonical_library(peft)
    modules = {name: getattr(peft, name) for name in SIZE_FIELDS}
    count = _layer_count(peft)
    if count is None:
        present = {name: module for name, module in modules.items() if module.size_at(0)}
        return (
            Peft(first_active_layer=peft.first_active_layer, **present) if present else Peft(active_layers=())
        )
    allowed = [peft.is_active(layer) for layer in range(count)]
    present = {name: _presence(module, allowed) for name, module in modules.items()}
    active = tuple(map(any, zip(*present.values(), strict=True)))
    return Peft(
        active_layers=active,
        **{name: _canonical_module(name, modules[name], active) for name in modules if any(present[name])},
    )


def entries_by_layer(name: str, module: Any, layers: int) -> tuple[Any, ...]:
    """Write the size that holds for every layer as a list with an entry for each layer."""
    return tuple(_entry(name, module, layer) for layer in range(layers))


def _canonical_library(peft: Peft) -> Peft:
    layers = peft.active_layers
    active = None if layers is None else tuple(peft.is_active(layer) for layer in range(len(layers)))
    settings = only_what_is_read(peft.method, peft.library)
    if peft.method in PROMPT_METHODS:
        everywhere = None if layers is None else (True,) * len(layers)
        return Peft(method=peft.method, active_layers=everywhere, library=settings)
    aimless = peft.method in TARGETED and not settings.targets
    nowhere = active is not None and not any(active)
    if peft.method is PeftMethod.HEAD_ONLY or aimless or nowhere:
        return Peft(active_layers=() if active is None else (False,) * len(active))
    first = peft.first_active_layer if active is None else 0
    return Peft(method=peft.method, active_layers=active, first_active_layer=first, library=settings)


def _layer_count(peft: Peft) -> int | None:
    lists = [peft.active_layers, *(getattr(peft, name).by_layer for name in SIZE_FIELDS)]
    return next((len(found) for found in lists if found is not None), None)


def _presence(module: Any, allowed: Sequence[bool]) -> list[bool]:
    if module.by_layer is None:
        # One size for all layers is asked for once: this runs for every candidate of the optimiser.
        everywhere = module.size_at(0) > 0
        return [everywhere and on for on in allowed]
    return [on and module.size_at(layer) > 0 for layer, on in enumerate(allowed)]


def _canonical_module(name: str, module: Any, active: Sequence[bool]) -> Any:
    if module.by_layer is None:
        return module
    entries = entries_by_layer(name, module, len(active))
    found = [entry for entry, on in zip(entries, active, strict=True) if on]
    if all(entry == found[0] for entry in found) and (one_size := _one_size(name, found[0])):
        return module.model_copy(update={"by_layer": None, **one_size})
    # What the list overrides goes back to where it starts.
    defaults = {field: type(module).model_fields[field].default for field in SIZE_FIELDS[name]}
    off = type(found[0])()
    by_layer = tuple(entry if on else off for entry, on in zip(entries, active, strict=True))
    return module.model_copy(update={**defaults, "by_layer": by_layer})


def _one_size(name: str, entry: Any) -> dict[str, Any]:
    """Return the fields that say "this in every layer", or nothing if they cannot."""
    if name != "lora":
        return {SIZE_FIELDS[name][0]: entry}
    ranks = entry.present()
    if len(set(ranks.values())) > 1:
        return {}
    return {"rank": next(iter(ranks.values())), **{role: role in ranks for role in ROLES}}


def _entry(name: str, module: Any, layer: int) -> Any:
    if name == "lora":
        return module.ranks_at(layer)
    return bool(module.size_at(layer)) if name == "scale_shift" else module.size_at(layer)


def _at(size: int, by_layer: tuple[int, ...] | None, layer: int) -> int:
    return size if by_layer is None else by_layer[layer]
