"""Serial adapter: y + up(relu(down(y))), y the output of the feed-forward block.

Houlsby and others 2019 (arXiv 1902.00751) at the place of Pfeiffer and others 2021 (arXiv
2005.00247), as in AutoPEFT (arXiv 2301.12132). `up` starts at zero, so training starts from the
backbone as it is.
"""

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from workers.peft_methods.bottleneck import Bottleneck
from workers.peft_methods.place import Place


def build(place: Place) -> nn.Module | None:
    """Make the module of one layer, or None if its size is zero."""
    size = place.peft.serial_adapter.size_at(place.layer)
    return Bottleneck(place.hidden_size, size, generator=place.generator) if size else None


def attach(module: nn.Module, place: Place) -> list[RemovableHandle]:
    """Add the module's output to the block's output."""

    def add(_: nn.Module, __: tuple[Tensor, ...], y: Tensor) -> Tensor:
        change: Tensor = module(y)
        return y + change

    return [place.part("ffn_output").register_forward_hook(add)]
