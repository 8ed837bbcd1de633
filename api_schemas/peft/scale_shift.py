"""Scale and shift, SSF. Lian and others 2022 (arXiv 2210.08823)."""

from collections.abc import Sequence
from typing import Any, ClassVar

from api_schemas.backbones import BackboneShape, projections
from api_schemas.peft.own_module import ONE_PER_LAYER, Count, OwnModule
from api_schemas.peft.wording import layers_in_words


class ScaleShift(OwnModule):
    """A trained factor and a trained shift for every output of a layer's projections (SSF)."""

    label: ClassVar[str] = "scale and shift"
    size_fields: ClassVar[tuple[str, ...]] = ("on",)
    merges: ClassVar[bool] = True

    on: bool = False
    by_layer: tuple[bool, ...] | None = ONE_PER_LAYER

    @classmethod
    def parameters(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return the scalars of a factor and a shift for each output."""
        return size * 2 * sum(projection.outputs for projection in projections(shape).values())

    @classmethod
    def flops(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return a multiplication and an addition for each output, until they are merged."""
        return cls.parameters(size, shape=shape)

    def words(self) -> str:
        """Return nothing: there is no size."""
        return ""

    def words_by_layer(self, entries: Sequence[Any]) -> str:
        """Return the layers that have them."""
        return f"on {layers_in_words([layer for layer, on in enumerate(entries) if on])}"
