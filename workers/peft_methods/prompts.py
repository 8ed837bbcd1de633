"""Trained tokens in front of the text, with the modules of HF `peft`.

The positions of the prompt are dropped again from the hidden states: nothing downstream sees them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from peft import PeftConfig
from torch import Tensor, nn

from api_schemas.peft.fitness import problems
from api_schemas.peft.registry import Peft
from workers.backbones.loading import Backbone
from workers.errors import UnsupportedBackbone
from workers.peft_methods.hf_layers import FEATURES


@dataclass(frozen=True)
class PromptMethod:
    """How HF `peft` makes the prompt."""

    configuration: Callable[..., PeftConfig]
    encoder: Callable[[PeftConfig, nn.Module], Any]
    """Makes the module that returns the prompt, given the embedding of the backbone's own tokens."""


class Prompt(nn.Module):
    """Embeddings of so many tokens, or a network that makes them."""

    def __init__(self, peft: Peft, *, method: PromptMethod, backbone: Backbone, seed: int) -> None:
        super().__init__()
        self.length = peft.library.virtual_tokens
        self.configuration = method.configuration(
            num_virtual_tokens=self.length,
            token_dim=backbone.shape.embedding_width,
            num_transformer_submodules=1,
            num_layers=backbone.shape.layers,
            num_attention_heads=1,  # read by prefix tuning only
            task_type=FEATURES,
            base_model_name_or_path=backbone.hub_repository,
        )
        words = backbone.model.get_input_embeddings()  # type: ignore[operator]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.encoder = method.encoder(self.configuration, words)
        self.encoder.requires_grad_(requires_grad=True)

    def forward(self) -> Float[Tensor, "p e"]:
        """Return the embeddings of the prompt."""
        device = self.encoder.embedding.weight.device
        found: Tensor = self.encoder(torch.arange(self.length, device=device))
        return found

    @contextmanager
    def attached(self, backbone: Backbone) -> Iterator[None]:
        """Put the prompt in front of every text for the length of a block."""
        words = backbone.model.get_input_embeddings()  # type: ignore[operator]

        def put_in_front(_: nn.Module, __: Any, named: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
            texts = words(named["input_ids"])
            prompt = self().to(texts.dtype).expand(len(texts), -1, -1)
            mask = named["attention_mask"]
            visible = mask.new_ones(len(mask), self.length)
            return (), {
                **{name: value for name, value in named.items() if name != "input_ids"},
                "inputs_embeds": torch.cat([prompt, texts], dim=1),
                "attention_mask": torch.cat([visible, mask], dim=1),
            }

        def drop(_: nn.Module, __: Any, output: Any) -> Any:
            output.last_hidden_state = output.last_hidden_state[:, self.length :]
            return output

        handles = [
            backbone.model.register_forward_pre_hook(put_in_front, with_kwargs=True),
            backbone.model.register_forward_hook(drop),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def build(peft: Peft, *, method: PromptMethod, backbone: Backbone, seed: int) -> Prompt:
    """Make the prompt.

    Raises:
        UnsupportedBackbone: If the backbone has too few positions.
    """
    for problem in problems(peft.method.definition, peft.library, shape=backbone.shape, max_length=1):
        raise UnsupportedBackbone(f"{peft.method}: {problem}.")
    return Prompt(peft, method=method, backbone=backbone, seed=seed)
