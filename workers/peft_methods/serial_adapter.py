"""Serial adapter: y + up(relu(down(y))), y the output of the feed-forward block.

Houlsby and others 2019 (arXiv 1902.00751) at the place of Pfeiffer and others 2021 (arXiv
2005.00247), as in AutoPEFT (arXiv 2301.12132). `up` starts at zero, so training starts from the
backbone as it is.
"""

from torch import Generator, Tensor, nn
from torch.utils.hooks import RemovableHandle

from api_schemas.trial_configuration import Peft
from workers.backbones import Backbone
from workers.peft_methods.bottleneck import Bottleneck


def build(peft: Peft, *, backbone: Backbone, generator: Generator) -> nn.Module | None:
    """Make the module of one layer, or None if its size is zero."""
    size = peft.serial_adapter.bottleneck_size
    return Bottleneck(backbone.shape.hidden_size, size, generator=generator) if size else None


def attach(module: nn.Module, *, backbone: Backbone, layer: int, peft: Peft) -> list[RemovableHandle]:  # noqa: ARG001
    """Add the module's output to the block's output."""

    def add(_: nn.Module, __: tuple[Tensor, ...], y: Tensor) -> Tensor:
        change: Tensor = module(y)
        return y + change

    return [backbone.part(layer, "ffn_output").register_forward_hook(add)]
