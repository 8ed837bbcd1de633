"""What every module of our own has: a size for all active layers or one for each, its counts, its words.

A count is written once and serves one configuration and a table of candidates alike: what it is computed
from may be whole numbers, or columns with an entry for each candidate.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from api_schemas.backbones import BackboneShape
from api_schemas.base import Schema
from api_schemas.json_values import NO_BOOL_NOR_TEXT
from api_schemas.peft.wording import layers_in_words

DEFAULT_LEARNING_RATE = 1e-3
"""Of a recipe, and of every method whose file gives no other."""
LAYERS_LIMIT = 1000
SIZE_LIMIT = 65536
LARGEST_SCALE = 1e9
"""No factor of an update may be larger: what it multiplies is single precision."""
Size = Annotated[int, Field(ge=0, le=SIZE_LIMIT), NO_BOOL_NOR_TEXT]
ONE_PER_LAYER = Field(default=None, max_length=LAYERS_LIMIT)

Count = Any
"""A whole number, or a column of them."""
Read = Callable[[str], Count]
"""Returns a setting by its path in the section, such as `rank` or `by_layer.3.query`."""


class OwnModule(Schema):
    """A section of `peft`. Size 0 leaves the module out of a layer."""

    label: ClassVar[str]
    """What it is called in words."""
    size_fields: ClassVar[tuple[str, ...]]
    """The settings that hold for every layer where `by_layer` is null; the first is the size."""
    learning_rate: ClassVar[float] = DEFAULT_LEARNING_RATE
    """The rate that is usual for it with AdamW, which a factor of the learning rate multiplies."""
    merges: ClassVar[bool] = False
    """Whether it is a change of weights, which costs nothing once it is merged into them."""

    if TYPE_CHECKING:
        # Each section declares it: a field of the base class would come first in its schema.
        by_layer: tuple[Any, ...] | None

    @classmethod
    def parameters(cls, size: Any, *, shape: BackboneShape) -> Count:
        """Return the scalars that a module of this size trains in one layer; 0 at size 0."""
        raise NotImplementedError

    @classmethod
    def flops(cls, size: Any, *, shape: BackboneShape) -> Count:
        """Return the operations that a module of this size adds in one layer for each token."""
        raise NotImplementedError

    def shared_parameters(self, active: Sequence[Count], read: Read) -> Count:  # noqa: ARG002
        """Return the scalars that the layers have in common. `active` has 1 for each that carries modules."""
        return 0

    def entry_at(self, layer: int) -> Any:
        """Return what `by_layer` has for an active layer, or would have."""
        return getattr(self, self.size_fields[0]) if self.by_layer is None else self.by_layer[layer]

    def sizes_at(self, layer: int) -> Mapping[str, int]:
        """Return the sizes that are not zero in an active layer, by the part of the layer that has them."""
        size = int(self.entry_at(layer))
        return {"": size} if size else {}

    def size_at(self, layer: int) -> int:
        """Return the size in an active layer."""
        return sum(self.sizes_at(layer).values())

    def read_size(self, layer: int, read: Read) -> Any:
        """Return the size in an active layer, by the settings that `read` returns."""
        return read(self.size_fields[0] if self.by_layer is None else f"by_layer.{layer}")

    def one_size(self, entry: Any) -> dict[str, Any]:
        """Return the settings that put an entry into every layer; none where they cannot."""
        return {self.size_fields[0]: entry}

    def words(self) -> str:
        """Return what follows the label where every layer is alike."""
        return f" {getattr(self, self.size_fields[0])}"

    def words_by_layer(self, entries: Sequence[Any]) -> str:
        """Return every size once, with its layers."""
        layers_of: dict[int, list[int]] = {}
        for layer, size in enumerate(entries):
            if size:
                layers_of.setdefault(size, []).append(layer)
        return ", ".join(f"{size} ({layers_in_words(layers)})" for size, layers in layers_of.items())
