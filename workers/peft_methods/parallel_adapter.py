"""Parallel adapter: y + scaling * up(relu(down(x))), x the input and y the output of the feed-forward block.

He and others 2022, "Towards a Unified View" (arXiv 2110.04366); scaling 4 as in AutoPEFT (arXiv
2301.12132). `up` starts at zero.
"""

from torch import Generator, Tensor, nn
from torch.utils.hooks import RemovableHandle

from api_schemas.trial_configuration import Peft
from workers.backbones import Backbone
from workers.peft_methods.bottleneck import Bottleneck


def build(peft: Peft, *, backbone: Backbone, generator: Generator) -> nn.Module | None:
    """Make the module of one layer, or None if its size is zero."""
    size = peft.parallel_adapter.bottleneck_size
    return Bottleneck(backbone.shape.hidden_size, size, generator=generator) if size else None


def attach(module: nn.Module, *, backbone: Backbone, layer: int, peft: Peft) -> list[RemovableHandle]:
    """Remember the block's input, then add the module's view of it to the block's output."""
    scaling = peft.parallel_adapter.scaling
    inputs: list[Tensor] = []

    def remember(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs.append(arguments[0])

    def add(_: nn.Module, __: tuple[Tensor, ...], y: Tensor) -> Tensor:
        change: Tensor = module(inputs.pop())
        return y + scaling * change

    return [
        backbone.part(layer, "ffn_input").register_forward_pre_hook(remember),
        backbone.part(layer, "ffn_output").register_forward_hook(add),
    ]
