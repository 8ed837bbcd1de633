"""Parallel adapter: y + scaling * up(relu(down(x))), x the input and y the output of the feed-forward block.

He and others 2022, "Towards a Unified View" (arXiv 2110.04366); scaling 4 as in AutoPEFT (arXiv
2301.12132). `up` starts at zero.
"""

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from workers.peft_methods.bottleneck import Bottleneck
from workers.peft_methods.place import Place


def build(place: Place) -> nn.Module | None:
    """Make the module of one layer, or None if its size is zero."""
    size = place.peft.parallel_adapter.size_at(place.layer)
    return Bottleneck(place.hidden_size, size, generator=place.generator) if size else None


def attach(module: nn.Module, place: Place) -> list[RemovableHandle]:
    """Remember the block's input, then add the module's view of it to the block's output."""
    scaling = place.peft.parallel_adapter.scaling
    inputs: list[Tensor] = []

    def remember(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs.append(arguments[0])

    def add(_: nn.Module, __: tuple[Tensor, ...], y: Tensor) -> Tensor:
        change: Tensor = module(inputs.pop())
        return y + scaling * change

    return [
        place.part("ffn_input").register_forward_pre_hook(remember),
        place.part("ffn_output").register_forward_hook(add),
    ]
