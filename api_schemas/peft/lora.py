"""LoRA. Hu and others 2022 (arXiv 2106.09685): our own module, and the method of HF `peft`."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from api_schemas.backbones import ROLES, BackboneShape, Projection, projections
from api_schemas.base import Schema
from api_schemas.json_values import Integer, Number
from api_schemas.peft.method import Method
from api_schemas.peft.own_module import LARGEST_SCALE, ONE_PER_LAYER, SIZE_LIMIT, Count, OwnModule, Read
from api_schemas.peft.wording import layers_in_words, roles_in_brackets

LORA_LEARNING_RATE = 4e-4
"""Hu and others train RoBERTa at 4e-4 and 5e-4: some ten times the rate of full fine-tuning, as "LoRA Without
Regret" (Schulman and others 2025) finds it best."""


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


class Lora(OwnModule):
    """Low-rank update W + alpha / rank * B A: one rank for the chosen projections, or ranks by layer."""

    label: ClassVar[str] = "LoRA"
    size_fields: ClassVar[tuple[str, ...]] = ("rank", *ROLES)
    learning_rate: ClassVar[float] = LORA_LEARNING_RATE
    """As of the method of HF `peft`: one rate for one network."""
    merges: ClassVar[bool] = True

    rank: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    alpha: Number = Field(default=16.0, gt=0, le=LARGEST_SCALE)
    query: bool = True
    key: bool = False
    value: bool = True
    attention_output: bool = False
    ffn_in: bool = False
    ffn_out: bool = False
    by_layer: tuple[LoraRanks, ...] | None = ONE_PER_LAYER

    @classmethod
    def parameters(cls, size: Mapping[str, Count], *, shape: BackboneShape) -> Count:
        """Return the scalars of both factors of each projection, from their ranks by role."""
        found = projections(shape)
        return sum(rank * (found[role].inputs + found[role].outputs) for role, rank in size.items())

    @classmethod
    def flops(cls, size: Mapping[str, Count], *, shape: BackboneShape) -> Count:
        """Return the operations of both factors, until they are merged into the projections."""
        return 2 * cls.parameters(size, shape=shape)

    @property
    def targets(self) -> tuple[str, ...]:
        """Roles of the projections that get an update where every layer is alike, in a fixed order."""
        return tuple(role for role in ROLES if getattr(self, role))

    def ranks_at(self, layer: int) -> LoraRanks:
        """Return the ranks in an active layer."""
        if self.by_layer is not None:
            return self.by_layer[layer]
        return LoraRanks(**dict.fromkeys(self.targets, self.rank))

    def entry_at(self, layer: int) -> LoraRanks:
        """Return the ranks in an active layer."""
        return self.ranks_at(layer)

    def sizes_at(self, layer: int) -> Mapping[str, int]:
        """Return the ranks in an active layer by role."""
        return self.ranks_at(layer).present()

    def read_size(self, layer: int, read: Read) -> Mapping[str, Count]:
        """Return the ranks in an active layer by role, by the settings that `read` returns."""
        if self.by_layer is not None:
            return {role: read(f"by_layer.{layer}.{role}") for role in ROLES}
        return {role: read("rank") * read(role) for role in ROLES}

    def one_size(self, entry: LoraRanks) -> dict[str, Any]:
        """Return one rank and the projections that have it; nothing where ranks differ."""
        ranks = entry.present()
        if len(set(ranks.values())) > 1:
            return {}
        return {"rank": next(iter(ranks.values())), **{role: role in ranks for role in ROLES}}

    def words(self) -> str:
        """Return the rank and the projections."""
        return f" {self.rank}{roles_in_brackets(self.targets)}"

    def words_by_layer(self, entries: Sequence[LoraRanks]) -> str:
        """Return the range of the ranks, and the layers."""
        ranks = [entry.present() for entry in entries]
        found = [rank for of_layer in ranks for rank in of_layer.values()]
        span = str(min(found)) if min(found) == max(found) else f"{min(found)} to {max(found)}"
        plural = "s" if len(found) > 1 else ""
        on = [layer for layer, of_layer in enumerate(ranks) if of_layer]
        return f"{span} on {len(found)} projection{plural} of {layers_in_words(on)}"


def low_rank(settings: Any, projection: Projection) -> Count:
    """Return the scalars of two factors of a rank."""
    return settings.rank * (projection.inputs + projection.outputs)


METHOD = Method(
    "HF LoRA",
    reads=("rank", "alpha"),
    projection_parameters=low_rank,
    learning_rate=LORA_LEARNING_RATE,
)
